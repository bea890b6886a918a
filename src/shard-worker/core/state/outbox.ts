/**
 * The results of one turn of a shard: the core fills it, the actor empties it when the journal has the turn's records.
 * Nothing in it may reach a client before its revision is durable.
 */
import type { Revision } from '../../../protocol/ids.ts';
import type { CommitRecord } from '../../../protocol/record.ts';
import type { Reply } from '../../../protocol/replies.ts';
import type { TransactionAnswer, KeyEvent } from '../../../protocol/wire/shard-messages.ts';

/** A request in flight: the front end that sent it, and the number that it has there. */
export interface RequestRef {
  readonly router: number;
  readonly id: number;
  /** The index of the batch within an array body. */
  readonly item?: number;
}

export interface Outbox {
  /** Takes the next revision. The caller records the commit before anything else happens. */
  nextRevision(): Revision;
  record(commit: CommitRecord): void;
  reply(to: RequestRef, reply: Reply): void;
  event(router: number, event: KeyEvent): void;
  transaction(to: RequestRef, answer: TransactionAnswer): void;
}
