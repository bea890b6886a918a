/**
 * The client. One client serves a whole process: it keeps its connections open, and calls that are made together travel
 * together (`call-queue.ts`). Close it with `close` or `await using`.
 *
 * Every call ends within `timeout` plus the wait that it asks for, with a result or an error that says what is known.
 */
import { showCallers } from './caller.ts';
import { Accounts } from './account.ts';
import { acquire, type AcquireContext } from './acquire.ts';
import type { Batch } from './batch.ts';
import type { BatchResult } from './batch-result.ts';
import { CallSender } from './call-sender.ts';
import { Counters } from './counters.ts';
import { gotText, invalid } from './checks.ts';
import { LockLostError } from './errors.ts';
import { onEndingSignal } from './exit-signals.ts';
import { MovingTransport } from './moving-transport.ts';
import { HttpTransport, type Transport } from './transport.ts';
import { KeyValues } from './kv.ts';
import { CallQueue } from './call-queue.ts';
import { durableLocks, lockSets, mutexes, type LockFamily } from './lock-family.ts';
import { Lock, LockSet, Mutex, type HeldLock, type LockOptions } from './lock.ts';
import { takeFromLimit, type LimitOptions, type LimitResult } from './limits.ts';
import { Locks } from './locks.ts';
import { sectionOf, type Section, type SectionArguments } from './section.ts';
import { permitsOf } from './batch-to-wire.ts';
import { campaign, type ElectOptions, type Leader } from './elections.ts';
import { OpenLocks } from './open-locks.ts';
import { checkOptions, type NamesOf } from './option-names.ts';
import { settingsOf, type DragonLockOptions, type Settings } from './options.ts';
import { Queue, Queues, type QueueContext } from './queue.ts';
import { Scripts } from './scripts.ts';
import { Sequences } from './sequences.ts';
import { checkCallOptions, StoreCalls, type CallOptions } from './store-calls.ts';
import { askUsage, type Usage } from './usage.ts';
import { systemLeaseClock, type LeaseClock } from './lease-clock.ts';
import { Flows } from './flow.ts';
import { Tasks } from './task.ts';
import { Watches } from './watches.ts';

/** Tests replace these. */
export interface ClientDependencies {
  readonly transport?: (settings: Settings) => Transport;
  readonly clock?: LeaseClock;
  readonly random?: () => number;
  readonly defer?: (run: () => void) => void;
}

interface Internals {
  readonly open: OpenLocks;
  readonly calls: StoreCalls;
}
const internals = new WeakMap<DragonLock, Internals>();

/** What a store on this client uses of it, beyond its API. */
export function internalsOf(client: DragonLock): Internals {
  const known = internals.get(client);
  if (known === undefined) throw new TypeError('client: expected a DragonLock of the same copy of this package');
  return known;
}

const mutexNames = { ttl: true, wait: true, signal: true, meta: true } as const;
const lockNames: NamesOf<LockOptions> = { ...mutexNames, read: true };
const electNames: NamesOf<ElectOptions> = { ttl: true, signal: true, meta: true };

/** A client of one server and account. One serves a whole process. */
export class DragonLock implements AsyncDisposable {
  static {
    showCallers(this, 'batch', 'queue', 'limit', 'usage', 'lock', 'semaphore', 'elect', 'leader');
    showCallers(this, 'withLock', 'mutex', 'withMutex', 'version');
  }

  /** Keys with values, versions and expiry. */
  readonly kv: KeyValues;
  /** Counters: integers that are added to, and set. */
  readonly counter: Counters;
  /** Sequences: numbers from 1, without gaps. */
  readonly sequence: Sequences;
  /** Looks at durable locks, and takes them away. `lock` takes one. */
  readonly locks: Locks;
  /** Lists the queues. `queue` is one of them. */
  readonly queues: Queues;
  /** Tasks: something at a time, once or again and again. */
  readonly tasks: Tasks;
  /** Limits of tasks that have the same `flowKey`. */
  readonly flows: Flows;
  /** Functions that run beside the data, each call one commit. */
  readonly scripts: Scripts;
  /** The account as a whole: export, import, deletion. */
  readonly accounts: Accounts;
  /** Watches of keys and prefixes, as async iterators. */
  readonly watch: Watches;
  /** The account whose keys and locks these are. */
  readonly account: string;
  /** The URL of the server, without a slash at its end. */
  readonly url: string;
  readonly #sender: CallSender;
  readonly #calls: StoreCalls;
  readonly #acquireContext: AcquireContext;
  readonly #locks: LockFamily;
  readonly #mutexes: LockFamily;
  readonly #open = new OpenLocks();
  readonly #queueContext: QueueContext;
  /** Set with `releaseOnSignals`: stops listening. */
  #ignoreSignals: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  /** @throws TypeError that names the option */
  constructor(options: DragonLockOptions = {}, dependencies: ClientDependencies = {}) {
    const settings = settingsOf(options, process.env);
    const { account, url } = settings;
    this.account = account;
    this.url = url;
    this.#sender = new CallSender(settings, {
      transport: new MovingTransport(settings, dependencies.transport ?? ((own) => new HttpTransport(own))),
      clock: dependencies.clock ?? systemLeaseClock,
      random: dependencies.random ?? Math.random,
    });
    const queue = new CallQueue(this.#sender, dependencies.defer ?? setImmediate);
    this.#calls = new StoreCalls(queue, this.#sender);
    this.kv = new KeyValues(this.#calls, account);
    this.counter = new Counters(this.#calls, account);
    this.sequence = new Sequences(this.#calls, account);
    this.locks = new Locks(this.#calls, account, (ids, options) => this.#lockSet(ids, options));
    this.#queueContext = { calls: this.#calls, account, clock: this.#sender.clock, workers: new Set() };
    this.queues = new Queues(this.#queueContext);
    this.tasks = new Tasks(this.#calls, account);
    this.flows = new Flows(this.#calls, account);
    this.scripts = new Scripts(this.#calls, account);
    this.accounts = new Accounts(this.#calls, account);
    this.watch = new Watches(this.#sender, this.kv);
    this.#locks = durableLocks(account);
    this.#mutexes = mutexes(account);
    internals.set(this, { open: this.#open, calls: this.#calls });
    this.#acquireContext = {
      sender: this.#sender,
      run: (call, names, batch) => queue.run({ ...call, names, ...(batch !== undefined && { batch }) }),
      open: this.#open,
    };
    if (settings.releaseOnSignals) {
      this.#ignoreSignals = onEndingSignal((reason) => {
        this.#open.interrupt(reason);
        return this.close();
      });
    }
  }

  /** A queue of messages. It needs no declaration. */
  queue<Data = unknown>(name: string): Queue<Data> {
    return new Queue<Data>(name, this.#queueContext);
  }

  /** Runs a batch: everything or nothing, in one commit. */
  async batch(batch: Batch, options?: CallOptions): Promise<BatchResult> {
    checkCallOptions(options);
    return await this.#calls.batch(batch, { signal: options?.signal });
  }

  /**
   * Takes from a rate limit: `const { allowed } = await client.limit('api/7', { rate: 10, burst: 20 })`.
   * The parameters come with each call, so that no limit needs to be set up.
   */
  async limit(key: string, options: LimitOptions): Promise<LimitResult> {
    return await takeFromLimit(this.#calls, key, options);
  }

  /** What the account has stored, and what it may store. */
  async usage(options?: CallOptions): Promise<Usage> {
    return await askUsage(this.#calls, this.account, options);
  }

  /**
   * Takes a lock and renews it until it is released: `await using lock = await client.lock('order:7')`.
   * @throws NotLockedError if the lock is busy and the wait ran out
   */
  async lock(id: string, options: LockOptions = {}): Promise<Lock> {
    checkOptions(options, lockNames);
    return this.#lock(id, options);
  }

  #lock(id: string, options: LockOptions & { readonly limit?: number }): Promise<Lock> {
    return this.#open.acquire(options.signal, async (signal) => {
      const acquisition = await acquire(this.#locks, this.#acquireContext, id, { ...options, signal });
      return new Lock(acquisition, (batch) => this.#calls.batch(batch));
    });
  }

  #lockSet(ids: readonly string[], options: Omit<LockOptions, 'read'>): Promise<LockSet> {
    const family = lockSets(this.account, ids);
    return this.#open.acquire(options.signal, async (signal) => {
      const acquisition = await acquire(family, this.#acquireContext, ids[0]!, { ...options, signal });
      return new LockSet(ids, acquisition, (batch) => this.#calls.batch(batch));
    });
  }

  /**
   * Takes one of so many permits, 2 to 10,000, and renews it until it is released.
   * @throws NotLockedError if all are taken and the wait ran out; LimitMismatchError if others hold it with another number
   */
  async semaphore(id: string, permits: number, options: Omit<LockOptions, 'read'> = {}): Promise<Lock> {
    checkOptions(options, mutexNames);
    return this.#lock(id, { ...options, limit: permitsOf(permits, 'permits') });
  }

  /**
   * Waits until this client leads, runs the function as the leader, and resigns however it ends. Its lock's signal fires
   * when it may lead no more.
   */
  async elect<Result>(name: string, options: ElectOptions, run: Section<Lock, Result>): Promise<Result> {
    checkOptions(options, electNames);
    if (typeof run !== 'function') throw invalid(`the function to run: expected a function, got ${gotText(run)}`);
    return await this.#while(campaign(this, name, options), run);
  }

  /** Who leads; undefined: nobody. `watch.lock` tells of each change. */
  async leader(name: string, options?: CallOptions): Promise<Leader | undefined> {
    const { locked, meta, since } = await this.locks.get(name, options);
    return locked && since !== undefined ? { meta, since } : undefined;
  }

  /** Runs the function while the lock is held, and releases the lock however the function ends. */
  withLock<Result>(id: string, run: Section<Lock, Result>): Promise<Result>;
  withLock<Result>(id: string, options: LockOptions | undefined, run: Section<Lock, Result>): Promise<Result>;
  async withLock<Result>(id: string, ...rest: SectionArguments<Lock, Result>): Promise<Result> {
    const { options, run } = sectionOf(rest);
    return await this.#while(this.lock(id, options), run);
  }

  /** Takes a lock that lives only in the server's memory: faster, and lost at a restart. */
  async mutex(id: string, options: Omit<LockOptions, 'read'> = {}): Promise<Mutex> {
    checkOptions(options, mutexNames);
    return this.#open.acquire(
      options.signal,
      async (signal) => new Mutex(await acquire(this.#mutexes, this.#acquireContext, id, { ...options, signal })),
    );
  }

  /** Runs the function while the mutex is held, and releases the mutex however the function ends. */
  withMutex<Result>(id: string, run: Section<Mutex, Result>): Promise<Result>;
  withMutex<Result>(
    id: string,
    options: Omit<LockOptions, 'read'> | undefined,
    run: Section<Mutex, Result>,
  ): Promise<Result>;
  async withMutex<Result>(id: string, ...rest: SectionArguments<Mutex, Result>): Promise<Result> {
    const { options, run } = sectionOf(rest);
    return await this.#while(this.mutex(id, options), run);
  }

  /** Asks the server for its version. */
  async version(): Promise<{ readonly version: string; readonly boot: string }> {
    const { body } = await this.#sender.call({ method: 'GET', path: '/version', retry: 'safe' });
    return { version: String(body['Version']), boot: String(body['Boot']) };
  }

  /**
   * Releases the locks that are still held, and gives up those that are being acquired, within 3 seconds. Workers of
   * queues stop, and give their messages back. Then ends the connections. Calls and watches in flight fail with `ClosedError`.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** `close` for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    await Promise.all(Array.from(this.#queueContext.workers, (worker) => worker.stop({ drain: 0 })));
    await this.#open.close(this.#sender.clock);
    await this.#sender.close();
    this.#ignoreSignals?.();
  }

  /**
   * An error of the function takes precedence over an error of the release. After a function that succeeded, a lost
   * lock is an error, because another client may have held it meanwhile. A release whose outcome is unknown is no
   * error: the lock then ends with its ttl.
   */
  async #while<Held extends HeldLock, Result>(acquired: Promise<Held>, run: Section<Held, Result>): Promise<Result> {
    const held = await acquired;
    let result: Result;
    try {
      result = await run(held);
    } catch (error) {
      await held.release().catch(() => undefined);
      throw error;
    }
    await held.release().catch((error: unknown) => {
      if (error instanceof LockLostError) throw error;
    });
    return result;
  }
}
