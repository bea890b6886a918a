/**
 * Runs the tasks that are due. It asks each shard for them, which answers once there are some, and commits what comes of
 * each run, if the task is still as it was. A message to a queue is part of that commit: it is sent exactly once. What is
 * under way is known in memory only: whatever has not been recorded is due again after a start.
 *
 *   told by a shard ──► in line, by account ──► running ──► recorded
 *                           └──too many of one account──► put off by a minute
 *
 * Accounts have their turns one after the other, and each may run so many at once. A shard is not asked for more while too
 * many stand in line.
 */
import type { ErrorCode } from '../protocol/errors.ts';
import { accountId, type AccountId } from '../protocol/ids.ts';
import type { Batch } from '../protocol/operations/operations.ts';
import type { TaskDefinition, TaskState } from '../protocol/operations/task-definition.ts';
import type { DueTask, DueTasks } from '../protocol/operations/task-calls.ts';
import type { Reply } from '../protocol/replies.ts';
import type { Router } from '../router/router.ts';
import type { After, Clock } from '../shared/clock.ts';
import { FairQueue } from '../shared/fair-queue.ts';
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
import { dueMove, failed, succeeded, type MovedTask } from './task-moves.ts';

export interface TaskDispatcherOptions {
  readonly router: Pick<Router, 'request' | 'dueTasks'>;
  readonly shards: number;
  readonly clock: Clock;
  readonly after: After;
  /** Returns the microseconds that this thread has worked, since an arbitrary moment. */
  readonly meter: () => number;
}

/** A task that is due. */
interface Due {
  readonly name: string;
  readonly account: AccountId;
  readonly id: string;
  readonly version: number;
  readonly state: string;
  readonly definition: string;
  readonly bytes: number;
  readonly lane: AccountLane;
  /** It was told again meanwhile, in another version. */
  newer?: DueTask;
}

interface AccountLane {
  readonly account: AccountId;
  /** In line and running. */
  count: number;
  bytes: number;
  running: number;
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

export class TaskDispatcher {
  readonly #options: TaskDispatcherOptions;
  readonly #line = new FairQueue<Due>();
  readonly #known = new Map<string, Due>();
  readonly #lanes = new Map<AccountId, AccountLane>();
  /** Shards that are not asked because too many stand in line. */
  readonly #unasked = new Set<number>();
  #bytes = 0;
  #running = 0;
  #stopped = false;
  #idle: (() => void) | undefined;

  constructor(options: TaskDispatcherOptions) {
    this.#options = options;
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
    if (this.#running === 0) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#options.after(waitMs, resolve);
      this.#idle = () => {
        cancel();
        resolve();
      };
    });
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
      if (known.version !== version) known.newer = task;
      return;
    }
    const bytes = 2 * (id.length + state.length + definition.length) + 500;
    const lane = this.#laneOf(accountId(account));
    const due = { name, account: lane.account, id, version, state, definition, bytes, lane };
    this.#known.set(name, due);
    this.#bytes += bytes;
    const isTooMuch = lane.count >= accountDueMax || lane.bytes >= accountDueBytesMax;
    lane.count += 1;
    lane.bytes += bytes;
    if (isTooMuch) this.#putOff(due);
    else this.#line.push(account, due);
  }

  #laneOf(account: AccountId): AccountLane {
    let lane = this.#lanes.get(account);
    if (lane === undefined) this.#lanes.set(account, (lane = { account, count: 0, bytes: 0, running: 0 }));
    return lane;
  }

  #pump(): void {
    const { meter } = this.#options;
    this.#line.releaseWaiting();
    while (!this.#stopped && this.#running < taskRunsMax) {
      const due = this.#line.take(false, ({ lane }) => lane.running >= accountTaskRunsMax);
      if (due === undefined) return;
      const before = meter();
      this.#begin(due);
      this.#line.charge(meter() - before, false);
    }
  }

  #begin(due: Due): void {
    const now = this.#options.clock.now();
    const definition = definitionOf(due);
    const move = dueMove(definition, stateOf(due), now);
    if ('moved' in move) return this.#commit(due, { moved: move.moved }, (reply) => this.#recorded(due, reply));
    const moved = succeeded(definition, move.state, now, now);
    this.#commit(due, { moved, enqueue: definition.target }, (reply) => {
      const { outcome, body } = reply;
      if (outcome === 'ok' || transient.has(outcome) || isOutdated(body)) return this.#recorded(due, reply);
      const { Message, Quota } = JSON.parse(body) as { readonly Message: string; readonly Quota?: string };
      // The store of the server is full, and not a quota of the account.
      if (outcome === 'quota_exceeded' && Quota === undefined) return this.#recorded(due, reply);
      const run = { startMs: now, now: this.#options.clock.now(), error: Message, salt: due.name };
      this.#commit(due, { moved: failed(definition, move.state, run) }, (recorded) => this.#recorded(due, recorded));
    });
  }

  #putOff(due: Due): void {
    const till = this.#options.clock.now() + taskPutOffMs;
    this.#commit(due, { moved: { state: stateOf(due), till } }, (reply) => this.#recorded(due, reply));
  }

  #commit(
    due: Due,
    { moved, enqueue }: { readonly moved: MovedTask; readonly enqueue?: TaskDefinition['target'] },
    done: (reply: Reply) => void,
  ): void {
    const { account, id, version, lane } = due;
    const taskEnd = [{ key: id, version, ...moved }];
    const sent =
      enqueue === undefined
        ? {}
        : {
            enqueue: [
              {
                key: enqueue.queue,
                data: enqueue.data,
                ...(enqueue.group !== undefined && { group: enqueue.group }),
                delayMs: 0,
                ttlMs: 0,
                priority: 0,
              },
            ],
          };
    const batch: Batch = { kind: 'batch', account, format: 'batch', ...sent, taskEnd };
    this.#running += 1;
    lane.running += 1;
    const deliver = (reply: Reply): void => {
      this.#running -= 1;
      lane.running -= 1;
      done(reply);
      if (this.#running === 0) this.#idle?.();
    };
    this.#options.router.request(batch, { disconnected: false, deliver });
  }

  /** What came of a task is on disk, or was refused. */
  #recorded(due: Due, { outcome, body }: Reply): void {
    // What is neither recorded nor outdated is tried again: nobody else will tell of it.
    if (outcome !== 'ok' && !isOutdated(body)) {
      this.#options.after(againMs, () => {
        if (due.newer === undefined) this.#line.push(due.account, due);
        else {
          this.#forget(due);
          this.#take(due.newer);
        }
        this.#pump();
      });
      return;
    }
    this.#forget(due);
    if (due.newer !== undefined) this.#take(due.newer);
    this.#pump();
    if (this.#bytes >= dueBytesMax || this.#known.size >= dueMax) return;
    const unasked = [...this.#unasked];
    this.#unasked.clear();
    for (const shard of unasked) this.#ask(shard);
  }

  #forget({ name, bytes, lane }: Due): void {
    this.#known.delete(name);
    this.#bytes -= bytes;
    lane.count -= 1;
    lane.bytes -= bytes;
    if (lane.count === 0) this.#lanes.delete(lane.account);
  }
}

function stateOf({ state }: Due): TaskState {
  return JSON.parse(state) as TaskState;
}

function definitionOf({ definition }: Due): TaskDefinition {
  return (JSON.parse(definition) as { readonly definition: TaskDefinition }).definition;
}

/** The task has changed, or is gone, since the dispatcher was told of it. */
function isOutdated(body: string): boolean {
  const { Failed = [] } = JSON.parse(body || '{}') as { readonly Failed?: readonly { readonly Field: string }[] };
  return Failed.some(({ Field }) => Field.startsWith('taskEnd'));
}
