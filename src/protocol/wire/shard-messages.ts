/**
 * What travels between a front end's router and a shard. One message a turn of the event loop carries many of these;
 * `shard-wire.ts` says how they are written. A batch over several shards is a *transaction* (see router/transaction/coordinator.ts for its
 * course and shard-worker/core/transaction.ts for what a shard does with it).
 */
import type { AccountId, Revision } from '../ids.ts';
import type { Effect } from '../record.ts';
import type { Grant, Reply } from '../replies.ts';
import type { Failure } from '../errors.ts';
import type { Page } from '../page.ts';
import type { ShardStats } from '../stats.ts';
import type { LockOperation } from '../operations/lock.ts';
import type { Batch, Command, ListCommand, Results } from '../operations/operations.ts';

export type ToShard =
  | { readonly kind: 'request'; readonly id: number; readonly command: Command }
  /** The batches of an array body that this shard keeps, in order; each is a request of its own. None waits for a lock. */
  | { readonly kind: 'array'; readonly id: number; readonly batches: readonly Batch[] }
  /** The client of this request has vanished. */
  | { readonly kind: 'cancel'; readonly id: number }
  /** A grant that could not be delivered. */
  | { readonly kind: 'grant.return'; readonly grant: Grant }
  /** Nobody watches this key any more. */
  | { readonly kind: 'unwatch'; readonly account: AccountId; readonly key: string }
  | { readonly kind: 'transaction.claim'; readonly id: number; readonly transaction: string; readonly batch: Batch }
  | {
      readonly kind: 'transaction.reserve';
      readonly id: number;
      readonly transaction: string;
      readonly account: AccountId;
      readonly lock: LockOperation;
    }
  | {
      readonly kind: 'transaction.prepare';
      readonly id: number;
      readonly transaction: string;
      readonly command: Batch | ListCommand;
    }
  | {
      readonly kind: 'transaction.commit';
      readonly id: number;
      readonly transaction: string;
      readonly batch: Batch;
      readonly evaluation: Evaluation;
      readonly rev: Revision;
    }
  /** Durable: apply the part that was evaluated under the hold, and let go. */
  | {
      readonly kind: 'transaction.apply';
      readonly transaction: string;
      readonly rev: Revision;
      readonly stored: string;
    }
  /** Let go of everything, claim, reservation and hold, without a change. */
  | { readonly kind: 'transaction.release'; readonly transaction: string }
  | { readonly kind: 'stats'; readonly id: number }
  /** Answer everybody who waits with `draining`, refuse further waiting. */
  | { readonly kind: 'drain' }
  /** Commit, checkpoint, and say so. */
  | { readonly kind: 'close'; readonly id: number };

export interface FromShard {
  readonly durable: Revision;
  readonly replies: readonly Answer[];
  readonly events: readonly KeyEvent[];
  readonly transactions: readonly { readonly id: number; readonly answer: TransactionAnswer }[];
  readonly stats: readonly { readonly id: number; readonly stats: ShardStats }[];
  readonly closed: readonly number[];
}

export type Answer =
  | { readonly kind: 'one'; readonly id: number; readonly reply: Reply }
  /** To some of the batches of an array body: those that were worked off in one turn. `rev` is the highest of theirs. */
  | { readonly kind: 'items'; readonly id: number; readonly rev: Revision; readonly items: readonly ItemReply[] };

export interface ItemReply {
  /** Its place among the batches of the message. */
  readonly item: number;
  readonly reply: Reply;
}

/** A watched key has changed. */
export interface KeyEvent {
  readonly account: AccountId;
  readonly key: string;
  /** The commit that changed it. */
  readonly rev: Revision;
  /** The key's version now: `rev`, or 0 when it was deleted. */
  readonly version: number;
  /** The finished reply for everyone who watches it. */
  readonly body: string;
}

export type TransactionAnswer =
  | { readonly kind: 'ok' }
  /** The request is answered already: a duplicate, or the lock was not to be had. */
  | { readonly kind: 'reply'; readonly reply: Reply }
  | { readonly kind: 'held'; readonly evaluation: Evaluation; readonly rev: Revision }
  | { readonly kind: 'rows'; readonly page: Page; readonly rev: Revision }
  | {
      readonly kind: 'committed';
      readonly reply: Reply;
      readonly rev: Revision;
      readonly written: boolean;
      /** What idempotency ids keep of the reply; empty without ids. */
      readonly stored: string;
    };

/** An effect that still lacks the revision of its commit. */
export interface PendingEffect extends Effect {
  /** The value is a lock record whose new lease takes the commit's revision as its fence. */
  readonly grants?: true;
  /** Where in the key the commit's revision goes, see `openPlace`. */
  readonly opens?: number;
  /** The value is the stored reply of an idempotent request, which exists only once the reply is written. */
  readonly stores?: true;
}

/** What a batch, or the part of it that one shard owns, comes to: nothing of it has happened yet. */
export interface Evaluation {
  readonly pending: readonly PendingEffect[];
  readonly results: Results;
  readonly failed: readonly FailedItem[];
  /** An earlier request with one of the idempotency ids. */
  readonly duplicate?: Duplicate;
}

/** The stored reply of an earlier request, and the ids that it is found under. */
export interface Duplicate {
  readonly ids: readonly string[];
  /** The text of the entry. */
  readonly stored: string;
}

/** One condition that does not hold, as it is listed in the error reply. */
export interface FailedItem extends Failure {
  /** `KVSet[1]`, `Guard[0]`, … */
  readonly field: string;
  /** In the order in which one shard would look: failures of several shards are listed in it. */
  readonly place: number;
}
