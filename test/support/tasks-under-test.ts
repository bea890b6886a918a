/** Shards and routers as in `RouterUnderTest`, and a dispatcher of tasks on a router of its own. */
import { TaskDispatcher, type TaskDispatcherOptions } from '../../src/dispatcher/task-dispatcher.ts';
import type { TaskCounts } from '../../src/dispatcher/task-counts.ts';
import { Fences } from '../../src/protocol/epochs.ts';
import type { AccountId } from '../../src/protocol/ids.ts';
import { lockDurMsMax } from '../../src/shared/limits.ts';
import { accountTaskRunsMax, taskRunsMax } from '../../src/shared/task-limits.ts';
import { acme } from './commands.ts';
import { FakeSink } from './fake-sink.ts';
import type { Body } from './core-under-test.ts';
import { RouterUnderTest, type RouterTestOptions } from './router-under-test.ts';
import { executorOf } from './script-world.ts';
import type { FakePoolOptions } from './fake-script-pool.ts';
import { workMeter } from './work-meter.ts';

export interface TasksTestOptions extends Omit<RouterTestOptions, 'routers'> {
  readonly startsLater?: true;
  readonly parallel?: number;
  readonly epoch?: number;
  readonly counts?: TaskCounts;
  readonly most?: NonNullable<TaskDispatcherOptions['most']>;
  /** How scripts are run; absent: they are not. */
  readonly scripts?: FakePoolOptions;
}

export class TasksUnderTest extends RouterUnderTest {
  readonly dispatcher: TaskDispatcher;
  readonly sink = new FakeSink(() => this.now);

  constructor(options: TasksTestOptions) {
    super({ ...options, routers: 2 });
    const fences = new Fences(options.epoch ?? 2 ** 22);
    let secrets = 0;
    const { scripts } = options;
    this.dispatcher = new TaskDispatcher({
      router: this.routers[1]!,
      scripts: scripts && executorOf(this.routers[1]!, () => this.now, scripts),
      shards: options.shards,
      clock: { now: () => this.now },
      after: this.after,
      meter: workMeter(),
      wall: () => this.now,
      sink: this.sink,
      fences,
      ...(options.most !== undefined && { most: options.most }),
      ...(options.counts !== undefined && { counts: options.counts }),
      newSecret: () => `whsec_${Buffer.from(`secret ${(secrets += 1)}`).toString('base64')}`,
      parallel: options.parallel ?? taskRunsMax,
      accountParallel: accountTaskRunsMax,
    });
    if (options.startsLater === undefined) this.dispatcher.start();
  }

  /** Takes all messages of a queue. */
  async taken(queue: string, account: AccountId = acme): Promise<unknown[]> {
    const dequeue = { key: queue, max: 1000, groupMax: 1, durMs: lockDurMsMax, waitMs: 0 };
    const { Dequeue } = await this.ok({ kind: 'batch', account, format: 'batch', dequeue });
    return (Dequeue as { Messages: readonly { readonly Data: unknown }[] }).Messages.map(({ Data }) => Data);
  }

  task(id: string, account: AccountId = acme): Promise<Body> {
    return this.ok({ kind: 'task.get', account, id });
  }
}
