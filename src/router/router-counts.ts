/**
 * Counts that the routers of all front ends share in memory, because limits hold for the server, not for the thread
 * that a connection happens to be on. A server with one front end uses the same.
 */
import { SharedCount, sharedCountBytes } from '../shared/shared-count.ts';
import { AccountCounts } from './account-counts.ts';
import { HistoryDamage } from './watch/history-damage.ts';

const places = {
  keyWatches: 0,
  prefixWatches: 1,
  streams: 2,
  awaitingTransactions: 3,
  inFlightBytes: 4,
  waitingBytes: 5,
  watchingBytes: 6,
  inFlight: 7,
};

export class RouterCounts {
  /** Requests that wait for a key to change. */
  readonly keyWatches: SharedCount;
  /** Long polls over a prefix and event streams. */
  readonly prefixWatches: SharedCount;
  /** The streams among them. */
  readonly streams: SharedCount;
  /** Commands that wait for a batch over several shards; see `TransactionOrder`. */
  readonly awaitingTransactions: SharedCount;
  /** Memory of requests in flight, of those that wait for a lock, and of watches. */
  readonly inFlightBytes: SharedCount;
  readonly waitingBytes: SharedCount;
  readonly watchingBytes: SharedCount;
  /** What each account uses. */
  readonly accounts: AccountCounts;
  /** By shard: requests in flight, without those that wait for a lock. */
  readonly inFlight: readonly SharedCount[];
  readonly historyDamage: HistoryDamage;

  constructor(memory: SharedArrayBuffer, shards: number, accounts = new AccountCounts(AccountCounts.allocate())) {
    this.accounts = accounts;
    this.keyWatches = new SharedCount(memory, places.keyWatches);
    this.prefixWatches = new SharedCount(memory, places.prefixWatches);
    this.streams = new SharedCount(memory, places.streams);
    this.awaitingTransactions = new SharedCount(memory, places.awaitingTransactions);
    this.inFlightBytes = new SharedCount(memory, places.inFlightBytes);
    this.waitingBytes = new SharedCount(memory, places.waitingBytes);
    this.watchingBytes = new SharedCount(memory, places.watchingBytes);
    this.inFlight = Array.from({ length: shards }, (_, shard) => new SharedCount(memory, places.inFlight + shard));
    this.historyDamage = new HistoryDamage(memory, (places.inFlight + shards) * sharedCountBytes);
  }

  static allocate(shards: number): SharedArrayBuffer {
    return new SharedArrayBuffer((places.inFlight + shards) * sharedCountBytes + HistoryDamage.bytes);
  }
}
