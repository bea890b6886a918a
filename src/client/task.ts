/** Tasks: `client.tasks` has something done at a time, once or again and again. */
import { showCallers } from './caller.ts';
import { anId, type Duration } from './checks.ts';
import { NotFoundError } from './errors.ts';
import { checkListArguments, type PageOptions } from './kv.ts';
import { leavable } from './leavable.ts';
import { checkOptions, type NamesOf } from './option-names.ts';
import { pathOf } from './paths.ts';
import { checkCallOptions, type CallOptions, type StoreCalls } from './store-calls.ts';
import { taskName } from './call-names.ts';
import {
  targetNames,
  taskOptionNames,
  type Moment,
  type TaskMade,
  type TaskOperation,
  type TaskOptions,
  type TaskTarget,
} from './task-batch.ts';

/** Options of calls that make a task. */
export interface MakeTaskOptions extends TaskOptions, CallOptions {}

/** Options of `tasks.cron`. */
export interface CronOptions extends MakeTaskOptions {
  /** The zone of the pattern, such as `'Europe/Rome'`. Default UTC. */
  readonly tz?: string | undefined;
}

/** `done` and `dead`: it has ended, and is remembered for an hour, or for two weeks. */
export type TaskState = 'scheduled' | 'paused' | 'done' | 'dead';

/** A task, and how its runs went. Times are milliseconds since the epoch, by the server's clock. */
export interface TaskInfo {
  /** Its name. */
  readonly id: string;
  /** Changes when it is replaced, and when it ends. */
  readonly version: number;
  /** What will become of it. */
  readonly state: TaskState;
  /** Its next instant; absent: it has ended. */
  readonly next?: number;
  /** Tries of this instant that have failed. */
  readonly attempts: number;
  /** Instants that have succeeded. */
  readonly runs: number;
  /** Instants that were passed over. */
  readonly skipped: number;
  /** Instants that have failed for good. */
  readonly failed: number;
  /** Why the last try failed; absent: it did not. */
  readonly lastError?: string;
  /** When the last run began. */
  readonly lastStart?: number;
  /** When the last run ended. */
  readonly lastEnd?: number;
  /** Where it sends a message. */
  readonly queue: string;
  /** The group of the message. */
  readonly group?: string;
  /** The pattern of its instants. */
  readonly cron?: string;
  /** The zone of the pattern. */
  readonly tz?: string;
  /** Milliseconds between two instants. */
  readonly every?: number;
  /** Absent in lists. */
  readonly data?: unknown;
}

/** Options of `tasks.list`. */
export interface TaskListOptions extends Omit<PageOptions, 'prefix'> {
  /** Only tasks in this state. */
  readonly state?: TaskState | undefined;
}

/** A task after it was paused, resumed or run. */
export interface TaskChanged {
  /** What will become of it. */
  readonly state: TaskState;
  /** Its next instant, in milliseconds since the epoch. */
  readonly next: number;
}

const makeNames: NamesOf<MakeTaskOptions> = { ...taskOptionNames, signal: true };
const cronNames: NamesOf<CronOptions> = { ...makeNames, tz: true };
const cancelNames = { version: true, signal: true } as const;

/** The tasks of the account. */
export class Tasks {
  static {
    showCallers(this, 'at', 'after', 'cron', 'every', 'get', 'list', 'cancel', 'pause', 'resume', 'run');
  }

  readonly #calls: StoreCalls;
  readonly #account: string;

  constructor(calls: StoreCalls, account: string) {
    this.#calls = calls;
    this.#account = account;
  }

  /** Once, at a moment; in the past: now. @throws DuplicateTaskError */
  at(id: string, when: Moment, target: TaskTarget, options: MakeTaskOptions = {}): Promise<TaskMade> {
    return this.#make({ at: when, id }, target, options);
  }

  /** Once, after a delay: milliseconds, or `'5m'`. @throws DuplicateTaskError */
  after(id: string, delay: Duration, target: TaskTarget, options: MakeTaskOptions = {}): Promise<TaskMade> {
    return this.#make({ delay, id }, target, options);
  }

  /** By a pattern of five or six fields, such as `'30 2 * * *'`, in a time zone. @throws DuplicateTaskError */
  cron(id: string, pattern: string, target: TaskTarget, options: CronOptions = {}): Promise<TaskMade> {
    checkOptions(options, cronNames);
    const { tz, ...others } = options;
    return this.#make({ cron: pattern, tz, id }, target, others);
  }

  /** Again and again, each time after so long. It counts from now. @throws DuplicateTaskError */
  every(id: string, interval: Duration, target: TaskTarget, options: MakeTaskOptions = {}): Promise<TaskMade> {
    return this.#make({ every: interval, id }, target, options);
  }

  /** @returns undefined: there is no such task */
  async get(id: string, options?: CallOptions): Promise<TaskInfo | undefined> {
    checkCallOptions(options);
    const path = pathOf(this.#account, 'task', anId(id, 'id'));
    try {
      return infoOf(await this.#calls.rest('GET', path, [taskName(id)], options));
    } catch (error) {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  }

  /** Iterates over the tasks whose IDs begin with the prefix, without their data. Each page shows one moment. */
  list(prefix: string, options: TaskListOptions = {}): AsyncGenerator<TaskInfo, void, undefined> {
    const { state: _, ...page } = options;
    checkListArguments(prefix, page);
    return leavable(options.signal, (signal) => this.#list(prefix, { ...options, signal }));
  }

  async *#list(prefix: string, options: TaskListOptions): AsyncGenerator<TaskInfo, void, undefined> {
    const { limit, state, signal } = options;
    let { after } = options;
    do {
      const path = pathOf(this.#account, 'task', undefined, { prefix, after, limit, state });
      const body = (await this.#calls.rest('GET', path, [], { signal })) as unknown as {
        Tasks: readonly object[];
        After?: string;
      };
      yield* body.Tasks.map(infoOf);
      after = body.After;
    } while (after !== undefined);
  }

  /** @returns whether there was such a task */
  async cancel(id: string, options: CallOptions & { readonly version?: number | undefined } = {}): Promise<boolean> {
    checkOptions(options, cancelNames);
    const { version, signal } = options;
    const batch = { cancelTasks: [{ id, version }] };
    const { cancelled = [] } = await this.#calls.batch(batch, { signal, renaming: { 'cancelTasks[0].': '' } });
    return cancelled[0]!.version > 0;
  }

  /** It does not run until it is resumed. @throws NotFoundError */
  pause(id: string, options?: CallOptions): Promise<TaskChanged> {
    return this.#change('pause/task', id, options);
  }

  /** It runs again; what was missed meanwhile is up to `misfire`. @throws NotFoundError */
  resume(id: string, options?: CallOptions): Promise<TaskChanged> {
    return this.#change('resume/task', id, options);
  }

  /** Has the next run now, or a dead one tried again. @throws NotFoundError */
  run(id: string, options?: CallOptions): Promise<TaskChanged> {
    return this.#change('run', id, options);
  }

  async #make(
    times: Pick<TaskOperation, 'id' | 'at' | 'delay' | 'cron' | 'tz' | 'every'>,
    target: TaskTarget,
    options: MakeTaskOptions,
  ): Promise<TaskMade> {
    checkOptions(options, makeNames);
    checkOptions(target, targetNames, 'target');
    const { signal, ...others } = options;
    const batch = { tasks: [{ ...times, ...target, ...others }] };
    const { tasks } = await this.#calls.batch(batch, { signal, renaming: { 'tasks[0].': '' } });
    return tasks![0]!;
  }

  async #change(
    verb: 'pause/task' | 'resume/task' | 'run',
    id: string,
    options: CallOptions | undefined,
  ): Promise<TaskChanged> {
    checkCallOptions(options);
    const path = pathOf(this.#account, verb, anId(id, 'id'));
    const body = await this.#calls.rest('POST', path, [taskName(id)], options);
    const { State, NextMs } = body as unknown as { State: TaskState; NextMs: number };
    return { state: State, next: NextMs };
  }
}

/** A task as the HTTP API shows it. */
interface WireTask {
  readonly ID: string;
  readonly Version: number;
  readonly State: TaskState;
  readonly NextMs?: number;
  readonly Attempts: number;
  readonly Runs: number;
  readonly Skipped: number;
  readonly Failed: number;
  readonly LastError?: string;
  readonly LastStartMs?: number;
  readonly LastEndMs?: number;
  readonly Queue: string;
  readonly Group?: string;
  readonly Cron?: string;
  readonly TZ?: string;
  readonly Every?: number;
  readonly Data?: unknown;
}

function infoOf(body: object): TaskInfo {
  const wire = body as WireTask;
  const { NextMs, LastError, LastStartMs, LastEndMs, Group, Cron, TZ, Every } = wire;
  return {
    id: wire.ID,
    version: wire.Version,
    state: wire.State,
    ...(NextMs !== undefined && { next: NextMs }),
    attempts: wire.Attempts,
    runs: wire.Runs,
    skipped: wire.Skipped,
    failed: wire.Failed,
    ...(LastError !== undefined && { lastError: LastError }),
    ...(LastStartMs !== undefined && { lastStart: LastStartMs }),
    ...(LastEndMs !== undefined && { lastEnd: LastEndMs }),
    queue: wire.Queue,
    ...(Group !== undefined && { group: Group }),
    ...(Cron !== undefined && { cron: Cron }),
    ...(TZ !== undefined && { tz: TZ }),
    ...(Every !== undefined && { every: Every * 1000 }),
    ...('Data' in wire && { data: wire.Data }),
  };
}
