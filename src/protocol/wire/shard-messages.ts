/**
 * Messages between a front end's router and a shard. In each turn of the event loop one port message carries many of
 * them; `shard-wire.ts` says how they are encoded. A batch over several shards is a *transaction*:
 * router/transaction/coordinator.ts has its phases, shard-worker/core/transaction.ts what a shard does in each.
 */
import type { AccountId, Revision } from '../ids.ts';
import type { Amounts } from '../quotas.ts';
import type { Effect } from '../record.ts';
import type { Grant, Reply } from '../replies.ts';
import type { Failure } from '../errors.ts';
import type { Page } from '../page-rows.ts';
import type { ShardStats } from '../stats.ts';
import type { LockOperation } from '../operations/lock.ts';
import type { Batch, Command, ListCommand, Results } from '../operations/operations.ts';

export type ToShard =
  | { readonly kind: 'request'; readonly id: number; readonly command: Command }
  /** The batches of an array body that this shard owns, in order, each a request of its own. None waits for a lock. */
  | { readonly kind: 'array'; readonly id: number; readonly batches: readonly Batch[] }
  /** The client of this request has disconnected. */
  | { readonly kind: 'cancel'; readonly id: number; readonly account: AccountId }
  /** The client of this grant has disconnected before it was delivered. */
  | { readonly kind: 'grant.return'; readonly grant: Grant }
  /** No client of this front end watches these keys, or locks, any more. */
  | {
      readonly kind: 'unwatch';
      readonly account: AccountId;
      readonly keys: readonly string[];
      readonly lock?: true;
    }
  | { readonly kind: 'transaction.claim'; readonly id: number; readonly transaction: string; readonly batch: Batch }
  | {
      readonly kind: 'transaction.reserve';
      readonly id: number;
      readonly transaction: string;
      readonly account: AccountId;
      readonly lock: LockOperation;
      /** The end of LockWait: another lock of the set has been reserved before. */
      readonly deadline?: number;
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
  /** The commit is durable: apply the part that was evaluated under the hold, and release the hold. */
  | {
      readonly kind: 'transaction.apply';
      readonly transaction: string;
      readonly account: AccountId;
      readonly rev: Revision;
      readonly stored: string;
      /** A page that was deleted ends with this key. */
      readonly last?: string;
    }
  /** Release everything (claim, reservation and hold) without a change. */
  | { readonly kind: 'transaction.release'; readonly transaction: string; readonly account: AccountId }
  | { readonly kind: 'stats'; readonly id: number }
  /** Answer all waiters with `draining`, and refuse further waiting. */
  | { readonly kind: 'drain' }
  /** Commit, checkpoint, and confirm. */
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
  /** To the batches of an array body that one turn has processed. `rev` is the highest of theirs. */
  | { readonly kind: 'items'; readonly id: number; readonly rev: Revision; readonly items: readonly ItemReply[] };

export interface ItemReply {
  /** Its index among the batches of the message. */
  readonly item: number;
  readonly reply: Reply;
}

/** A watched key has changed. */
export interface KeyEvent {
  readonly account: AccountId;
  readonly key: string;
  /** It is the id of a lock. */
  readonly lock?: true;
  /** The commit that changed it. */
  readonly rev: Revision;
  /** The key's version now: `rev`, or 0 if it was deleted. */
  readonly version: number;
  /** The finished reply for all clients that watch it. */
  readonly body: string;
}

/** A lock of a set that waits for the others, or is held by the one who asks. */
export interface Reserved {
  /** The end of LockWait, for all locks of the set. */
  readonly deadline: number;
  /** The fencing token under which it holds the lock already. */
  readonly held?: number | undefined;
  readonly rev: Revision;
}

export type TransactionAnswer =
  | { readonly kind: 'ok'; readonly reserved?: Reserved }
  /** The lock is not free; another answer follows when the wait ends. */
  | { readonly kind: 'waiting' }
  /** The request ends here: it is a duplicate, or the lock was not available. */
  | { readonly kind: 'reply'; readonly reply: Reply }
  | { readonly kind: 'held'; readonly evaluation: Evaluation; readonly rev: Revision }
  | { readonly kind: 'rows'; readonly page: Page; readonly rev: Revision }
  | {
      readonly kind: 'committed';
      readonly reply: Reply;
      readonly rev: Revision;
      readonly written: boolean;
      /** What idempotency ids store of the reply; empty without ids. */
      readonly stored: string;
    };

/** An effect that still lacks the revision of its commit. */
export interface PendingEffect extends Effect {
  /** The value is a lock record whose new lease takes the commit's revision as its fence. */
  readonly grants?: true;
  /** The index in the key at which the commit's revision goes, see `openPlace`. */
  readonly opens?: number;
  /** The value is the stored reply of an idempotent request, which exists only once the batch commits. */
  readonly stores?: true;
  /** What it does to a lease, for metrics. */
  readonly lease?: {
    readonly change: 'granted' | 'extended' | 'released' | 'expired' | 'forced';
    /** When a lease that ends has begun, if that is known. */
    readonly since?: number;
  };
}

/** The evaluation of a batch, or of the part that one shard owns. Nothing of it has happened yet. */
export interface Evaluation {
  readonly pending: readonly PendingEffect[];
  readonly results: Results;
  readonly failed: readonly FailedItem[];
  /** An earlier request with one of the idempotency ids. */
  readonly duplicate?: Duplicate;
  /** What the account has more of after the pending effects; for an account with a quota. */
  readonly growth?: Amounts;
}

/** The stored reply of an earlier request, and the ids that it was found under. */
export interface Duplicate {
  readonly ids: readonly string[];
  /** The text of the entry. */
  readonly stored: string;
}

/** One condition that does not hold, as the error reply lists it. */
export interface FailedItem extends Failure {
  /** `KVSet[1]`, `Guard[0]`, … */
  readonly field: string;
  /** Sorts failures of several shards into the order in which one shard would find them. */
  readonly place: number;
}
