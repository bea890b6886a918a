/**
 * Everything that one shard knows. Only the shard's own thread touches it, one command at a time, so no reader ever
 * sees it half-changed. `entries` is durable content; the rest lives in memory and is empty after a restart.
 */
import type { Entries } from '../../../protocol/entries.ts';
import { Fences } from '../../../protocol/epochs.ts';
import type { Failure } from '../../../protocol/errors.ts';
import type { AccountId, Revision, ShardId } from '../../../protocol/ids.ts';
import type { Revisions } from '../../../protocol/journal.ts';
import type { Batch } from '../../../protocol/operations/operations.ts';
import { kinds, type CommitRecord } from '../../../protocol/record.ts';
import type { RestoredState } from '../../../protocol/restored.ts';
import { pointedIdOf, pointerTo } from '../../../protocol/stored-reply-pointer.ts';
import { assert } from '../../../shared/assert.ts';
import type { Limits } from '../../../shared/limits.ts';
import { BlockedMessages } from './blocked-messages.ts';
import type { OwnMessage } from './core-message.ts';
import { Deletions } from './deletions.ts';
import { Holds } from './holds.ts';
import { LockCounts } from './lock-counts.ts';
import { lockGraceOf, type LockGrace } from './lock-grace.ts';
import type { ExclusiveRecord } from './lease.ts';
import { ParsedLocks } from './parsed-locks.ts';
import { QueueLines } from './queue-lines.ts';
import { TaskWatch } from './task-watch.ts';
import { Timers, type Timer } from './timers.ts';
import { WaitQueues, type Waiter } from './wait-queue.ts';
import { WatchedKeys } from './watched-keys.ts';

export interface ShardState {
  readonly shard: ShardId;
  readonly limits: Limits;
  readonly entries: Entries;
  readonly revisions: Revisions;
  /** Returns whether this shard owns the key. */
  readonly owns: (account: AccountId, key: string) => boolean;
  /** Of the record of one commit, see `recordBytesMax`. */
  readonly recordBytesMax: number;
  /** This start of the server. */
  readonly boot: Boot;
  /** Until when locks are not granted anew, after a restore. */
  readonly lockGrace: LockGrace | undefined;
  /** The highest revision whose effects this shard has applied. */
  lastRev: Revision;

  // In memory only, each used by one or two files.
  readonly waitQueues: WaitQueues;
  readonly timers: Timers;
  readonly mutexes: Mutexes;
  readonly parsedLocks: ParsedLocks;
  /** Idempotency ids of batches that wait for a lock → the number of such batches. */
  readonly inProgress: Map<string, number>;
  readonly queues: QueueLines;
  readonly tasks: TaskWatch;
  readonly watched: WatchedKeys;
  readonly holds: Holds;
  readonly blocked: BlockedMessages;
  readonly deletions: Deletions;
  /** What the core has left for later: the actor puts it in front of the account's other messages. */
  readonly ownMessages: OwnMessage[];
  /** What transactions keep on this shard besides their holds. */
  readonly transactions: Map<string, ParticipantState>;
  /** Present while writes are refused: the reason, and what may still be written. */
  outOfSpace: { readonly failure: Failure; readonly space: 'reserve' | 'full' } | undefined;
  readonly locks: LockCounts;
  /** The server is going down: no request may wait any more. */
  draining: boolean;
}

export interface ParticipantState {
  /** Its idempotency ids are marked as in progress. */
  readonly claim?: Batch;
  /** Its places in the wait queues of its locks. A lock is reserved for it once it is the head. */
  readonly waiters?: readonly Waiter[];
}

export interface Boot {
  /** The epoch that this start has taken: the upper part of the first mutex fences. */
  readonly epoch: number;
  /** Locks granted at or before this revision were held while the server was down. */
  readonly rev: Revision;
  /** Wall-clock milliseconds. */
  readonly at: number;
  /** The store was restored from a backup. */
  readonly restored?: RestoredState;
}

export interface Mutexes {
  /** By `nameOf`: held, or free for less than `mutexHistoryMs`. */
  readonly byName: Map<string, Mutex>;
  /** How many of them each account has. */
  readonly ofAccount: Map<AccountId, number>;
  readonly fences: Fences;
}

export interface Mutex {
  readonly record: ExclusiveRecord;
  readonly till: number;
  /** Its `seq` is the mutex's version: no other change of it has the same one. */
  readonly timer: Timer;
}

export function newShardState(
  given: Pick<ShardState, 'shard' | 'limits' | 'entries' | 'revisions' | 'owns' | 'recordBytesMax' | 'boot'>,
): ShardState {
  return {
    ...given,
    lockGrace: lockGraceOf(given.boot.restored),
    lastRev: given.revisions.durable(),
    waitQueues: new WaitQueues(),
    timers: new Timers(),
    mutexes: { byName: new Map(), ofAccount: new Map(), fences: new Fences(given.boot.epoch) },
    parsedLocks: new ParsedLocks(),
    inProgress: new Map(),
    queues: new QueueLines(),
    tasks: new TaskWatch(),
    watched: new WatchedKeys(),
    holds: new Holds(),
    blocked: new BlockedMessages(),
    deletions: new Deletions(),
    ownMessages: [],
    transactions: new Map(),
    outOfSpace: undefined,
    locks: new LockCounts(),
    draining: false,
  };
}

export function accountAndKey(name: string): { account: AccountId; key: string } {
  const at = name.indexOf('\0');
  return { account: name.slice(0, at) as AccountId, key: name.slice(at + 1) };
}

/**
 * Returns the revision that a read may claim: it covers everything acknowledged so far, and everything that this shard
 * has applied. (Not the shared counter: that would make every read wait for other shards' unfinished commits.)
 */
export function readRevision(state: ShardState): Revision {
  const durable = state.revisions.durable();
  return durable > state.lastRev ? durable : state.lastRev;
}

/**
 * Applies the effects of a record that belong to this shard. Entries change in no other way. Where idempotency ids point
 * to one that another shard owns, the first of them gets the reply, and the others point to it.
 */
export function applyRecord(state: Pick<ShardState, 'entries' | 'owns'>, record: CommitRecord): void {
  const { account, rev } = record;
  /** The first of this shard's ids that point to another shard's. */
  let holder: string | undefined;
  for (const { kind, key, value: written, till } of record.effects) {
    if (!state.owns(account, key)) continue;
    let value = written;
    if (kind === kinds.idempotency && value !== undefined) {
      const pointed = pointedIdOf(value);
      if (pointed !== undefined && !state.owns(account, pointed)) {
        value = holder === undefined ? replyUnder(record, pointed) : pointerTo(holder);
        holder ??= key;
      }
    }
    if (value === undefined) state.entries.delete(kind, account, key);
    else state.entries.put(kind, account, key, { rev, till, value });
  }
}

function replyUnder({ effects }: CommitRecord, id: string): string {
  const value = effects.find(({ kind, key }) => kind === kinds.idempotency && key === id)?.value;
  assert(value !== undefined, 'a record with a pointer has the reply that it leads to');
  return value;
}
