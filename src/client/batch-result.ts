/** What a batch has done. Names follow the HTTP API, in JavaScript's case; see `batch.ts`. */
import type { Delivery, SendResult } from './queue-batch.ts';
import type { TaskMade } from './task-batch.ts';

/** What a batch has done. */
export interface BatchResult {
  /** The revision of the commit, or of the read. */
  readonly rev: number;
  /** In the order of `limit`. */
  readonly limit: readonly LimitTaken[];
  /** In the order of `atomic`. */
  readonly atomic: readonly CounterResult[];
  /** In the order of `get`; undefined: there is no such key. */
  readonly get: readonly (Entry | undefined)[];
  /** The page that was asked for; with `after`, there may be more behind it. */
  readonly range?: { readonly entries: readonly Entry[]; readonly after?: string };
  /** In the order of `set`. */
  readonly set: readonly SetResult[];
  /** The lock that the batch has taken or extended. */
  readonly lock?: Grant;
  /** In the order of `enqueue`. */
  readonly enqueue?: readonly SendResult[];
  /** What `dequeue` has taken. */
  readonly messages?: readonly Delivery[];
  /** In the order of `tasks`. */
  readonly tasks?: readonly TaskMade[];
  /** In the order of `cancelTasks`: the versions that are gone; 0: there was none. */
  readonly cancelled?: readonly { readonly id: string; readonly version: number }[];
}

/** A rate limit after something was taken. */
export interface LimitTaken {
  /** Name of the limit. */
  readonly key: string;
  /** How much is left. */
  readonly left: number;
  /** Milliseconds until all of the burst is there again. */
  readonly resetMs: number;
}

/** A counter after its change. */
export interface CounterResult {
  /** Name of the counter. */
  readonly key: string;
  /** The new value. */
  readonly value: number;
  /** The value before. */
  readonly old: number;
  /** When it ends by itself, if it does: milliseconds since the epoch, by the server's clock. */
  readonly till?: number;
}

/** A key with its value. */
export interface Entry<Value = unknown> {
  /** The key. */
  readonly key: string;
  /** The revision of the commit that has written it. Grows with each write. */
  readonly version: number;
  /** Any JSON. */
  readonly value: Value;
  /** When it expires, if it does: milliseconds since the epoch, by the server's clock. */
  readonly till?: number;
}

/** A key after it was written or deleted. */
export interface SetResult {
  /** The key. */
  readonly key: string;
  /** The new version; 0 after a delete. */
  readonly version: number;
  /** After a delete: whether the key existed. */
  readonly deleted?: boolean;
  /** What was there before the batch, if it was asked for; undefined: nothing. */
  readonly old?: Entry | undefined;
}

/** A lock that a batch has taken. */
export interface Grant {
  /** The fencing token. Grows with every holder of the lock. */
  readonly fence: number;
  /** When the lock ends: milliseconds since the epoch, by the server's clock. */
  readonly till: number;
  /** Permits that are left, of a lock that is taken with a limit. */
  readonly free?: number;
  /** Set if the previous holder did not release the lock. */
  readonly recover?: Recover;
}

/** How the lease of the previous holder ended, if that holder did not release the lock. */
export interface Recover {
  /** The fencing token of that holder. */
  readonly fence: number;
  /** What that holder has passed as `meta`. */
  readonly meta?: unknown;
  /** Its lease ran out, or was ended by force. */
  readonly why: 'expired' | 'forced';
}
