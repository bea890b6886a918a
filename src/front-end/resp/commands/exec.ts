/**
 * EXEC. What was queued becomes one batch: one commit, one fdatasync. An operation's own error stands in its place, and
 * the others are done, as in Redis. Watched keys, guards and locks are conditions of the whole batch.
 *
 * A script needs to see what the commands before it did, and so does a command that decides over several keys (MSETNX).
 * A transaction with one of these runs beside the store, on a copy of all its keys (`../scripts/scripts.ts`).
 */
import type { ErrorCode } from '../../../protocol/errors.ts';
import type { CheckOperation } from '../../../protocol/operations/kv.ts';
import type { GuardOperation } from '../../../protocol/operations/lock.ts';
import type { Batch } from '../../../protocol/operations/operations.ts';
import type { StringOp, StringOpResult } from '../../../protocol/operations/string-op.ts';
import { checkSize } from '../checks.ts';
import type { CommandPlan, OpsPlan, Plan, QueuedCommands, RespClient, StepsPlan, TextPlan } from '../command.ts';
import { text } from '../command.ts';
import { refuseCommand, RespError } from '../resp-error.ts';
import type { ScriptPart } from '../scripts/script-messages.ts';
import { array, errorText, type Writer } from '../writer.ts';
import { noScript } from './scripts.ts';

type Queued = QueuedCommands['commands'][number];
type Watched = readonly (readonly [key: string, version: number])[];
type Part = OpsPlan | TextPlan | CommandPlan | StepsPlan;

/** Takes the transaction off the client. */
export function takeQueue({ state }: RespClient, name: string): { queue: QueuedCommands; watched: Watched } {
  const { queue } = state;
  state.queue = undefined;
  const watched = [...state.watched];
  if (queue === undefined) return refuseCommand(`ERR ${name} without MULTI`);
  state.watched.clear();
  return { queue, watched };
}

export function exec(_args: readonly string[], client: RespClient): Plan {
  const { queue, watched } = takeQueue(client, 'EXEC');
  if (queue.refused) return refuseCommand('EXECABORT Transaction discarded because of previous errors.');
  const parts = queue.commands.map((queued) => partOf(queued, client));
  return parts.some(needsCopy) ? onCopy(queue, parts, watched) : oneBatch(parts, watched, client);
}

function partOf({ spec, args }: Queued, client: RespClient): Part {
  try {
    const plan = spec.plan(args, client);
    if (plan.kind === 'ops' || plan.kind === 'text') return plan;
    if (plan.kind === 'steps' ? plan.script !== undefined : spec.decides === true) return plan;
    return text(errorText(`ERR '${spec.name}' cannot be used within MULTI so`));
  } catch (error) {
    if (!(error instanceof RespError)) throw error;
    if (spec.decides === true)
      return refuseCommand(`EXECABORT Transaction discarded because of '${spec.name}': ${error.message}`);
    return text(errorText(error.message));
  }
}

function needsCopy(part: Part): boolean {
  return part.kind === 'steps' || (part.kind === 'ops' && part.check !== undefined);
}

/** A watched key has changed, or the lock is busy. */
const failed = (code: ErrorCode, writer: Writer): string | undefined =>
  code === 'version_mismatch' || code === 'not_locked' ? writer.nilArray : undefined;

/** A batch that takes a lock or gives it back tells more than the results of operations, and so in JSON. */
function oneBatch(parts: readonly Part[], watched: Watched, client: RespClient): Plan {
  const ops: StringOp[] = [];
  const check: CheckOperation[] = watched.map(([key, version]) => ({ key, version }));
  const guard: GuardOperation[] = [];
  const locks: CommandPlan[] = [];
  for (const part of parts) {
    if (part.kind === 'command') locks.push(part);
    if (part.kind !== 'ops') continue;
    ops.push(...part.ops);
    guard.push(...(part.guard ?? []));
  }
  const reply: Replies = { parts, json: '' };
  if (locks.length > 0) {
    checkSize(ops.length, client);
    const conditions = { ...(check.length > 0 && { check }), ...(guard.length > 0 && { guard }) };
    const command: Batch = {
      ...(ops.length > 0 && { ops }),
      ...conditions,
      ...lockOf(locks),
      kind: 'batch',
      account: client.account,
      format: 'batch',
    };
    return { kind: 'command', command, failed, write: (json, writer) => listOf({ ...reply, json }, writer) };
  }
  if (ops.length + check.length + guard.length === 0) return text(listOf(reply, client.writer));
  return { kind: 'ops', ops, check, guard, failed, write: (results, writer) => listOf({ ...reply, results }, writer) };
}

interface Replies {
  readonly parts: readonly Part[];
  readonly results?: readonly StringOpResult[];
  /** The reply to a batch with locks, which has the results, too. */
  readonly json: string;
}

function listOf({ parts, json, results = resultsOf(json) }: Replies, writer: Writer): string {
  let at = 0;
  const replies = parts.map((part) => {
    if (part.kind === 'text') return part.text;
    if (part.kind !== 'ops') return part.kind === 'command' ? part.write(json, writer) : '';
    const own = results.slice(at, at + part.ops.length);
    at += part.ops.length;
    return part.write(own, writer);
  });
  return array(replies);
}

function resultsOf(json: string): readonly StringOpResult[] {
  return json === '' ? [] : ((JSON.parse(json) as { readonly Ops?: readonly StringOpResult[] }).Ops ?? []);
}

/** The lock that a transaction takes or extends, and the one that it gives back. It never waits. */
function lockOf(plans: readonly CommandPlan[]): Pick<Batch, 'lock' | 'unlock'> {
  const batches = plans.map(({ command }) => command as Batch);
  const [lock, ...moreLocks] = batches.flatMap((batch) => batch.lock ?? []);
  const [unlock, ...moreUnlocks] = batches.flatMap((batch) => batch.unlock ?? []);
  if (moreLocks.length + moreUnlocks.length > 0)
    return refuseCommand(
      'EXECABORT a transaction takes or extends one lock, and gives one back; DL.BATCH does it with several',
    );
  if (lock !== undefined && lock.id === unlock?.id)
    return refuseCommand('EXECABORT a transaction takes one lock and gives another back, expected two names');
  return { ...(lock !== undefined && { lock: { ...lock, waitMs: 0 } }), ...(unlock !== undefined && { unlock }) };
}

function onCopy({ commands }: QueuedCommands, parts: readonly Part[], watched: Watched): StepsPlan {
  if (parts.some(({ kind }) => kind === 'command'))
    return refuseCommand(
      'EXECABORT DL.LOCK, DL.EXTEND and DL.UNLOCK cannot be in a transaction with scripts, MSETNX or MSETEX',
    );
  const keys: string[] = [];
  const guard: GuardOperation[] = [];
  for (const part of parts) {
    if (part.kind === 'text' || part.kind === 'command') continue;
    if (part.script !== undefined) keys.push(...part.script.keys);
    if (part.kind !== 'ops') continue;
    for (const { key } of [...part.ops, ...(part.check ?? [])]) keys.push(key);
    guard.push(...(part.guard ?? []));
  }
  return {
    kind: 'steps',
    start(client, done) {
      const transaction = { watched, guard };
      const steps = parts.map((part, i) => stepOf(part, commands[i]!, client.writer));
      sourcesOf(steps, client, (found) =>
        client.context.scripts.run(client, { parts: found, keys, transaction }, done),
      );
      return undefined;
    },
  };
}

type Step = ScriptPart | NonNullable<StepsPlan['script']>;

function stepOf(part: Part, { args }: Queued, writer: Writer): Step {
  if (part.kind === 'text') return part;
  if (part.kind !== 'command' && part.script !== undefined) return part.script;
  // A guard has no operations.
  if (part.kind === 'ops' && part.ops.length === 0) return text(part.write([], writer));
  return { kind: 'command', args };
}

/** Finds the scripts that were named by their SHA-1 alone. */
function sourcesOf(steps: readonly Step[], client: RespClient, done: (parts: readonly ScriptPart[]) => void): void {
  const parts: ScriptPart[] = [];
  const find = (): void => {
    for (let step = steps[parts.length]; step !== undefined; step = steps[parts.length]) {
      if (step.kind === 'script' && step.source === undefined) {
        const { sha } = step;
        const unknown = step;
        return client.context.scripts.find(client.account, sha, (source) => {
          parts.push(source === undefined ? text(noScript) : { ...unknown, source });
          find();
        });
      }
      parts.push(step as ScriptPart);
    }
    done(parts);
  };
  find();
}
