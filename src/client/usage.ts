/** What an account has stored, and what it may store. */
import { pathOf } from './paths.ts';
import { checkCallOptions, type CallOptions, type StoreCalls } from './store-calls.ts';

/** What an account has stored, and who waits for it. Exact at `rev`. */
export interface Usage {
  /** Bytes of all keys and values, as they are stored. */
  readonly bytes: number;
  /** How many there are of each kind: `kv`, `counters`, `sequences`, `locks`, `ids`, `messages`, `limits`, `tasks`, `scripts`. */
  readonly entries: Readonly<Record<string, number>>;
  /** Present: the account is being deleted, and this is left of it. */
  readonly deleting?: true;
  /** Requests that wait for a lock, messages or a rate limit. */
  readonly waiters: number;
  /** Open watches. */
  readonly watchers: number;
  /** What the account may have; 0: no limit. */
  readonly limits: UsageLimits;
  /** The revision at which this was counted. */
  readonly rev: number;
}

/** The limits of an account; 0: no limit. */
export interface UsageLimits {
  /** Of `bytes`. */
  readonly bytes: number;
  /** Of all entries but `ids`. */
  readonly entries: number;
  /** Of messages in all queues. */
  readonly messages: number;
  /** In every state; those that have ended count as long as they are remembered. */
  readonly tasks: number;
  /** Of `waiters`. */
  readonly waiters: number;
  /** Of `watchers`. */
  readonly watchers: number;
  /** Of requests in a second. */
  readonly requestsPerSecond: number;
}

/** Asks for the usage of the client's account. */
export async function askUsage(calls: StoreCalls, account: string, options?: CallOptions): Promise<Usage> {
  checkCallOptions(options);
  const body = await calls.rest('GET', pathOf(account, 'usage', undefined), [], options);
  const { Bytes, Entries, Deleting, Waiters, Watchers, Limits, Rev } = body as unknown as WireUsage;
  return {
    bytes: Bytes,
    entries: Entries,
    ...(Deleting === true && { deleting: true as const }),
    waiters: Waiters,
    watchers: Watchers,
    limits: {
      bytes: Limits.Bytes,
      entries: Limits.Entries,
      messages: Limits.Messages,
      tasks: Limits.Tasks,
      waiters: Limits.Waiters,
      watchers: Limits.Watchers,
      requestsPerSecond: Limits.RequestsPerSecond,
    },
    rev: Rev,
  };
}

interface WireUsage {
  readonly Bytes: number;
  readonly Entries: Readonly<Record<string, number>>;
  readonly Deleting?: true;
  readonly Waiters: number;
  readonly Watchers: number;
  readonly Limits: Readonly<
    Record<'Bytes' | 'Entries' | 'Messages' | 'Tasks' | 'Waiters' | 'Watchers' | 'RequestsPerSecond', number>
  >;
  readonly Rev: number;
}
