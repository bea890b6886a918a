/**
 * One run of a task, from its beginning to its record: what is passed over is recorded at once, a message is enqueued by
 * the record itself, as is what a script does; a request is sent before.
 */
import type { ErrorCode } from '../protocol/errors.ts';
import type { Batch } from '../protocol/operations/operations.ts';
import type { TaskDefinition, TaskState } from '../protocol/operations/task-definition.ts';
import type { Reply } from '../protocol/replies.ts';
import type { ScriptExecutor } from '../scripts/executor.ts';
import { assert } from '../shared/assert.ts';
import { taskPutOffMs } from '../shared/task-limits.ts';
import { definitionOf, stateOf, type Due } from './due-task.ts';
import { HttpRuns, type HttpRunEnd, type HttpRunsOptions } from './http-runs.ts';
import { callScript } from './script-runs.ts';
import { answered } from './task-answers.ts';
import type { TaskCounts } from './task-counts.ts';
import { enqueued, resultOf } from './task-messages.ts';
import { dueMove, failed, succeeded, type MovedTask } from './task-moves.ts';

export interface TaskRunsOptions extends HttpRunsOptions {
  readonly counts?: TaskCounts;
  /** Absent: this server runs no scripts. */
  readonly scripts?: Pick<ScriptExecutor, 'call'> | undefined;
}

/** `again`: nothing is recorded, and it is to be tried again after a while. */
export type RunDone = (how: 'recorded' | 'again') => void;

interface Ending {
  readonly moved: MovedTask;
  readonly enqueue?: Batch['enqueue'];
  /** The state with which a run has begun that has taken time. */
  readonly began?: string;
}

const noScripts = 'This server runs no scripts (scripts.threads is 0)';
/** After a refusal that has nothing to do with the task. */
export const againMs = 1000;
const transient: ReadonlySet<string> = new Set<ErrorCode>([
  'overloaded',
  'draining',
  'disk_full',
  'rate_limited',
  'too_many_waiters',
  'request_in_progress',
  'account_deleting',
  'internal',
]);

export class TaskRuns {
  readonly #options: TaskRunsOptions;
  readonly #http: HttpRuns;

  constructor(options: TaskRunsOptions) {
    this.#options = options;
    this.#http = new HttpRuns(options);
  }

  begin(due: Due, done: RunDone): void {
    const { clock, counts } = this.#options;
    const now = clock.now();
    const definition = definitionOf(due);
    const move = dueMove(definition, stateOf(due), now);
    if ('moved' in move) return this.#commitOnce(due, move, done);
    const { target } = definition;
    const { state } = move;
    counts?.late(now - state.next);
    if (target.kind === 'queue') return this.#enqueue(due, { definition, state }, done);
    if (target.kind === 'script') return this.#call(due, { definition, state }, done);
    this.#http.begin({ due, definition, target, state }, (end) => this.#ended(due, { definition, state }, end, done));
  }

  /** Lets it fall due later, so that no backlog stands before others'. */
  putOff(due: Due, done: RunDone): void {
    const till = this.#options.clock.now() + taskPutOffMs;
    this.#commitOnce(due, { moved: { state: stateOf(due), till } }, done);
  }

  #enqueue(due: Due, { definition, state }: Running, done: RunDone): void {
    const now = this.#options.clock.now();
    const moved = succeeded(definition, state, { startMs: now, now });
    this.#commit(due, { moved, enqueue: enqueued(definition) }, (reply) =>
      this.#committed(due, { definition, state, startMs: now }, reply, done),
    );
  }

  #call(due: Due, { definition, state }: Running, done: RunDone): void {
    const { clock, scripts } = this.#options;
    const { target } = definition;
    assert(target.kind === 'script', 'only scripts are called');
    const startMs = clock.now();
    if (scripts === undefined) return this.#failed(due, { definition, state, startMs }, noScripts, done);
    let moved: MovedTask | undefined;
    const ending = (): MovedTask => (moved = succeeded(definition, state, { startMs, now: clock.now() }));
    callScript(scripts, { due, target, ending }, (reply) => {
      if (reply.outcome === 'ok') this.#recorded(due, moved!);
      this.#committed(due, { definition, state, startMs }, reply, done);
    });
  }

  /** What a run does was to be committed with its end: either both are, or nothing is. */
  #committed(due: Due, run: Running & { readonly startMs: number }, { outcome, body }: Reply, done: RunDone): void {
    if (outcome === 'ok') this.#options.counts?.ended('ok');
    if (outcome === 'ok' || isOutdated(body)) return done('recorded');
    if (transient.has(outcome)) return done('again');
    const { Message, Quota } = JSON.parse(body) as { readonly Message: string; readonly Quota?: string };
    // The store of the server is full, and not a quota of the account.
    if (outcome === 'quota_exceeded' && Quota === undefined) return done('again');
    this.#failed(due, run, Message, done);
  }

  #failed(due: Due, run: Running & { readonly startMs: number }, error: string, done: RunDone): void {
    const { clock, counts } = this.#options;
    const { definition, state, startMs } = run;
    const after = failed(definition, state, { startMs, now: clock.now(), error, salt: due.name });
    counts?.ended(after.ended === 'dead' ? 'dead' : 'failed');
    this.#commitOnce(due, { moved: after }, done);
  }

  #ended(due: Due, { definition, state }: Running, end: HttpRunEnd, done: RunDone): void {
    if (end === 'changed' || end === 'later') return done(end === 'changed' ? 'recorded' : 'again');
    const { startMs, answer } = end;
    const run = { startMs, now: this.#options.clock.now(), salt: due.name };
    const { moved, how } = answered(definition, state, answer, run);
    this.#options.counts?.ended(how);
    const isLast = how !== 'failed' || moved.state.attempts === 0 || moved.ended !== undefined;
    const hasResult = definition.resultQueue !== undefined && isLast;
    const enqueue = hasResult ? { enqueue: resultOf(due, definition, state, answer) } : {};
    this.#record(due, { moved, began: due.state, ...enqueue }, done);
  }

  /** Records a run that has happened, whatever it takes: to run it again would be another request. */
  #record(due: Due, ending: Ending, done: RunDone): void {
    this.#commit(due, ending, ({ outcome, body }) => {
      if (outcome === 'ok' || isOutdated(body)) return done('recorded');
      const { enqueue: given, ...rest } = ending;
      if (transient.has(outcome) || given === undefined) {
        this.#options.after(againMs, () => this.#record(due, ending, done));
        return;
      }
      const { Message } = JSON.parse(body) as { readonly Message: string };
      const state = { ...rest.moved.state, lastError: `The result was not enqueued: ${Message}`.slice(0, 300) };
      this.#record(due, { ...rest, moved: { ...rest.moved, state } }, done);
    });
  }

  #commitOnce(due: Due, ending: Ending, done: RunDone): void {
    this.#commit(due, ending, ({ outcome, body }) => {
      done(outcome === 'ok' || isOutdated(body) ? 'recorded' : 'again');
    });
  }

  #commit(due: Due, { moved, enqueue, began }: Ending, done: (reply: Reply) => void): void {
    const { account, id, version } = due;
    const taskEnd = [{ key: id, version, ...moved, ...(began !== undefined && { began }) }];
    const sent = enqueue === undefined ? {} : { enqueue };
    const batch: Batch = { kind: 'batch', account, format: 'batch', ...sent, taskEnd };
    const deliver = (reply: Reply): void => {
      if (reply.outcome === 'ok') this.#recorded(due, moved);
      done(reply);
    };
    this.#options.router.request(batch, { disconnected: false, deliver });
  }

  #recorded(due: Due, { state }: MovedTask): void {
    const { counts } = this.#options;
    if (counts === undefined) return;
    const skipped = state.skipped - stateOf(due).skipped;
    if (skipped > 0) counts.skipped(skipped);
  }
}

interface Running {
  readonly definition: TaskDefinition;
  /** With the instant that is run. */
  readonly state: TaskState;
}

/** The task has changed, or is gone, since the dispatcher was told of it. */
function isOutdated(body: string): boolean {
  const { Failed = [] } = JSON.parse(body || '{}') as { readonly Failed?: readonly { readonly Field: string }[] };
  return Failed.some(({ Field }) => Field.startsWith('taskEnd'));
}
