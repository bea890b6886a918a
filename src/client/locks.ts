/** Inspects and forces locks. `client.lock` takes one. */
import { lockName } from './batch.ts';
import { anId } from './checks.ts';
import { LockLostError } from './errors.ts';
import { leavable } from './leavable.ts';
import { pathOf } from './paths.ts';
import type { PageOptions } from './kv.ts';
import type { CallOptions, StoreCalls } from './store-calls.ts';

export interface LockInfo {
  readonly id: string;
  readonly locked: boolean;
  /** Number of waiting requests. */
  readonly waiters: number;
  readonly meta?: unknown;
  /** Milliseconds since the epoch, by the server's clock; only of a lock that is held. */
  readonly since?: number;
  readonly till?: number;
}

export interface LockPage {
  readonly locks: readonly LockInfo[];
  /** Pass it for the next page; absent: this is the last page. */
  readonly after?: string;
  readonly rev: number;
}

export class Locks {
  readonly #calls: StoreCalls;
  readonly #account: string;

  constructor(calls: StoreCalls, account: string) {
    this.#calls = calls;
    this.#account = account;
  }

  async get(id: string, options?: CallOptions): Promise<LockInfo> {
    const path = pathOf(this.#account, 'lock', anId(id, 'id'));
    const body = await this.#calls.rest('GET', path, [lockName(id)], options);
    return infoOf({ ...body, LockID: id } as unknown as WireLock);
  }

  /** Whether the lock is held under this fence right now. For a service that receives fences, perhaps too late. */
  async isHeld(id: string, fence: number, options?: CallOptions): Promise<boolean> {
    try {
      await this.#calls.rest('GET', pathOf(this.#account, 'lock', anId(id, 'id'), { fence }), [lockName(id)], options);
      return true;
    } catch (error) {
      if (error instanceof LockLostError) return false;
      throw error;
    }
  }

  /** One page of the held locks, in byte order of their ids. */
  async page({ prefix, after, limit, signal }: PageOptions = {}): Promise<LockPage> {
    const path = pathOf(this.#account, 'lock', undefined, { prefix, after, limit });
    const body = await this.#calls.rest('GET', path, [], { signal });
    const { Locks, More, After, Rev } = body as unknown as WireLockPage;
    return { locks: Locks.map((row) => infoOf({ ...row, Locked: true })), rev: Rev, ...(More && { after: After! }) };
  }

  list(prefix: string, options: Omit<PageOptions, 'prefix'> = {}): AsyncGenerator<LockInfo, void, undefined> {
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

  /** Takes the lock away from its holder, whose lock is then lost. Requires the scope `force`. */
  async force(id: string, options?: CallOptions): Promise<void> {
    await this.#calls.batch({ unlock: { id } }, options);
  }
}

interface WireLock {
  readonly LockID: string;
  readonly Locked: boolean;
  readonly Waiters: number;
  readonly Meta?: unknown;
  readonly Since?: number;
  readonly TillMs?: number;
}

interface WireLockPage {
  readonly Locks: readonly Omit<WireLock, 'Locked'>[];
  readonly More?: boolean;
  readonly After?: string;
  readonly Rev: number;
}

function infoOf({ LockID, Locked, Waiters, Meta, Since, TillMs }: WireLock): LockInfo {
  return {
    id: LockID,
    locked: Locked,
    waiters: Waiters ?? 0,
    ...(Meta !== undefined && { meta: Meta }),
    ...(Since !== undefined && { since: Since }),
    ...(TillMs !== undefined && { till: TillMs }),
  };
}
