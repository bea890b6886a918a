/** Inspects and forces locks. `client.lock` takes one. */
import { showCallers } from './caller.ts';
import { lockName } from './call-names.ts';
import { anId, anInteger } from './checks.ts';
import { setOfIds } from './batch-to-wire.ts';
import type { LockOptions, LockSet } from './lock.ts';
import { LockLostError } from './errors.ts';
import { leavable } from './leavable.ts';
import { pathOf } from './paths.ts';
import { checkListArguments, checkPage, type PageOptions } from './kv.ts';
import { checkOptions, type NamesOf } from './option-names.ts';
import { checkCallOptions, type CallOptions, type StoreCalls } from './store-calls.ts';

/** A lock as the server sees it. */
export interface LockInfo {
  /** Name of the lock. */
  readonly id: string;
  /** Whether anybody holds it. */
  readonly locked: boolean;
  /** Number of waiting requests. */
  readonly waiters: number;
  /** What the holder has passed as `meta`. */
  readonly meta?: unknown;
  /** When it was taken: milliseconds since the epoch, by the server's clock; only of a lock that is held. */
  readonly since?: number;
  /** When it ends without a renewal: milliseconds since the epoch, by the server's clock; only of a held lock. */
  readonly till?: number;
  /** Of a lock that several hold: how many do. */
  readonly holders?: number;
  /** The permits that it is held with. */
  readonly limit?: number;
}

/** Options of `locks.force`. */
export interface ForceOptions extends CallOptions {
  /** 1 to 200 characters. */
  readonly reason?: string | undefined;
}

const forceNames: NamesOf<ForceOptions> = { signal: true, reason: true };

/** Held locks at one moment. */
export interface LockPage {
  /** In byte order of their ids. */
  readonly locks: readonly LockInfo[];
  /** Pass it for the next page; absent: this is the last page. */
  readonly after?: string;
  /** The revision that the page shows. */
  readonly rev: number;
}

type TakeSet = (ids: readonly string[], options: Omit<LockOptions, 'read'>) => Promise<LockSet>;

const setNames: NamesOf<Omit<LockOptions, 'read'>> = { ttl: true, wait: true, signal: true, meta: true };

/** Looks at durable locks, takes several together, and takes them away: `client.locks`. */
export class Locks {
  static {
    showCallers(this, 'get', 'isHeld', 'page', 'list', 'force', 'all');
  }

  readonly #calls: StoreCalls;
  readonly #account: string;
  readonly #take: TakeSet;

  /** @internal */
  constructor(calls: StoreCalls, account: string, take: TakeSet) {
    this.#calls = calls;
    this.#account = account;
    this.#take = take;
  }

  /**
   * Takes several locks together, 1 to 32, under one fence: all or none. Nobody who does so waits for another in a circle.
   * @throws NotLockedError if they are not all free within the wait
   */
  async all(ids: readonly string[], options: Omit<LockOptions, 'read'> = {}): Promise<LockSet> {
    checkOptions(options, setNames);
    return this.#take(setOfIds(ids, 'ids'), options);
  }

  /** Who holds the lock, and how many wait for it. A lock that nobody holds is `locked: false`. */
  async get(id: string, options?: CallOptions): Promise<LockInfo> {
    checkCallOptions(options);
    const path = pathOf(this.#account, 'lock', anId(id, 'id'));
    const body = await this.#calls.rest('GET', path, [lockName(id)], options);
    return infoOf({ ...body, LockID: id } as unknown as WireLock);
  }

  /** Whether the lock is held under this fence right now. For a service that receives fences, perhaps too late. */
  async isHeld(id: string, fence: number, options?: CallOptions): Promise<boolean> {
    checkCallOptions(options);
    const path = pathOf(this.#account, 'lock', anId(id, 'id'), { fence: anInteger(fence, 'fence', 1) });
    try {
      await this.#calls.rest('GET', path, [lockName(id)], options);
      return true;
    } catch (error) {
      if (error instanceof LockLostError) return false;
      throw error;
    }
  }

  /** One page of the held locks, in byte order of their ids. */
  async page(options: PageOptions = {}): Promise<LockPage> {
    checkPage(options);
    const { prefix, after, limit, signal } = options;
    const path = pathOf(this.#account, 'lock', undefined, { prefix, after, limit });
    const body = await this.#calls.rest('GET', path, [], { signal });
    const { Locks, More, After, Rev } = body as unknown as WireLockPage;
    return { locks: Locks.map((row) => infoOf({ ...row, Locked: true })), rev: Rev, ...(More && { after: After! }) };
  }

  /** Iterates over the held locks whose ids begin with the prefix. Each page shows one moment. */
  list(prefix: string, options: Omit<PageOptions, 'prefix'> = {}): AsyncGenerator<LockInfo, void, undefined> {
    checkListArguments(prefix, options);
    return leavable(options.signal, (signal) => this.#list(prefix, { ...options, signal }));
  }

  async *#list(prefix: string, options: Omit<PageOptions, 'prefix'>): AsyncGenerator<LockInfo, void, undefined> {
    let { after } = options;
    do {
      const page: LockPage = await this.page({ ...options, prefix, after });
      yield* page.locks;
      ({ after } = page);
    } while (after !== undefined);
  }

  /**
   * Takes the lock away from its holder, whose lock is then lost. Requires the scope `force`. The audit log says who has
   * done it, and why; the holder is told the reason.
   */
  async force(id: string, options: ForceOptions = {}): Promise<void> {
    checkOptions(options, forceNames);
    const { reason, signal } = options;
    const unlock = { id, ...(reason !== undefined && { reason }) };
    await this.#calls.batch({ unlock }, { signal, renaming: { 'unlock.': '' } });
  }
}

interface WireLock {
  readonly LockID: string;
  readonly Locked: boolean;
  readonly Waiters: number;
  readonly Meta?: unknown;
  readonly Since?: number;
  readonly TillMs?: number;
  readonly Holders?: number;
  readonly LockLimit?: number;
}

interface WireLockPage {
  readonly Locks: readonly Omit<WireLock, 'Locked'>[];
  readonly More?: boolean;
  readonly After?: string;
  readonly Rev: number;
}

function infoOf({ LockID, Locked, Waiters, Meta, Since, TillMs, Holders, LockLimit }: WireLock): LockInfo {
  return {
    id: LockID,
    locked: Locked,
    waiters: Waiters ?? 0,
    ...(Meta !== undefined && { meta: Meta }),
    ...(Since !== undefined && { since: Since }),
    ...(TillMs !== undefined && { till: TillMs }),
    ...(Holders !== undefined && { holders: Holders }),
    ...(LockLimit !== undefined && { limit: LockLimit }),
  };
}
