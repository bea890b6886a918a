/**
 * What a client or a store has to give back before it is closed: locks that it holds, and acquires under way.
 *
 *     acquire ──granted──► held ──release──► given back
 *        │                  └─closed: released here ─► given back
 *        └─closed: its signal fires; it gives up, and releases what it may have been granted ─► given back
 *
 * Without that, each of them would stay locked at the server until its ttl is over.
 */
import { ClosedError } from './errors.ts';
import type { LeaseClock } from './lease-clock.ts';

export interface Releasable {
  release(): Promise<void>;
}

/** Milliseconds. An unreachable server does not keep the process alive: unreleased locks then end with their ttl. */
const closeMsMax = 3000;

export class OpenLocks {
  /** Closing it gives back what is open here too. */
  readonly #parent: OpenLocks | undefined;
  readonly #held = new Set<Releasable>();
  readonly #acquires = new Set<AbortController>();
  /** Acquires, and requests that must end before the connections do. */
  readonly #work = new Set<Promise<unknown>>();
  #closed = false;

  constructor(parent?: OpenLocks) {
    this.#parent = parent;
  }

  hold(lock: Releasable): void {
    this.#held.add(lock);
    this.#parent?.hold(lock);
  }

  forget(lock: Releasable): void {
    this.#held.delete(lock);
    this.#parent?.forget(lock);
  }

  /** `close` waits for this work. */
  track<Result>(work: Promise<Result>): Promise<Result> {
    this.#work.add(work);
    void this.#parent?.track(work);
    const forget = (): void => void this.#work.delete(work);
    work.then(forget, forget);
    return work;
  }

  /**
   * Runs an acquire with a signal that fires when the caller's does, or when this is closed.
   * @throws ClosedError if it is closed already; the reason of a signal that has fired; the error of the acquire
   */
  acquire<Held>(caller: AbortSignal | undefined, run: (signal: AbortSignal) => Promise<Held>): Promise<Held> {
    const here = (signal: AbortSignal | undefined): Promise<Held> => this.#acquire(signal, run);
    return this.track(this.#parent === undefined ? here(caller) : this.#parent.acquire(caller, here));
  }

  async #acquire<Held>(caller: AbortSignal | undefined, run: (signal: AbortSignal) => Promise<Held>): Promise<Held> {
    if (this.#closed) throw new ClosedError();
    caller?.throwIfAborted();
    const own = new AbortController();
    const abort = (): void => own.abort(caller?.reason);
    caller?.addEventListener('abort', abort, { once: true });
    this.#acquires.add(own);
    try {
      return await run(own.signal);
    } finally {
      this.#acquires.delete(own);
      caller?.removeEventListener('abort', abort);
    }
  }

  /** Gives everything back, as far as that is possible within 3 seconds. */
  async close(clock: LeaseClock): Promise<void> {
    this.#closed = true;
    for (const acquire of this.#acquires) acquire.abort(new ClosedError());
    const late = Promise.withResolvers<'late'>();
    const clear = clock.pause(closeMsMax, () => late.resolve('late'));
    // What is given back can begin other work: an acquire that gives up releases its grant.
    while (this.#held.size + this.#work.size > 0) {
      const releases = [...this.#held].map((lock) => lock.release());
      this.#held.clear();
      const ended = await Promise.race([Promise.allSettled([...releases, ...this.#work]), late.promise]);
      if (ended === 'late') break;
    }
    clear();
  }
}
