/**
 * Every limit of the server, with its unit in its name. config.yml can set those in `Limits`; the others follow from a
 * format and are fixed. Exceeding a limit gives an error reply, never growth.
 */
import { assert } from './assert.ts';

export interface Limits {
  /** One HTTP body. */
  readonly body_bytes_max: number;
  /** One KV value as JSON text, UTF-8. */
  readonly value_bytes_max: number;
  /** Operations of one batch, all lists together; also the batches of one array body. */
  readonly batch_operations_max: number;
  /** Requests in flight to one shard, without those that wait for a lock; as many more may wait for transactions. */
  readonly inflight_per_shard_max: number;
  /** Requests that wait for one lock or mutex. */
  readonly waiters_per_lock_max: number;
  /** Requests that wait for messages of one queue. */
  readonly consumers_per_queue_max: number;
  /** Requests that wait for a lock, a mutex or messages in one shard. */
  readonly waiters_per_shard_max: number;
  /** Mutexes in memory of one shard: held, or free for less than ten seconds. */
  readonly mutexes_per_shard_max: number;
  /** Watches of keys open at once, and as many prefix watches and event streams together. */
  readonly watchers_max: number;
  /** Open connections; fewer when the process may not open as many files. */
  readonly connections_max: number;
  /** Open connections of one address; of IPv6, of one network of 64 bits. */
  readonly connections_per_address_max: number;
  /** Bytes that an event stream may have unsent before it is closed. */
  readonly stream_buffer_bytes_max: number;
  /** Bytes of replies that clients have not read yet, divided among front ends; over it the oldest are disconnected. */
  readonly unread_bytes_max: number;
  /** Bytes of bodies that have arrived in part, divided among front ends; over it the oldest are answered 503. */
  readonly arriving_bytes_max: number;
  /** Memory of requests that shards have not answered, without those that wait for a lock. */
  readonly inflight_bytes_max: number;
  /** Memory of requests that wait for a lock or mutex, with all that they will write. */
  readonly waiting_bytes_max: number;
  /** Memory of open watches and event streams. */
  readonly watching_bytes_max: number;
  /** Memory of those who read history, divided among front ends; it says how many read at a time. */
  readonly history_bytes_max: number;
  /** Requests in flight of one account, without those that wait for a lock; 0 = no limit, as in all of one account. */
  readonly account_inflight_max: number;
  /** Requests of one account that wait for a lock or mutex. */
  readonly account_waiters_max: number;
  /** Watches of keys and prefixes of one account, and event streams, open at once. */
  readonly account_watchers_max: number;
  /** Mutexes of one account in memory of one shard. */
  readonly account_mutexes_per_shard_max: number;
  /** Connections whose last request was for one account. */
  readonly account_connections_max: number;
  /** As `inflight_bytes_max`, of one account. */
  readonly account_inflight_bytes_max: number;
  /** As `waiting_bytes_max`, of one account. */
  readonly account_waiting_bytes_max: number;
  /** As `watching_bytes_max`, of one account. */
  readonly account_watching_bytes_max: number;
  /** Requests a second of one account; 0 = no limit. */
  readonly account_requests_per_second: number;
  /** Bytes of keys and values that one account has stored; over it only what frees or does not add is accepted. */
  readonly account_bytes_max: number;
  /** Keys, counters, sequences, locks, rate limits and messages of one account together. */
  readonly account_entries_max: number;
  /** Messages of one account in all of its queues. */
  readonly account_messages_max: number;
  /** Tasks, those that have ended and are remembered, too. */
  readonly account_tasks_max: number;
  /** Size of the store on disk, without the journal; over it only deletes and unlocks are accepted. */
  readonly store_bytes_max: number;
  /** Memory of one shard for entries newer than its last checkpoint; a checkpoint starts at half of it. */
  readonly memtable_bytes_max: number;
  /** How long a write may wait while checkpoints are behind. */
  readonly write_wait_ms: number;
}

export const defaultLimits: Limits = {
  body_bytes_max: 8 * 1024 * 1024,
  value_bytes_max: 1024 * 1024,
  batch_operations_max: 1000,
  inflight_per_shard_max: 50_000,
  waiters_per_lock_max: 20_000,
  consumers_per_queue_max: 20_000,
  waiters_per_shard_max: 100_000,
  mutexes_per_shard_max: 1_000_000,
  watchers_max: 100_000,
  connections_max: 100_000,
  connections_per_address_max: 20_000,
  stream_buffer_bytes_max: 4 * 1024 * 1024,
  unread_bytes_max: 256 * 1024 * 1024,
  arriving_bytes_max: 256 * 1024 * 1024,
  inflight_bytes_max: 256 * 1024 * 1024,
  waiting_bytes_max: 256 * 1024 * 1024,
  watching_bytes_max: 256 * 1024 * 1024,
  history_bytes_max: 128 * 1024 * 1024,
  account_inflight_max: 25_000,
  account_waiters_max: 50_000,
  account_watchers_max: 50_000,
  account_mutexes_per_shard_max: 500_000,
  account_connections_max: 20_000,
  account_inflight_bytes_max: 128 * 1024 * 1024,
  account_waiting_bytes_max: 128 * 1024 * 1024,
  account_watching_bytes_max: 128 * 1024 * 1024,
  account_requests_per_second: 0,
  account_bytes_max: 0,
  account_entries_max: 0,
  account_messages_max: 0,
  account_tasks_max: 0,
  store_bytes_max: 64 * 1024 * 1024 * 1024,
  memtable_bytes_max: 128 * 1024 * 1024,
  write_wait_ms: 10_000,
};

/**
 * The server's limit that each limit of an account is a share of: half of it at most, if config.yml does not say
 * otherwise, so that no account can use up what others need.
 */
export const accountShares = {
  account_inflight_max: 'inflight_per_shard_max',
  account_waiters_max: 'waiters_per_shard_max',
  account_watchers_max: 'watchers_max',
  account_mutexes_per_shard_max: 'mutexes_per_shard_max',
  account_inflight_bytes_max: 'inflight_bytes_max',
  account_waiting_bytes_max: 'waiting_bytes_max',
  account_watching_bytes_max: 'watching_bytes_max',
} as const satisfies Partial<Record<keyof Limits, keyof Limits>>;

/** A server whose limit is this small has one tenant: its accounts get all of it. */
const shareMin = 1000;

/** Returns the most that an account has by default of a limit of the server. */
export function accountShare(server: number): number {
  return Math.min(server, Math.max(shareMin, Math.floor(server / 2)));
}

/** Bytes of UTF-8 of a key, a lock id, an owner or an idempotency id. */
export const keyBytesMax = 512;
/**
 * A storage key: the account with its length; a thing's name and the name of one of its parts; at most 40 bytes for
 * kind, NUL, letter and numbers. A deadline key is 8 bytes longer.
 */
export const storageKeyBytesMax = 65 + 2 * keyBytesMax + 40;
export const deadlineHeaderBytes = 8;
/** What LMDB takes as a key, with pages of 4 KiB. */
export const lmdbKeyBytesMax = 1978;
export const lockMetaBytesMax = 1024;
export const lockDurMsMax = 24 * 60 * 60 * 1000;
/** Locks that are taken together. */
export const lockSetMax = 32;
/** Permits of one lock: one would be a lock without them. */
export const lockLimitMin = 2;
export const lockLimitMax = 10_000;
export const lockDurMsDefault = 30 * 1000;
/** Messages of one delivery, and of one group in it. */
export const dequeueMax = 1000;
/** Bytes of data in one delivery, which has one message at least. */
export const dequeueBytesMax = 4 * 1024 * 1024;
export const priorityMax = 9;
/** Bytes of what a consumer says about a failure. */
export const messageErrorBytesMax = 1024;
/** Dead or blocked messages that one call sends on its way again; it stops at the bytes of their data before. */
export const redriveMax = 1000;
export const redriveBytesMax = 256 * 1024;
export const queueBackoffMsMax = 24 * 60 * 60 * 1000;
export const queueWindowMsMax = 7 * 24 * 60 * 60 * 1000;
/** How long a Dequeue with an AttemptID is remembered at most. */
export const attemptMsMax = 5 * 60 * 1000;
/** Entries of purged queues that one turn of a shard removes. */
export const sweptPerTurn = 250;
/** Entries of deleted accounts that one turn of a shard removes: each is looked at, and written. */
export const wipedPerTurn = 200;
/** Accounts that are deleted at once. */
export const deletionsMax = 64;
/** Bytes of messages that expire in one turn of a shard, or become dead letters; it stops after the one that reaches it. */
export const expiryTurnBytesMax = 4 * 1024 * 1024;
/** Queues whose next messages a shard remembers; it finds those of others anew. */
export const rememberedQueuesMax = 4096;
export const waitMsMax = 300 * 1000;
export const watchWaitMsDefault = 30 * 1000;
/** KV and idempotency records may live for ten years; longer is almost certainly a mistake in the unit. */
export const ttlMsMax = 10 * 366 * 24 * 60 * 60 * 1000;
export const idempotencyTtlMsDefault = 24 * 60 * 60 * 1000;
/** `Rate`, `Per`, and `Burst` and `Cost` of a rate limit. */
export const limitRateMax = 1_000_000_000;
export const limitPerMsMax = 31 * 24 * 60 * 60 * 1000;
export const limitAmountMax = 1_000_000_000;
/** The latest end of a key that Redis clients give: what the journal has six bytes for. */
export const tillMsMax = 2 ** 48 - 1;
/** Bytes of values that the Redis operations of one batch take apart or put together: tens of milliseconds at most. */
export const opsBytesMax = 8 * 1024 * 1024;
/** Nesting of a JSON value. */
export const valueDepthMax = 128;
/** Entries of one page of a list, and events of one prefix watch. */
export const pageLimitDefault = 100;
export const pageLimitMax = 1000;
/** Ids of one batch. Each is an entry of its own, and all are in the record of the commit. */
export const idempotencyIdsMax = 32;
/** Bytes of keys and values in one page; a page ends early rather than exceed it by more than one entry. */
export const pageBytesMax = 1024 * 1024;
/** Bytes of the values in one reply; the batches of an array body share four times as much. */
export const replyBytesMax = 16 * 1024 * 1024;
export const arrayReplyBytesMax = 64 * 1024 * 1024;
/** Bytes of the values that one batch merges into, or one value of the largest size: each is parsed and written anew. */
export const mergedBytesMax = 4 * 1024 * 1024;
/** Bytes that the expiry of entries adds to one commit before it begins another. */
export const expiryCommitBytesMax = 256 * 1024;
/** Rows of one page of what administrators look at. */
export const adminPageMax = 100;
/** Wait queues that one look for the longest lines passes in a shard: less than a millisecond. */
export const linesLookedMax = 20_000;
/** Watches that one look at them passes in a front end. */
export const watchesLookedMax = 20_000;
/** Administrators that follow the overview at once. */
export const adminViewersMax = 16;
/** Keys and folders that one page of a list with folders passes in a shard. */
export const foldersScanMax = 1000;
/** The reason that is given for a force. */
export const auditReasonCharsMax = 200;
/** Of what was done to the server: the names of keys, for one. */
export const auditSubjectCharsMax = 500;
/** Of each front end: how many slow requests it remembers, and busy accounts. */
export const slowRequestsMax = 200;
export const busyAccountsMax = 256;
/** Versions of a script that are kept. */
export const scriptVersionsMax = 10;
/** The source of a script, UTF-8. */
export const scriptSourceBytesMax = 64 * 1024;
/** Of a page of scripts: each is read with all its versions. */
export const scriptPageMax = 100;
/** CPU time of one run, in milliseconds. */
export const scriptCpuMsDefault = 50;
/** Entries of one account's audit log; the oldest go first. Each has up to 4 KiB, most a tenth of that. */
export const auditEntriesMax = 10_000;
/** How long an entry of the audit log is kept. */
export const auditMs = 90 * 24 * 60 * 60 * 1000;
/** Ended leases that a lock remembers, so that a repeated unlock gets a correct answer. */
export const lockHistoryMax = 8;
/** How long a free lock is remembered. */
export const lockHistoryMs = 60 * 60 * 1000;
/** How long the ended lease of a reader or a permit is remembered. Each is an entry of its own. */
export const shareHistoryMs = 10 * 60 * 1000;
/** How long a free mutex is remembered. */
export const mutexHistoryMs = 10 * 1000;
/** After a start, locks are held for at least this long, because owners could not renew while the server was down. */
export const lockGraceMs = 10 * 1000;
/** Expired entries that one turn of a shard removes, and timers in memory that it runs: a few milliseconds. A part of a
 * queue counts as four, and so does a consumer whose wait is over. */
export const expiryBatchMax = 128;
/** Entries that one page of a list reads. A shard does nothing else meanwhile: about a millisecond. */
export const pageScanMax = 1000;
/** ±(2^53−1): the range of counters, sequences and versions. */
export const integerMax = Number.MAX_SAFE_INTEGER;
/** Heartbeat comment of an event stream. */
export const streamHeartbeatMs = 15 * 1000;
/** How long an event stream waits for a starting server; proxies take no longer silence between heartbeats either. */
export const streamHoldMsMax = streamHeartbeatMs;

/** Bytes of one file of the journal. */
export const segmentBytesMin = 1024 * 1024;
export const segmentBytesMax = 1024 * 1024 * 1024;
const recordBytesMost = 64 * 1024 * 1024;

/**
 * Bytes of the record of one commit. A record must fit into a segment, whatever a batch consists of: it takes a revision
 * only if it does (core/batch/record-size.ts). Half of a segment leaves room for headers, and is at least twice
 * `body_bytes_max`. Half of the smallest one, 512 KiB, holds every record that the server writes of itself: those of an
 * expiry end with the effect that reaches `expiryCommitBytesMax`, and the largest lock record takes 47 KB, which counts
 * as three times as much.
 */
export function recordBytesMax(segmentBytes: number): number {
  return Math.min(Math.floor(segmentBytes / 2), recordBytesMost);
}

/**
 * A connection on which nothing happens is probed after this time. A client whose machine or network is gone leaves wait
 * queues ten probes later, ten seconds, and not when its wait ends.
 */
export const tcpKeepAliveMs = 30_000;

/** One key of config.yml must leave room for another: `outer` is at least `times` × `inner`. */
export interface LimitRelation {
  readonly inner: string;
  readonly times: number;
  readonly outer: string;
}

/** What the rest of the code relies on. A start with other values is refused. */
export const limitRelations: readonly LimitRelation[] = [
  { inner: 'limits.value_bytes_max', times: 1, outer: 'limits.body_bytes_max' },
  { inner: 'limits.body_bytes_max', times: 4, outer: 'journal.segment_bytes' },
  ...Object.entries(accountShares).map(([mine, all]) => ({
    inner: `limits.${mine}`,
    times: 1,
    outer: `limits.${all}`,
  })),
];

assert(deadlineHeaderBytes + storageKeyBytesMax <= lmdbKeyBytesMax, 'the longest deadline key fits into LMDB');
