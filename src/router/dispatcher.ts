/**
 * What a door of the front end, such as HTTP, sees of the rest of the server. The router implements it; tests of a door
 * may fake it. Replies come by callback, not by promise: that saves an allocation on the hottest path, and the waiting
 * side may disconnect.
 */
import type { AccountId, Revision } from '../protocol/ids.ts';
import type { Reply } from '../protocol/replies.ts';
import type { ServerStats } from '../protocol/stats.ts';
import type { Batch, Command } from '../protocol/operations/operations.ts';
import type { WatchedKey } from '../protocol/operations/watch.ts';

export type { WatchedKey } from '../protocol/operations/watch.ts';

/** Receives one reply. */
export interface ReplySink {
  /** The connection is closed; a lock granted to it must go to the next in the wait queue. */
  readonly disconnected: boolean;
  /** Memory that the request takes until it is answered (`RequestLoads.bytesOf`); absent: it has no body. */
  readonly bytes?: number;
  /** Called at most once, and only when everything that the reply depends on is durable. */
  deliver(reply: Reply): void;
}

/** Receives the replies to an array of batches. */
export interface BatchReplySink {
  readonly disconnected: boolean;
  /** As in `ReplySink`, of all batches together. */
  readonly bytes?: number;
  /** As `ReplySink.deliver`, once for each place of the array. */
  deliver(place: number, reply: Reply): void;
}

/** Handle to cancel a request in flight. */
export interface Cancelable {
  /** The request waits for a lock or a change, and does no work. */
  readonly waits?: boolean;
  /** The client has disconnected: takes its request out of every queue at once. */
  cancel(): void;
}

export interface PrefixWatch {
  /** Present: all lines of an export since, of everything that the account has, until this revision is reached. */
  readonly changesTo?: Revision;
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
   * Sends one commit: its revision and its events as JSON texts. Returns false when the reader does not keep up; the
   * stream then ends. Only `live` events can return false: history is read no faster than the reader takes it
   * (`ready`).
   */
  commit(rev: Revision, events: readonly string[], pace?: 'live' | 'history'): boolean;
  /** Returns whether the reader takes more now. If not, calls `resume` when it does, or never if it disconnects. */
  ready(resume: () => void): boolean;
  /** There was no event up to `rev` (inclusive); sent with heartbeats so that a reader can resume from it. */
  bookmark(rev: Revision): boolean;
  /** Ends the stream: with a failure reply (`compacted`, `draining`), or after `commit` returned false. */
  end(reply?: Reply): void;
}

/** An open watch. */
export interface WatchInfo {
  readonly Account: string;
  readonly Kind: 'keys' | 'prefix' | 'stream';
  /** The prefix, or the first of the keys. */
  readonly Key: string;
  /** How many keys it waits for. */
  readonly Keys?: number;
  /** What it has been given: of a stream or prefix. */
  readonly Rev?: number;
}

export interface Dispatcher {
  request(command: Command, sink: ReplySink): Cancelable;
  /** Each batch is a request of its own; none waits for a lock. Batches that share a key are applied in their order. */
  requestAll(batches: readonly Batch[], sink: BatchReplySink): Cancelable;
  /** Answers 200 with the first key that differs from its version, or 204 after `waitMs`. */
  watchKeys(account: AccountId, keys: readonly WatchedKey[], waitMs: number, sink: ReplySink): Cancelable;
  /** Answers 200 with events, or after `waitMs` with none and the revision reached; 410 when history is gone. */
  watchPrefix(watch: PrefixWatch, sink: ReplySink): Cancelable;
  streamPrefix(watch: Omit<PrefixWatch, 'waitMs' | 'limit'>, sink: StreamSink): Cancelable;
  /** Some of the open watches of this front end, for administrators. @param of absent: of all accounts */
  watches(of: AccountId | undefined, limit: number): readonly WatchInfo[];
  /** The counters of every thread, for /metrics. */
  stats(): Promise<ServerStats>;
}
