/**
 * Everything one shard knows. Only the shard's own thread touches it, one command at a time, so nothing here is ever
 * seen half-changed. `entries` is durable content; the rest lives in memory and is empty after a restart.
 */
import type { Batch } from '../../../protocol/commands.ts';
import type { Failure } from '../../../protocol/errors.ts';
import type { AccountId, Revision, ShardId } from '../../../protocol/ids.ts';
import type { Revisions } from '../../../protocol/journal.ts';
import { keyEventBody } from '../../../protocol/key-event-body.ts';
import type { CommitRecord } from '../../../protocol/record.ts';
import { kinds } from '../../../protocol/record.ts';
import { nameOf, FootprintSet, type Footprint } from '../../../protocol/footprint.ts';
import type { Limits } from '../../../shared/limits.ts';
import type { CoreMessage } from './core-message.ts';
import { Deadlines, type Deadline } from './timers.ts';
import type { Entries } from '../../../protocol/entries.ts';
import { Holds } from './holds.ts';
import type { LockRecord } from './lease.ts';
import { WaitQueue, type Timed, type Waiter } from './wait-queue.ts';
import type { Outbox } from './outbox.ts';

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
  readonly waitQueues: { readonly lock: Map<string, WaitQueue>; readonly mutex: Map<string, WaitQueue> };
  readonly mutexes: Map<string, Mutex>;
  mutexHandles: number;
  /** Every waiter, by `router:request`. */
  readonly waiters: Map<string, Waiter>;
  tickets: number;
  readonly deadlines: Deadlines<Timed>;
  /** Locks that became free, or may have, within this command: their lines are served before it ends. */
  readonly grantable: Set<string>;
  /** Lines whose head needs a key that a transaction holds. */
  readonly blockedQueues: Set<string>;
  /** Idempotency ids of batches that wait for a lock → how many. */
  readonly inProgress: Map<string, number>;
  /** Watched keys → front ends that want to hear of the next change. */
  readonly watched: Map<string, Set<number>>;
  readonly holds: Holds;
  /** Messages that need a held key, in order of arrival, and what they need. */
  blocked: BlockedMessage[];
  readonly blockedFootprints: FootprintSet;
  /** What transactions over several shards keep here besides their holds. */
  readonly transactions: Map<string, ParticipantState>;
  /** Why writes are refused at the moment, if they are, and what may still be written. */
  outOfSpace: { readonly failure: Failure; readonly room: 'reserve' | 'full' } | undefined;
  /** No more waiting: the server is going down. */
  draining: boolean;
}

export interface BlockedMessage {
  readonly router: number;
  readonly message: CoreMessage;
  readonly scope: Footprint;
}

export interface ParticipantState {
  /** Its idempotency ids are marked as in progress. */
  readonly claim?: Batch;
  /** Its place in the line of its lock, which is reserved for it when it is the head. */
  readonly waiter?: Waiter;
}

export interface Boot {
  /** Counts the starts of this data directory; the upper part of every mutex handle. */
  readonly number: number;
  /** Locks granted at or before this revision were held while the server was down. */
  readonly rev: Revision;
  /** Wall-clock milliseconds. */
  readonly at: number;
}

export interface Mutex {
  record: LockRecord;
  till: number;
  deadline: Deadline<Timed>;
}

export function newShardState(
  given: Pick<ShardState, 'shard' | 'limits' | 'entries' | 'revisions' | 'owns' | 'boot'>,
): ShardState {
  return {
    ...given,
    lastRev: given.revisions.durable(),
    waitQueues: { lock: new Map(), mutex: new Map() },
    mutexes: new Map(),
    mutexHandles: 0,
    waiters: new Map(),
    tickets: 0,
    deadlines: new Deadlines(),
    grantable: new Set(),
    blockedQueues: new Set(),
    inProgress: new Map(),
    watched: new Map(),
    holds: new Holds(),
    blocked: [],
    blockedFootprints: new FootprintSet(),
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

/** Records a commit of this shard alone: journal, entries, watchers. */
export function commit(state: ShardState, record: CommitRecord, out: Outbox): void {
  out.record(record);
  applyRecord(state, record);
  state.lastRev = record.rev;
  notifyWatchers(state, record, out);
}

export function notifyWatchers(state: ShardState, record: CommitRecord, out: Outbox): void {
  if (state.watched.size === 0) return;
  for (const effect of record.effects) {
    if (effect.kind !== kinds.kv) continue;
    const name = nameOf(record.account, effect.key);
    const routers = state.watched.get(name);
    if (routers === undefined) continue;
    // One change answers everyone who waits, so that the interest ends with it.
    state.watched.delete(name);
    const version = effect.value === undefined ? 0 : record.rev;
    const body = keyEventBody(effect.key, version, effect.value, record.rev, effect.expired);
    for (const router of routers)
      out.event(router, { account: record.account, key: effect.key, rev: record.rev, version, body });
  }
}
