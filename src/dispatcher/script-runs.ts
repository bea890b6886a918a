/**
 * Runs that call a script. The executor commits what the script does together with the end of the run, if the task is
 * still as it was: so either all of it has happened or nothing, and it may be called again at will.
 */
import type { ScriptTarget, TaskEndOperation } from '../protocol/operations/task-definition.ts';
import type { Reply } from '../protocol/replies.ts';
import type { ScriptExecutor } from '../scripts/executor.ts';
import type { Due } from './due-task.ts';
import type { MovedTask } from './task-moves.ts';

export interface RunOfScript {
  readonly due: Due;
  readonly target: ScriptTarget;
  /** What follows, if it commits now. */
  readonly ending: () => MovedTask;
}

/** @param deliver is given the reply to the call: a success has recorded the run */
export function callScript(
  executor: Pick<ScriptExecutor, 'call'>,
  { due, target, ending }: RunOfScript,
  deliver: (reply: Reply) => void,
): void {
  const { account, id, version } = due;
  const { script, args, sends = false } = target;
  const taskEnd = (): TaskEndOperation => ({ key: id, version, ...ending() });
  executor.call({ account, name: script, args, keys: [], sends, taskEnd }, { disconnected: false, deliver });
}
