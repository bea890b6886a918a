/**
 * What unanswered requests use of the server: their number and their memory, of the server and of each account. A
 * request is counted before it goes to a shard, and until the shard has answered it, even if its client has
 * disconnected: until then its command lies in a queue. Requests that may wait for a lock are counted apart from all
 * others, so that waiting keeps nobody from working.
 */
import { failure, type Failure } from '../protocol/errors.ts';
import type { AccountId } from '../protocol/ids.ts';
import type { Limits } from '../shared/limits.ts';
import type { AccountUse } from './account-counts.ts';
import { bodyCopies, requestBytes } from './memory-costs.ts';
import type { RouterCounts } from './router-counts.ts';

/** One request, or the batches of one array body. */
export interface Load {
  readonly use: AccountUse;
  readonly bytes: number;
  /** May wait for a lock. */
  readonly waits: boolean;
  /** Requests that are not answered. */
  unanswered: number;
}

export type LoadCounts = Pick<RouterCounts, 'inFlightBytes' | 'waitingBytes' | 'accounts'>;

export class RequestLoads {
  readonly #limits: Limits;
  readonly #counts: LoadCounts;

  constructor(limits: Limits, counts: LoadCounts) {
    this.#limits = limits;
    this.#counts = counts;
  }

  /** Returns the account, in use, for the load of a request or of an array. */
  use(account: AccountId): AccountUse {
    return this.#counts.accounts.use(account);
  }

  /** The memory of a request with a body that takes `bodyBytes` as text. */
  static bytesOf(bodyBytes: number): number {
    return requestBytes + bodyBytes * bodyCopies;
  }

  /** Counts the memory of a load. @returns why it is refused; then the account is released */
  takeBytes({ use, bytes, waits }: Load): Failure | undefined {
    const [mine, max] = this.#bytesMaxima(waits);
    if (!use.takeBytes(waits ? 'waitingBytes' : 'inFlightBytes', bytes, mine)) {
      this.#counts.accounts.release(use);
      return waits ? accountWaitingBytes(mine) : accountInFlightBytes(mine);
    }
    if (this.#serverBytes(waits).takeBytes(bytes, max)) return undefined;
    use.giveBytes(waits ? 'waitingBytes' : 'inFlightBytes', bytes);
    this.#counts.accounts.release(use);
    return waits ? waitingBytes(max) : inFlightBytes(max);
  }

  /** Counts one request of a load. @returns why it is refused; then call `drop` */
  takeOne({ use, waits }: Load): Failure | undefined {
    const { account_waiters_max, account_inflight_max } = this.#limits;
    if (waits) return use.take('waiters', account_waiters_max) ? undefined : accountWaiters(use, account_waiters_max);
    return use.take('inFlight', account_inflight_max) ? undefined : accountInFlight(use, account_inflight_max);
  }

  /** A request of the load was answered. */
  give(load: Load): void {
    load.use.give(load.waits ? 'waiters' : 'inFlight');
    this.drop(load);
  }

  /** A request of the load is over that `takeOne` has refused. */
  drop(load: Load): void {
    load.unanswered -= 1;
    if (load.unanswered > 0) return;
    const { use, bytes, waits } = load;
    use.giveBytes(waits ? 'waitingBytes' : 'inFlightBytes', bytes);
    this.#serverBytes(waits).giveBytes(bytes);
    this.#counts.accounts.release(use);
  }

  #bytesMaxima(waits: boolean): readonly [account: number, server: number] {
    const limits = this.#limits;
    return waits
      ? [limits.account_waiting_bytes_max, limits.waiting_bytes_max]
      : [limits.account_inflight_bytes_max, limits.inflight_bytes_max];
  }

  #serverBytes(waits: boolean) {
    return waits ? this.#counts.waitingBytes : this.#counts.inFlightBytes;
  }
}

function accountWaiters(use: AccountUse, max: number): Failure {
  const limit = use.limit('waiters', max);
  const message =
    `${limit} requests of this account wait for locks already (limits.account_waiters_max); ` +
    'nothing was done, try again when some have ended.';
  return failure('too_many_waiters', message, { Quota: 'waiters', Limit: limit });
}

function accountInFlight(use: AccountUse, max: number): Failure {
  const limit = use.limit('inFlight', max);
  const message =
    `${limit} requests of this account are in flight already (limits.account_inflight_max); ` +
    'nothing was done, wait for their replies.';
  return failure('rate_limited', message, { Quota: 'inflight', Limit: limit });
}

function accountWaitingBytes(max: number): Failure {
  const message =
    `Requests of this account that wait for locks hold ${max} bytes (limits.account_waiting_bytes_max); nothing was ` +
    'done, try again when some have ended, or wait with less: take the lock first, write under its guard.';
  return failure('too_many_waiters', message, { Quota: 'waiting_bytes', Limit: max });
}

function waitingBytes(max: number): Failure {
  const message =
    `Requests that wait for locks hold ${max} bytes (limits.waiting_bytes_max); nothing was done, try again when some ` +
    'have ended, or wait with less: take the lock first, write under its guard.';
  return failure('too_many_waiters', message, { Quota: 'waiting_bytes', Limit: max });
}

function accountInFlightBytes(max: number): Failure {
  const message =
    `Requests of this account in flight hold ${max} bytes (limits.account_inflight_bytes_max); ` +
    'nothing was done, wait for their replies.';
  return failure('rate_limited', message, { Quota: 'inflight_bytes', Limit: max });
}

function inFlightBytes(max: number): Failure {
  return failure(
    'overloaded',
    `Requests in flight hold ${max} bytes (limits.inflight_bytes_max); nothing was done, try again soon.`,
    { Quota: 'inflight_bytes', Limit: max },
  );
}
