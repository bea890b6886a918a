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
import { infoOf, type TaskInfo, type TaskState } from './task-info.ts';
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

/** The secret that signs requests of tasks. */
export interface WebhookSecret {
  /** `whsec_` and base64. */
  readonly secret: string;
  /** The one before the last rotation, which signs, too. */
  readonly old?: string;
  /** Until when it does, in milliseconds since the epoch. */
  readonly oldTill?: number;
}

const makeNames: NamesOf<MakeTaskOptions> = { ...taskOptionNames, signal: true };
const cronNames: NamesOf<CronOptions> = { ...makeNames, tz: true };
const cancelNames = { version: true, signal: true } as const;

/** The tasks of the account. */
export class Tasks {
  static {
    showCallers(this, 'at', 'after', 'cron', 'every', 'get', 'list', 'cancel', 'pause', 'resume', 'run');
    showCallers(this, 'secret', 'rotateSecret');
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

  /** The secret that signs requests; it is made when it is first asked for. Needs the scope `admin`. */
  secret(options?: CallOptions): Promise<WebhookSecret> {
    return this.#secret('GET', options);
  }

  /** Makes another secret. For a day requests are signed with both. Needs the scope `admin`. */
  rotateSecret(options?: CallOptions): Promise<WebhookSecret> {
    return this.#secret('POST', options);
  }

  async #secret(method: 'GET' | 'POST', options: CallOptions | undefined): Promise<WebhookSecret> {
    checkCallOptions(options);
    const body = await this.#calls.rest(method, pathOf(this.#account, 'secret/webhook', undefined), [], options);
    const { Secret, Old, OldTillMs } = body as unknown as { Secret: string; Old?: string; OldTillMs?: number };
    return { secret: Secret, ...(Old !== undefined && { old: Old, oldTill: OldTillMs! }) };
  }

  async #make(
    times: Pick<TaskOperation, 'id' | 'at' | 'delay' | 'cron' | 'tz' | 'every'>,
    target: TaskTarget,
    options: MakeTaskOptions,
  ): Promise<TaskMade> {
    checkOptions(options, makeNames);
    checkOptions(target, targetNames(target), 'target');
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
