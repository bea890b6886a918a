/**
 * Everything one shard knows. Only the shard's own thread touches it, one command at a time, so nothing here is ever
 * seen half-changed. `entries` is durable content; the rest lives in memory and is empty after a restart.
 */
import type { Entries } from '../../../protocol/entries.ts';
import type { Failure } from '../../../protocol/errors.ts';
import type { AccountId, Revision, ShardId } from '../../../protocol/ids.ts';
import type { Revisions } from '../../../protocol/journal.ts';
import type { Batch } from '../../../protocol/operations/operations.ts';
import type { CommitRecord } from '../../../protocol/record.ts';
import type { Limits } from '../../../shared/limits.ts';
import { BlockedMessages } from './blocked-messages.ts';
import { Holds } from './holds.ts';
import type { LockRecord } from './lease.ts';
import { ParsedLocks } from './parsed-locks.ts';
import { Timers, type Timer } from './timers.ts';
import { WaitQueues, type Waiter } from './wait-queue.ts';
import { WatchedKeys } from './watched-keys.ts';

export interface ShardState {
  readonly shard: ShardId;
  readonly limits: Limits;
  readonly entries: Entries;
  readonly revisions: Revisions;
  /** Whether this shard is the one that keeps the key. */
  readonly owns: (account: AccountId, key: string) => boolean;
  /** This start of the server. */
  readonly boot: Boot;
  /** The highest revision whose effects this shard has applied. */
  lastRev: Revision;

  // In memory only, each the business of one file or two.
  readonly waitQueues: WaitQueues;
  readonly timers: Timers;
  readonly mutexes: Mutexes;
  readonly parsedLocks: ParsedLocks;
  /** Idempotency ids of batches that wait for a lock → how many. */
  readonly inProgress: Map<string, number>;
  readonly watched: WatchedKeys;
  readonly holds: Holds;
  readonly blocked: BlockedMessages;
  /** What transactions over several shards keep here besides their holds. */
  readonly transactions: Map<string, ParticipantState>;
  /** Why writes are refused at the moment, if they are, and what may still be written. */
  outOfSpace: { readonly failure: Failure; readonly space: 'reserve' | 'full' } | undefined;
  /** No more waiting: the server is going down. */
  draining: boolean;
}

export interface ParticipantState {
  /** Its idempotency ids are marked as in progress. */
  readonly claim?: Batch;
  /** Its place in the queue of its lock, which is reserved for it when it is the head. */
  readonly waiter?: Waiter;
}

export interface Boot {
  /** Counts the starts of this data directory; the upper part of every mutex fence. */
  readonly number: number;
  /** Locks granted at or before this revision were held while the server was down. */
  readonly rev: Revision;
  /** Wall-clock milliseconds. */
  readonly at: number;
}

export interface Mutexes {
  /** By `nameOf`: held, or free for less than `mutexHistoryMs`. */
  readonly byName: Map<string, Mutex>;
  /** How many fences this boot has given out. */
  fences: number;
}

export interface Mutex {
  readonly record: LockRecord;
  readonly till: number;
  /** Its `seq` is the mutex's version: no other change of it has the same. */
  readonly timer: Timer;
}

export function newShardState(
  given: Pick<ShardState, 'shard' | 'limits' | 'entries' | 'revisions' | 'owns' | 'boot'>,
): ShardState {
  return {
    ...given,
    lastRev: given.revisions.durable(),
    waitQueues: new WaitQueues(),
    timers: new Timers(),
    mutexes: { byName: new Map(), fences: 0 },
    parsedLocks: new ParsedLocks(),
    inProgress: new Map(),
    watched: new WatchedKeys(),
    holds: new Holds(),
    blocked: new BlockedMessages(),
    transactions: new Map(),
    outOfSpace: undefined,
    draining: false,
  };
}

export function accountAndKey(name: string): { account: AccountId; key: string } {
  const at = name.indexOf('\0');
  return { account: name.slice(0, at) as AccountId, key: name.slice(at + 1) };
}

/**
 * The revision that a read may claim: everything acknowledged so far is at or below it, and so is everything that this
 * shard has applied. (Not the shared counter: that would make every read wait for other shards' unfinished commits.)
 */
export function readRevision(state: ShardState): Revision {
  const durable = state.revisions.durable();
  return durable > state.lastRev ? durable : state.lastRev;
}

/** Takes over the effects of a record that belong to this shard; the one way in which entries ever change. */
export function applyRecord(state: Pick<ShardState, 'entries' | 'owns'>, record: CommitRecord): void {
  const { account, rev } = record;
  for (const { kind, key, value, till } of record.effects) {
    if (!state.owns(account, key)) continue;
    if (value === undefined) state.entries.delete(kind, account, key);
    else state.entries.put(kind, account, key, { rev, till, value });
  }
}
