/**
 * The server without its HTTP front end, in this thread, on a disk in memory and with a clock that the test moves. It
 * can be stopped and started again, and it can lose power: a seed decides which unsynced data survives.
 */
import type { TestContext } from 'node:test';
import { accountId, type AccountId } from '../../src/protocol/ids.ts';
import { kinds } from '../../src/protocol/record.ts';
import { startInProcess, type InProcess } from './in-process.ts';
import { defaultLimits, type Limits } from '../../src/shared/limits.ts';
import { MemoryCheckpointStore } from './memory-checkpoint-store.ts';
import { startOfTime, type Body } from './core-under-test.ts';
import { FaultDisk } from './fault-disk.ts';
import { assertCounts } from './assert-counts.ts';
import { digestOf } from './map-entries.ts';
import { ShardStore } from '../../src/storage/shard-store.ts';
import { AskedClient } from './router-under-test.ts';
import type { Command } from '../../src/protocol/operations/operations.ts';

export interface InMemoryOptions {
  readonly shards: number;
  readonly limits?: Partial<Limits>;
  readonly segmentBytes?: number;
  readonly keepBytes?: number;
}

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

export class ServerInMemory {
  now = startOfTime;
  disk = new FaultDisk(1);
  readonly checkpoints: MemoryCheckpointStore[];
  readonly #options: InMemoryOptions;
  readonly #mock: TestContext['mock'];
  #running: InProcess | undefined;
  #deferred: (() => void)[] = [];
  #timers = new Set<Timer>();
  #replies = 0;

  private constructor(options: InMemoryOptions, mock: TestContext['mock']) {
    this.#options = options;
    this.#mock = mock;
    this.checkpoints = Array.from({ length: options.shards }, () => new MemoryCheckpointStore());
  }

  /** Replaces `setTimeout`, by which watches end, while the test runs. */
  static async start(context: TestContext, options: InMemoryOptions): Promise<ServerInMemory> {
    context.mock.timers.reset();
    context.mock.timers.enable({ apis: ['setTimeout'] });
    const server = new ServerInMemory(options, context.mock);
    await server.start();
    return server;
  }

  get running(): InProcess {
    if (this.#running === undefined) throw new Error('the server does not run');
    return this.#running;
  }

  async start(): Promise<void> {
    const { shards, limits, ...rest } = this.#options;
    // The pending work of an earlier start ends with it.
    const deferred: (() => void)[] = [];
    const timers = new Set<Timer>();
    this.#deferred = deferred;
    this.#timers = timers;
    const starting = startInProcess({
      shards,
      limits: { ...defaultLimits, ...limits },
      segmentBytes: 256 * 1024,
      ...rest,
      disk: this.disk,
      journalDirectory: '/data/journal',
      checkpoints: this.checkpoints,
      clock: { now: () => this.now },
      defer: (run) => void deferred.push(run),
      after: (delayMs, run) => {
        if (delayMs === 0) return soon(deferred, run);
        const timer = { at: this.now + delayMs, run };
        timers.add(timer);
        return () => timers.delete(timer);
      },
      randomBytes: (count) => Buffer.alloc(count, 7),
      log: () => {},
    });
    this.#running = await this.until(starting);
    await this.settle();
  }

  /** Stops cleanly. */
  async stop(): Promise<void> {
    await this.until(this.running.stop());
    this.#running = undefined;
  }

  /** Cuts the power and starts again. */
  async crash(seed: number): Promise<void> {
    this.#running = undefined;
    this.disk = this.disk.powerCut(seed);
    await this.start();
  }

  send(command: Command): AskedClient {
    const client = this.client();
    client.pending = this.running.router.request(command, client);
    return client;
  }

  client(): AskedClient {
    return new AskedClient(() => this.#replies++);
  }

  async ask(command: Command): Promise<AskedClient> {
    const client = this.send(command);
    await this.settle();
    return client;
  }

  async ok(command: Command): Promise<Body> {
    const client = await this.ask(command);
    if (client.waits || client.status !== 200) throw new Error(`refused: ${client.reply?.body ?? 'it waits'}`);
    return client.body;
  }

  /** Runs until nothing is left to do at this moment. */
  async settle(): Promise<void> {
    for (;;) {
      await promisesSettle();
      if (this.#deferred.length === 0) return;
      await this.steps(this.#deferred.length);
    }
  }

  /** Runs some of the pending work, and the promises that it resolves. */
  async steps(count: number): Promise<void> {
    for (let i = 0; i < count && this.#deferred.length > 0; i++) {
      this.#deferred.shift()!();
      await Promise.resolve();
    }
    await promisesSettle();
  }

  async until<Value>(promise: Promise<Value>): Promise<Value> {
    const outcome = { settled: false };
    const finish = (): void => void (outcome.settled = true);
    promise.then(finish, finish);
    for (let idle = 0; !outcome.settled && idle < 1000; idle++) {
      if (this.#deferred.length > 0) idle = 0;
      await this.settle();
    }
    if (!outcome.settled) throw new Error('it waits for something that never comes');
    return promise;
  }

  /** Settles at every timer on the way. */
  async advance(ms: number): Promise<void> {
    const end = this.now + ms;
    await this.settle();
    for (;;) {
      const at = Math.min(...[...this.#timers].map((timer) => timer.at));
      if (at > end) break;
      await this.#moveTo(Math.max(at, this.now));
    }
    await this.#moveTo(end);
  }

  /** Digests all durable content of these accounts. */
  digest(accounts: readonly AccountId[] = [accountId('acme')]): string {
    for (const { entries } of this.running.states) if (entries instanceof ShardStore) assertCounts(entries);
    const { boot: _, ...content } = kinds;
    return digestOf(
      this.running.states.flatMap(({ entries }) =>
        accounts.flatMap((account) => Object.values(content).flatMap((kind) => [...entries.range(kind, account, '')])),
      ),
    );
  }

  async #moveTo(now: number): Promise<void> {
    this.#mock.timers.tick(now - this.now);
    this.now = now;
    for (const timer of this.#timers) {
      if (timer.at > now) continue;
      this.#timers.delete(timer);
      timer.run();
    }
    await this.settle();
  }
}

function promisesSettle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Runs after the work that is pending now. Returns a function that cancels it. */
function soon(deferred: (() => void)[], run: () => void): () => void {
  let cancelled = false;
  deferred.push(() => {
    if (!cancelled) run();
  });
  return () => (cancelled = true);
}
