/**
 * What one turn of a shard sends out: the core fills it, the actor empties it when the turn's records are with the
 * journal. Nothing in it may leave before its revision is durable.
 */
import type { Revision } from '../../../protocol/ids.ts';
import type { CommitRecord } from '../../../protocol/record.ts';
import type { Reply } from '../../../protocol/replies.ts';
import type { TransactionAnswer, KeyEvent } from '../../../protocol/wire/shard-messages.ts';

/** A request under way: which front end sent it, and the number it gave it. */
export interface RequestRef {
  readonly router: number;
  readonly id: number;
  /** Of an array body: which of its batches. */
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
