/**
 * What the routers of all front ends count together, in shared memory: limits hold for the server, not for the thread
 * that a connection happens to be on. A server with one front end uses the same.
 */
import { SharedCount, sharedCountBytes } from '../shared/shared-count.ts';

const places = { keyWatches: 0, prefixWatches: 1, streams: 2, behindTransactions: 3, inFlight: 4 };

export class RouterCounts {
  /** Requests that wait for a key to change. */
  readonly keyWatches: SharedCount;
  /** Long polls over a prefix and event streams. */
  readonly prefixWatches: SharedCount;
  /** The streams among them. */
  readonly streams: SharedCount;
  /** Commands that may not set out before a batch over several shards; see `TransactionOrder`. */
  readonly behindTransactions: SharedCount;
  /** By shard: requests under way, those that wait for a lock not counted. */
  readonly inFlight: readonly SharedCount[];

  constructor(memory: SharedArrayBuffer, shards: number) {
    this.keyWatches = new SharedCount(memory, places.keyWatches);
    this.prefixWatches = new SharedCount(memory, places.prefixWatches);
    this.streams = new SharedCount(memory, places.streams);
    this.behindTransactions = new SharedCount(memory, places.behindTransactions);
    this.inFlight = Array.from({ length: shards }, (_, shard) => new SharedCount(memory, places.inFlight + shard));
  }

  static allocate(shards: number): SharedArrayBuffer {
    return new SharedArrayBuffer((places.inFlight + shards) * sharedCountBytes);
  }
}
