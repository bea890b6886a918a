/**
 * Runs the tasks that are due. It asks each shard for them, which answers once there are some, and commits what comes of
 * each run, if the task is still as it was. A message to a queue is part of that commit: it is sent exactly once. A request
 * is sent before, so it may be sent again after a crash. What is under way is known in memory only: whatever has not been
 * recorded is due again after a start.
 *
 *   told by a shard ──► in line, by account and flow ──► running ──► recorded
 *                           └──too many of one account──► put off by a minute
 *
 * Accounts have their turns one after the other, and each may run so many at once: the fewer places are left, the fewer
 * of them an account may have, so that some are left for others. A shard is not asked for more while too many stand in line.
 */
import type { ErrorCode } from '../protocol/errors.ts';
import { accountId, type AccountId } from '../protocol/ids.ts';
import type { Batch } from '../protocol/operations/operations.ts';
import type { TaskDefinition, TaskState } from '../protocol/operations/task-definition.ts';
import type { DueTask, DueTasks } from '../protocol/operations/task-calls.ts';
import type { Reply } from '../protocol/replies.ts';
import type { Router } from '../router/router.ts';
import type { After } from '../shared/clock.ts';
import {
  accountDueBytesMax,
  accountDueMax,
  accountTaskRunsMax,
  dueBytesMax,
  dueMax,
  duePageBytesMax,
  taskPutOffMs,
  taskRunsMax,
} from '../shared/task-limits.ts';
import { definitionOf, stateOf, type AccountLane, type Due, type Work } from './due-task.ts';
import { Flows } from './flows.ts';
import { HttpRuns, type HttpRunsOptions, type RunEnd } from './http-runs.ts';
import { Secrets, type SecretsOptions } from './secrets.ts';
import { enqueued, resultOf } from './task-messages.ts';
import { dueMove, failed, succeeded, type MovedTask } from './task-moves.ts';
import { answered } from './task-answers.ts';
import { TaskLines } from './task-lines.ts';

export interface TaskDispatcherOptions
  extends Pick<HttpRunsOptions, 'clock' | 'wall' | 'sink' | 'fences'>,
    Pick<SecretsOptions, 'newSecret'> {
  readonly router: Pick<Router, 'request' | 'dueTasks'>;
  readonly shards: number;
  readonly after: After;
  /** Returns the microseconds that this thread has worked, since an arbitrary moment. */
  readonly meter: () => number;
  /** Requests under way at once, of all accounts and of one. */
  readonly parallel: number;
  readonly accountParallel: number;
  readonly counts?: TaskCounts;
}

/** What is counted of runs, for metrics. */
export interface TaskCounts {
  /** A run has ended, and how. */
  ended(how: 'ok' | 'failed' | 'dead' | 'skipped', work: Work): void;
  /** A request has begun so long after its instant. */
  late(ms: number): void;
  inLine(tasks: number, sending: number): void;
}

/** After a refusal that has nothing to do with the task. */
const againMs = 1000;
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

interface Ending {
  readonly moved: MovedTask;
  readonly enqueue?: Batch['enqueue'];
  /** The state with which a run has begun that has taken time. */
  readonly began?: string;
}

export class TaskDispatcher {
  readonly #options: TaskDispatcherOptions;
  readonly #lines = new TaskLines();
  readonly #known = new Map<string, Due>();
  readonly #lanes = new Map<AccountId, AccountLane>();
  readonly #flows: Flows;
  readonly #runs: HttpRuns;
  /** Those whose flow has no place, by the flow. */
  readonly #shut = new Map<string, Due>();
  /** Shards that are not asked because too many stand in line. */
  readonly #unasked = new Set<number>();
  readonly #running: Record<Work, number> = { commit: 0, send: 0 };
  #bytes = 0;
  #stopped = false;
  #idle: (() => void) | undefined;

  constructor(options: TaskDispatcherOptions) {
    this.#options = options;
    this.#flows = new Flows(options.router, options.clock);
    this.#runs = new HttpRuns({ ...options, secrets: new Secrets(options) });
  }

  /** How many tasks it has in memory. */
  get size(): number {
    return this.#known.size;
  }

  start(): void {
    for (let shard = 0; shard < this.#options.shards; shard += 1) this.#ask(shard);
  }

  /** Begins nothing more. Resolves when what is under way is recorded, or after `waitMs`. */
  async stop(waitMs: number): Promise<void> {
    this.#stopped = true;
    if (this.#isIdle) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#options.after(waitMs, resolve);
      this.#idle = () => {
        cancel();
        resolve();
      };
    });
  }

  get #isIdle(): boolean {
    return this.#running.commit + this.#running.send === 0;
  }

  #ask(shard: number): void {
    if (this.#stopped) return;
    if (this.#bytes >= dueBytesMax || this.#known.size >= dueMax) {
      this.#unasked.add(shard);
      return;
    }
    const sink = { disconnected: false, deliver: (reply: Reply) => this.#told(shard, reply) };
    this.#options.router.dueTasks(shard, duePageBytesMax, sink);
  }

  #told(shard: number, { outcome, body }: Reply): void {
    if (this.#stopped) return;
    if (outcome !== 'ok') {
      this.#options.after(againMs, () => this.#ask(shard));
      return;
    }
    for (const task of (JSON.parse(body) as DueTasks).Due) this.#take(task);
    this.#pump();
    this.#ask(shard);
  }

  #take(task: DueTask): void {
    const [account, id, version, state, definition] = task;
    const name = `${account}\0${id}`;
    const known = this.#known.get(name);
    if (known !== undefined) {
      if (known.version === version) return;
      known.newer = task;
      // Its line may be shut, and what is new may stand in another one.
      if (!known.waits) return;
      this.#lines.drop(known);
      this.#forget(known);
    }
    const { target, flow } = definitionOf({ definition });
    const isAsked = stateOf({ state }).asked === true;
    const due: Due = {
      name,
      account: accountId(account),
      id,
      version,
      state,
      definition,
      bytes: 2 * (id.length + state.length + definition.length) + 500,
      lane: this.#laneOf(accountId(account)),
      work: target.kind === 'http' ? 'send' : 'commit',
      ...(flow !== undefined && !isAsked && { flow }),
      waits: false,
    };
    const { lane } = due;
    this.#known.set(name, due);
    this.#bytes += due.bytes;
    const isTooMuch = lane.count >= accountDueMax || lane.bytes >= accountDueBytesMax;
    lane.count += 1;
    lane.bytes += due.bytes;
    if (isTooMuch) this.#putOff(due);
    else this.#lines.push(due);
  }

  #laneOf(account: AccountId): AccountLane {
    let lane = this.#lanes.get(account);
    if (lane === undefined) {
      lane = { account, count: 0, bytes: 0, running: { commit: 0, send: 0 } };
      this.#lanes.set(account, lane);
    }
    return lane;
  }

  #pump(): void {
    const { meter } = this.#options;
    this.#lines.releaseWaiting();
    while (!this.#stopped) {
      const due = this.#lines.take((lane, work) => this.#mayBegin(lane, work));
      if (due === undefined) break;
      const before = meter();
      this.#enter(due);
      this.#lines.charge(meter() - before);
    }
    this.#options.counts?.inLine(this.#known.size, this.#running.send);
  }

  #mayBegin({ running }: AccountLane, work: Work): boolean {
    if (work === 'commit') return this.#running.commit < taskRunsMax && running.commit < accountTaskRunsMax;
    const { parallel, accountParallel } = this.#options;
    const left = parallel - this.#running.send;
    return left > 0 && running.send < Math.min(accountParallel, Math.max(1, Math.floor(left / 2)));
  }

  /** What is taken from a line has a place of its account, until it is recorded or put back. */
  #enter(due: Due): void {
    const { account, flow, work, lane } = due;
    this.#running[work] += 1;
    lane.running[work] += 1;
    if (flow === undefined) return this.#begin(due);
    // One question at a time: the others of the flow wait for it.
    this.#lines.shut(due);
    this.#flows.ask(account, flow, (verdict) => {
      if (verdict === 'begins') {
        this.#lines.open(due);
        this.#begin(due);
        this.#pump();
        return;
      }
      this.#lines.pushFirst(due);
      this.#leave(due);
      if (verdict === 'waits-for-end') this.#shut.set(flowName(due), due);
      else this.#options.after(verdict.waitsMs, () => this.#reopen(due));
    });
  }

  #reopen(due: Due): void {
    this.#lines.open(due);
    this.#pump();
  }

  /** Gives the place back. */
  #leave({ work, lane }: Due): void {
    this.#running[work] -= 1;
    lane.running[work] -= 1;
    if (this.#isIdle) this.#idle?.();
  }

  #begin(due: Due): void {
    const now = this.#options.clock.now();
    const definition = definitionOf(due);
    const move = dueMove(definition, stateOf(due), now);
    if ('moved' in move) {
      this.#options.counts?.ended('skipped', due.work);
      return this.#commit(due, { moved: move.moved }, (reply) => this.#recorded(due, reply));
    }
    const { target } = definition;
    const { state } = move;
    if (target.kind === 'queue') return this.#enqueue(due, definition, state);
    this.#options.counts?.late(now - state.next);
    this.#runs.begin({ due, definition, target, state }, (end) => this.#ended(due, definition, state, end));
  }

  #enqueue(due: Due, definition: TaskDefinition, state: TaskState): void {
    const { clock, counts } = this.#options;
    const now = clock.now();
    const moved = succeeded(definition, state, { startMs: now, now });
    this.#commit(due, { moved, enqueue: enqueued(definition) }, (reply) => {
      const { outcome, body } = reply;
      if (outcome === 'ok') counts?.ended('ok', 'commit');
      if (outcome === 'ok' || transient.has(outcome) || isOutdated(body)) return this.#recorded(due, reply);
      const { Message, Quota } = JSON.parse(body) as { readonly Message: string; readonly Quota?: string };
      // The store of the server is full, and not a quota of the account.
      if (outcome === 'quota_exceeded' && Quota === undefined) return this.#recorded(due, reply);
      const run = { startMs: now, now: clock.now(), error: Message, salt: due.name };
      counts?.ended('failed', 'commit');
      const after = failed(definition, state, run);
      this.#commit(due, { moved: after }, (recorded) => this.#recorded(due, recorded));
    });
  }

  #ended(due: Due, definition: TaskDefinition, state: TaskState, end: RunEnd): void {
    if (end === 'changed' || end === 'later') {
      const outcome = end === 'changed' ? 'ok' : 'overloaded';
      return this.#recorded(due, { outcome, body: '' });
    }
    const { startMs, answer } = end;
    const run = { startMs, now: this.#options.clock.now(), salt: due.name };
    const { moved, how } = answered(definition, state, answer, run);
    this.#options.counts?.ended(how, 'send');
    const isLast = how !== 'failed' || moved.ended !== undefined || moved.state.attempts === 0;
    const result =
      definition.resultQueue !== undefined && isLast ? resultOf(due, definition, state, answer) : undefined;
    this.#record(due, { moved, began: due.state, ...(result !== undefined && { enqueue: result }) });
  }

  /** Records a run that has happened, whatever it takes: to run it again would be another request. */
  #record(due: Due, ending: Ending): void {
    this.#commit(due, ending, (reply) => {
      const { outcome, body } = reply;
      if (outcome === 'ok' || isOutdated(body)) return this.#recorded(due, reply);
      if (transient.has(outcome) || ending.enqueue === undefined || this.#stopped) {
        this.#options.after(againMs, () => this.#record(due, ending));
        return;
      }
      const { Message } = JSON.parse(body) as { readonly Message: string };
      const lastError = `The result was not enqueued: ${Message}`.slice(0, 300);
      const { moved, began } = ending;
      this.#record(due, {
        moved: { ...moved, state: { ...moved.state, lastError } },
        ...(began !== undefined && { began }),
      });
    });
  }

  #putOff(due: Due): void {
    const till = this.#options.clock.now() + taskPutOffMs;
    this.#running[due.work] += 1;
    due.lane.running[due.work] += 1;
    this.#commit(due, { moved: { state: stateOf(due), till } }, (reply) => this.#recorded(due, reply, 'put-off'));
  }

  #commit(due: Due, { moved, enqueue, began }: Ending, done: (reply: Pick<Reply, 'outcome' | 'body'>) => void): void {
    const { account, id, version } = due;
    const taskEnd = [{ key: id, version, ...moved, ...(began !== undefined && { began }) }];
    const sent = enqueue === undefined ? {} : { enqueue };
    const batch: Batch = { kind: 'batch', account, format: 'batch', ...sent, taskEnd };
    this.#options.router.request(batch, { disconnected: false, deliver: done });
  }

  /** What came of a task is on disk, or was refused. Its place is free. */
  #recorded(due: Due, { outcome, body }: Pick<Reply, 'outcome' | 'body'>, why?: 'put-off'): void {
    this.#leave(due);
    if (due.flow !== undefined && why === undefined) this.#flowEnded(due, due.flow);
    // What is neither recorded nor outdated is tried again: nobody else will tell of it.
    if (outcome !== 'ok' && !isOutdated(body)) {
      this.#options.after(againMs, () => {
        if (due.newer === undefined) this.#lines.push(due);
        else this.#renew(due, due.newer);
        this.#pump();
      });
      return;
    }
    if (due.newer === undefined) this.#forget(due);
    else this.#renew(due, due.newer);
    this.#pump();
    if (this.#bytes >= dueBytesMax || this.#known.size >= dueMax) return;
    const unasked = [...this.#unasked];
    this.#unasked.clear();
    for (const shard of unasked) this.#ask(shard);
  }

  #flowEnded(due: Due, flow: string): void {
    this.#flows.ended(due.account, flow);
    const next = this.#shut.get(flowName(due));
    if (next === undefined) return;
    this.#shut.delete(flowName(due));
    this.#lines.open(next);
  }

  #renew(due: Due, newer: DueTask): void {
    this.#forget(due);
    this.#take(newer);
  }

  #forget({ name, bytes, lane }: Due): void {
    this.#known.delete(name);
    this.#bytes -= bytes;
    lane.count -= 1;
    lane.bytes -= bytes;
    if (lane.count === 0) this.#lanes.delete(lane.account);
  }
}

function flowName({ account, flow, work }: Due): string {
  return `${account}\0${work}\0${flow}`;
}

/** The task has changed, or is gone, since the dispatcher was told of it. */
function isOutdated(body: string): boolean {
  const { Failed = [] } = JSON.parse(body || '{}') as { readonly Failed?: readonly { readonly Field: string }[] };
  return Failed.some(({ Field }) => Field.startsWith('taskEnd'));
}
