/**
 * The client. One of it serves a whole process: it keeps its connections, and calls that are made together travel
 * together (`call-queue.ts`). It is closed with `close`, or by `await using`.
 *
 * Every call ends within `timeout`, plus what it waits for by itself: with a result, or with an error whose class says
 * what is known (`errors.ts`).
 */
import { acquire, type AcquireContext } from './acquire.ts';
import type { Batch, BatchResult } from './batch.ts';
import { CallSender } from './call-sender.ts';
import { Counters } from './counters.ts';
import { LockLostError } from './errors.ts';
import { HttpTransport, type Transport } from './transport.ts';
import { KeyValues } from './kv.ts';
import { CallQueue } from './call-queue.ts';
import { durableLocks, mutexes, type LockFamily } from './lock-family.ts';
import { Lock, Mutex, type HeldLock, type LockOptions } from './lock.ts';
import { Locks } from './locks.ts';
import { settingsOf, type DragonLockOptions, type Settings } from './options.ts';
import { Sequences } from './sequences.ts';
import { StoreCalls, type CallOptions } from './store-calls.ts';
import { systemLeaseClock, type LeaseClock } from './lease-clock.ts';
import { Watches } from './watches.ts';

/** What tests replace. */
export interface ClientDependencies {
  readonly transport?: (settings: Settings) => Transport;
  readonly clock?: LeaseClock;
  readonly random?: () => number;
  readonly defer?: (run: () => void) => void;
}

/** A server that is away keeps no process from ending: what was not given back then ends with its ttl. */
const closeMsMax = 3000;

export class DragonLock implements AsyncDisposable {
  readonly kv: KeyValues;
  readonly counter: Counters;
  readonly sequence: Sequences;
  readonly locks: Locks;
  readonly watch: Watches;
  readonly account: string;
  readonly url: string;
  readonly #sender: CallSender;
  readonly #calls: StoreCalls;
  readonly #acquireContext: AcquireContext;
  readonly #locks: LockFamily;
  readonly #mutexes: LockFamily;
  readonly #heldLocks = new Set<HeldLock>();
  readonly #background = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  constructor(options: DragonLockOptions = {}, dependencies: ClientDependencies = {}) {
    const settings = settingsOf(options, process.env);
    const { account, url } = settings;
    this.account = account;
    this.url = url;
    this.#sender = new CallSender(settings, {
      transport: dependencies.transport?.(settings) ?? new HttpTransport(settings),
      clock: dependencies.clock ?? systemLeaseClock,
      random: dependencies.random ?? Math.random,
    });
    const queue = new CallQueue(this.#sender, dependencies.defer ?? setImmediate);
    this.#calls = new StoreCalls(queue, this.#sender);
    this.kv = new KeyValues(this.#calls, account);
    this.counter = new Counters(this.#calls, account);
    this.sequence = new Sequences(this.#calls, account);
    this.locks = new Locks(this.#calls, account);
    this.watch = new Watches(this.#sender, this.kv);
    this.#locks = durableLocks(account);
    this.#mutexes = mutexes(account);
    this.#acquireContext = {
      sender: this.#sender,
      run: (call, names, batch) => queue.run({ ...call, names, ...(batch !== undefined && { batch }) }),
      heldLocks: this.#heldLocks,
      background: (work) => {
        this.#background.add(work);
        void work.finally(() => this.#background.delete(work));
      },
    };
  }

  /** Everything or nothing, in one commit. */
  batch(batch: Batch, options?: CallOptions): Promise<BatchResult> {
    return this.#calls.batch(batch, options);
  }

  /**
   * Takes a lock, and keeps it until it is released: `await using lock = await client.lock('order:7')`.
   * @throws NotLockedError when it is busy and the wait ran out
   */
  async lock(id: string, options: LockOptions = {}): Promise<Lock> {
    const acquisition = await acquire(this.#locks, this.#acquireContext, id, options);
    return new Lock(acquisition, (batch) => this.#calls.batch(batch));
  }

  /** Runs the function while the lock is held, and gives the lock back however it ends. */
  withLock<Result>(id: string, options: LockOptions, run: (lock: Lock) => Result | Promise<Result>): Promise<Result> {
    return this.#while(this.lock(id, options), run);
  }

  /** Takes a lock that lives in the server's memory only: faster, and gone at a restart. */
  async mutex(id: string, options: LockOptions = {}): Promise<Mutex> {
    return new Mutex(await acquire(this.#mutexes, this.#acquireContext, id, options));
  }

  withMutex<Result>(
    id: string,
    options: LockOptions,
    run: (mutex: Mutex) => Result | Promise<Result>,
  ): Promise<Result> {
    return this.#while(this.mutex(id, options), run);
  }

  /** Of the server. */
  async version(): Promise<{ readonly version: string; readonly boot: string }> {
    const { body } = await this.#sender.call({ method: 'GET', path: '/version', retry: 'safe' });
    return { version: String(body['Version']), boot: String(body['Boot']) };
  }

  /** Gives back the locks that are still held, lets go of everything else. Calls under way fail with `ClosedError`. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    const givenBack = (async () => {
      await Promise.allSettled([...this.#heldLocks].map((lock) => lock.release()));
      await Promise.allSettled(this.#background);
    })();
    const late = Promise.withResolvers<void>();
    const clear = this.#sender.clock.pause(closeMsMax, late.resolve);
    await Promise.race([givenBack, late.promise]);
    clear();
    await this.#sender.close();
  }

  /**
   * What the function throws goes before anything that the release has to say. Behind a function that went well, a lock
   * that turns out to have been lost is an error: somebody else may have been at it. A release of which nobody knows
   * whether it arrived is none: the lock then ends with its ttl.
   */
  async #while<Held extends HeldLock, Result>(
    acquired: Promise<Held>,
    run: (held: Held) => Result | Promise<Result>,
  ): Promise<Result> {
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
