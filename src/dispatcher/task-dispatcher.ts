/**
 * Runs the tasks that are due. It asks each shard for them, which answers once there are some, and commits what comes of
 * each run, if the task is still as it was. A message to a queue is part of that commit, as is all that a script does: it
 * happens exactly once. A request is sent before, so it may be sent again after a crash. What is under way is known in
 * memory only: whatever has not been recorded is due again after a start.
 *
 *   told by a shard ──► in line, by account and flow ──► running ──► recorded
 *                           └──too many of one account──► put off by a minute
 *
 * Accounts have their turns one after the other, and each may run so many at once: the fewer places are left, the fewer
 * of them an account may have, so that some are left for others. A shard is not asked for more while too many stand in line.
 */
import { accountId, type AccountId } from '../protocol/ids.ts';
import type { DueTask, DueTasks } from '../protocol/operations/task-calls.ts';
import type { Reply } from '../protocol/replies.ts';
import type { Router } from '../router/router.ts';
import {
  accountDueBytesMax,
  accountDueMax,
  accountTaskCallsMax,
  accountTaskRunsMax,
  dueBytesMax,
  dueMax,
  duePageBytesMax,
  taskCallsMax,
  taskRunsMax,
} from '../shared/task-limits.ts';
import { definitionOf, stateOf, workOfTarget, works, type AccountLane, type Due, type Work } from './due-task.ts';
import { Flows } from './flows.ts';
import { Secrets, type SecretsOptions } from './secrets.ts';
import { TaskLines } from './task-lines.ts';
import { againMs, TaskRuns, type RunDone, type TaskRunsOptions } from './task-runs.ts';

export interface TaskDispatcherOptions
  extends Omit<TaskRunsOptions, 'secrets' | 'flows'>,
    Pick<SecretsOptions, 'newSecret'> {
  readonly router: Pick<Router, 'request' | 'dueTasks'>;
  readonly shards: number;
  /** Returns the microseconds that this thread has worked, since an arbitrary moment. */
  readonly meter: () => number;
  /** Requests under way at once, of all accounts and of one. */
  readonly parallel: number;
  readonly accountParallel: number;
  /** Tasks in line, of all accounts and of one. */
  readonly most?: { readonly due: number; readonly accountDue: number };
}

export class TaskDispatcher {
  readonly #options: TaskDispatcherOptions;
  readonly #lines = new TaskLines();
  readonly #known = new Map<string, Due>();
  readonly #lanes = new Map<AccountId, AccountLane>();
  readonly #flows: Flows;
  readonly #runs: TaskRuns;
  /** Flows that wait for the end of a run, each with a task of each of its lines. */
  readonly #waiting = new Map<string, Due[]>();
  /** Shards that are not asked because too many stand in line. */
  readonly #unasked = new Set<number>();
  readonly #running: Record<Work, number> = { commit: 0, call: 0, send: 0 };
  readonly #most: NonNullable<TaskDispatcherOptions['most']>;
  #bytes = 0;
  #stopped = false;
  #idle: (() => void) | undefined;

  constructor(options: TaskDispatcherOptions) {
    this.#options = options;
    this.#most = options.most ?? { due: dueMax, accountDue: accountDueMax };
    this.#flows = new Flows(options.router, options.clock);
    this.#runs = new TaskRuns({ ...options, secrets: new Secrets(options), flows: this.#flows });
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
    return works.every((work) => this.#running[work] === 0);
  }

  get #isFull(): boolean {
    return this.#bytes >= dueBytesMax || this.#known.size >= this.#most.due;
  }

  #ask(shard: number): void {
    if (this.#stopped) return;
    if (this.#isFull) {
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
    const [account, id, version] = task;
    const known = this.#known.get(`${account}\0${id}`);
    if (known !== undefined) {
      if (known.version === version) return;
      known.newer = task;
      // Its line may be shut, and what is new may stand in another one.
      if (!known.waits) return;
      this.#lines.drop(known);
      this.#forget(known);
    }
    const due = dueOf(task, this.#laneOf(accountId(account)));
    const { lane, bytes } = due;
    const isTooMuch = this.#isTooMuch(lane);
    this.#known.set(due.name, due);
    this.#bytes += bytes;
    lane.count += 1;
    lane.bytes += bytes;
    if (!isTooMuch) return this.#lines.push(due);
    this.#enter(due);
    this.#runs.putOff(due, this.#done(due));
  }

  /** An account never takes the last places, or nobody else's tasks would be heard of. */
  #isTooMuch({ count, bytes }: AccountLane): boolean {
    const { due, accountDue } = this.#most;
    const countMax = Math.min(accountDue, (due - this.#known.size) / 2);
    const bytesMax = Math.min(accountDueBytesMax, (dueBytesMax - this.#bytes) / 2);
    return count > 0 && (count >= countMax || bytes >= bytesMax);
  }

  #laneOf(account: AccountId): AccountLane {
    let lane = this.#lanes.get(account);
    if (lane === undefined) {
      lane = { account, count: 0, bytes: 0, running: { commit: 0, call: 0, send: 0 } };
      this.#lanes.set(account, lane);
    }
    return lane;
  }

  #pump(): void {
    const { meter, counts } = this.#options;
    this.#lines.releaseWaiting();
    while (!this.#stopped) {
      const due = this.#lines.take((lane, work) => this.#mayBegin(lane, work));
      if (due === undefined) break;
      const before = meter();
      this.#begin(due);
      this.#lines.charge(meter() - before);
    }
    counts?.inLine(this.#known.size, this.#running.send);
  }

  #mayBegin({ running }: AccountLane, work: Work): boolean {
    if (work === 'commit') return this.#running.commit < taskRunsMax && running.commit < accountTaskRunsMax;
    const { parallel, accountParallel } = this.#options;
    const [most, mostOfAccount] = work === 'send' ? [parallel, accountParallel] : [taskCallsMax, accountTaskCallsMax];
    const left = most - this.#running[work];
    return left > 0 && running[work] < Math.min(mostOfAccount, Math.max(1, Math.floor(left / 2)));
  }

  #begin(due: Due): void {
    const { account, flow, isAsked } = due;
    this.#enter(due);
    if (flow === undefined) return this.#runs.begin(due, this.#done(due));
    // One question at a time: the others of the flow wait for it.
    this.#lines.shut(due);
    this.#flows.ask({ account, flow, isAsked }, (verdict) => {
      if (verdict === 'begins') {
        this.#lines.open(due);
        this.#runs.begin(due, this.#done(due, flow));
        return this.#pump();
      }
      this.#lines.pushFirst(due);
      this.#leave(due);
      if (verdict === 'waits-for-end') this.#waitForEnd(due, flow);
      else this.#options.after(verdict.waitsMs, () => this.#reopen(due));
    });
  }

  #reopen(due: Due): void {
    this.#lines.open(due);
    this.#pump();
  }

  /** Takes a place of its account, until it is recorded or put back. */
  #enter({ work, lane }: Due): void {
    this.#running[work] += 1;
    lane.running[work] += 1;
  }

  #leave({ work, lane }: Due): void {
    this.#running[work] -= 1;
    lane.running[work] -= 1;
    if (this.#isIdle) this.#idle?.();
  }

  /** @param flow whose limits it has kept */
  #done(due: Due, flow?: string): RunDone {
    return (how) => {
      this.#leave(due);
      if (flow !== undefined) this.#flowEnded(due, flow);
      // Nobody else will tell of it.
      if (how === 'again') this.#options.after(againMs, () => this.#again(due));
      else this.#recorded(due);
    };
  }

  #again(due: Due): void {
    if (due.newer === undefined) this.#lines.push(due);
    else this.#renew(due, due.newer);
    this.#pump();
  }

  #recorded(due: Due): void {
    if (due.newer === undefined) this.#forget(due);
    else this.#renew(due, due.newer);
    this.#pump();
    if (this.#isFull) return;
    const unasked = [...this.#unasked];
    this.#unasked.clear();
    for (const shard of unasked) this.#ask(shard);
  }

  #waitForEnd(due: Due, flow: string): void {
    const name = `${due.account}\0${flow}`;
    this.#waiting.set(name, [...(this.#waiting.get(name) ?? []), due]);
  }

  #flowEnded({ account }: Due, flow: string): void {
    const name = `${account}\0${flow}`;
    this.#flows.ended(account, flow);
    for (const due of this.#waiting.get(name) ?? []) this.#lines.open(due);
    this.#waiting.delete(name);
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

function dueOf([account, id, version, state, definition]: DueTask, lane: AccountLane): Due {
  const { target, flow } = definitionOf({ definition });
  const isAsked = stateOf({ state }).asked === true;
  return {
    name: `${account}\0${id}`,
    account: lane.account,
    id,
    version,
    state,
    definition,
    bytes: 2 * (id.length + state.length + definition.length) + 500,
    lane,
    work: workOfTarget[target.kind],
    ...(flow !== undefined && { flow }),
    isAsked,
    waits: false,
  };
}
