/**
 * What the HTTP edge sees of everything behind it. The router implements it; tests of the edge may fake it.
 * Replies come by callback, not by promise: one allocation less on the hottest path, and the waiting side can vanish.
 */
import type { AccountId, Revision } from '../protocol/ids.ts';
import type { Reply } from '../protocol/replies.ts';
import type { ServerStats } from '../protocol/stats.ts';
import type { Batch, Command } from '../protocol/operations/operations.ts';

/** Whoever waits for a reply. */
export interface ReplySink {
  /** The connection is closed; a lock granted to it must go to the next in line. */
  readonly disconnected: boolean;
  /** Called at most once, and only with a reply that everything it depends on is durable. */
  deliver(reply: Reply): void;
}

/** Whoever waits for the replies to an array of batches. */
export interface BatchReplySink {
  readonly gone: boolean;
  /** As for a client, once for each place of the array. */
  deliver(place: number, reply: Reply): void;
}

/** A request that is under way. */
export interface Cancelable {
  /** The client has vanished: it leaves every queue at once. */
  cancel(): void;
}

export interface WatchedKey {
  readonly key: string;
  readonly version: number;
}

export interface PrefixWatch {
  readonly account: AccountId;
  readonly prefix: string;
  /** Exclusive. Absent: from now on. */
  readonly after?: Revision;
  readonly waitMs: number;
  /** Events of one reply; a commit is never split, so that a reply may hold a few more. */
  readonly limit: number;
}

/** Receives the events of a stream, each durable, in revision order. */
export interface StreamSink {
  /**
   * One commit: its revision and its events as JSON texts. False: the reader does not keep up; the stream ends. That is
   * asked only of `live` events; history is read no faster than the reader takes it (see `ready`).
   */
  commit(rev: Revision, events: readonly string[], pace?: 'live' | 'history'): boolean;
  /** Whether the reader takes more now. False: `resume` is called when it does, or never if it goes. */
  ready(resume: () => void): boolean;
  /** Nothing of interest up to here (inclusive); sent with heartbeats so that a reader can resume from it. */
  bookmark(rev: Revision): boolean;
  /** The stream ends: with a failure reply (`compacted`, `draining`), or after `commit` returned false. */
  end(reply?: Reply): void;
}

export interface Dispatcher {
  request(command: Command, client: ReplySink): Cancelable;
  /** Each batch is a request of its own; none waits for a lock. Those that share a key happen in their order. */
  requestAll(batches: readonly Batch[], client: BatchReplySink): Cancelable;
  /** Answers 200 with the first key that differs from its version, or 204 after `waitMs`. */
  watchKeys(account: AccountId, keys: readonly WatchedKey[], waitMs: number, client: ReplySink): Cancelable;
  /** Answers 200 with events, or after `waitMs` with none and the revision reached; 410 when history is gone. */
  watchPrefix(watch: PrefixWatch, client: ReplySink): Cancelable;
  streamPrefix(watch: Omit<PrefixWatch, 'waitMs' | 'limit'>, sink: StreamSink): Cancelable;
  /** The counters of every thread, for /metrics. */
  stats(): Promise<ServerStats>;
}
