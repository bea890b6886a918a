/**
 * A command over several shards: the transaction's course.
 *
 *   claim ─► reserve ─► hold shard a ─► hold shard b ─► … ─► commit on the last ─► durable ─► apply on all ─► reply
 *     └──────────┴────────────┴───────────────┴─── refused: release everything ───────────────────────────► reply
 *
 * Shards are visited in ascending order, so that two transactions can never wait for each other; a lock is waited for before
 * any hold is placed, so that nobody's keys are held for longer than the few messages a commit takes. The commit is one
 * record in the journal: a crash leaves all of it or nothing. Holds are let go only when it is durable and applied, so
 * that no reader ever sees one shard's half. What a shard does at each stop is in shard-worker/core/transaction.ts.
 */
import type { Revision } from '../../protocol/ids.ts';
import { revision } from '../../protocol/ids.ts';
import type { TransactionAnswer, Evaluation, ToShard } from '../../protocol/wire/shard-messages.ts';
import { mergePages, pageReply, type Page } from '../../protocol/page.ts';
import { ownerOf } from '../../protocol/partition.ts';
import { failure } from '../../protocol/errors.ts';
import { failureReply, type Reply } from '../../protocol/replies.ts';
import { assert } from '../../shared/assert.ts';
import { failpoint } from '../../shared/failpoints.ts';
import { mergeEvaluations } from './merge-evaluations.ts';
import { owners } from '../route.ts';
import type { Batch, ListCommand } from '../../protocol/operations/operations.ts';

type WithoutId<Message> = Message extends { id: number } ? Omit<Message, 'id'> : never;

/** What a run needs of its router. */
export interface Participants {
  readonly shards: number;
  /** Sends a message to a shard and resolves with its answer. Returns the message's id too, so that it can be cancelled. */
  ask(shard: number, message: WithoutId<ToShard>): { id: number; answer: Promise<TransactionAnswer> };
  tell(shard: number, message: ToShard): void;
  durable(rev: Revision): Promise<void>;
}

export class Coordinator {
  readonly #transaction: string;
  readonly #carrier: Participants;
  readonly #visited = new Set<number>();
  /** The wait for the lock, while it lasts. */
  #waiting: { shard: number; id: number } | undefined;
  #cancelled = false;

  constructor(transaction: string, carrier: Participants) {
    this.#transaction = transaction;
    this.#carrier = carrier;
  }

  /** Resolves with a reply whose revision may still have to become durable. */
  async batch(batch: Batch, shards: readonly number[]): Promise<Reply> {
    const refused = await this.#takeLock(batch);
    if (refused !== undefined) return this.#release(refused);
    const parts: Evaluation[] = [];
    let rev = 0;
    for (const shard of shards) {
      const answer = await this.#ask(shard, {
        kind: 'transaction.prepare',
        transaction: this.#transaction,
        command: batch,
      });
      if (answer.kind === 'reply') return this.#release(answer.reply);
      assert(answer.kind === 'held', 'a hold is answered with an evaluation');
      parts.push(answer.evaluation);
      rev = Math.max(rev, answer.rev);
    }
    const evaluation = mergeEvaluations(parts);
    const last = shards.at(-1)!;
    const done = await this.#ask(last, {
      kind: 'transaction.commit',
      transaction: this.#transaction,
      batch,
      evaluation,
      rev: revision(rev),
    });
    assert(done.kind === 'committed', 'a commit is answered as such');
    if (!done.written) return this.#release(done.reply);
    await this.#carrier.durable(done.rev);
    failpoint('transaction.committed');
    for (const shard of this.#visited) {
      this.#carrier.tell(shard, {
        kind: 'transaction.apply',
        transaction: this.#transaction,
        rev: done.rev,
        body: done.reply.body,
      });
    }
    failpoint('transaction.applied');
    return done.reply;
  }

  /** One page over all shards, as of one moment. */
  async list(command: ListCommand, shards: readonly number[]): Promise<Reply> {
    const pages: Page[] = [];
    let rev = 0;
    for (const shard of shards) {
      const answer = await this.#ask(shard, { kind: 'transaction.prepare', transaction: this.#transaction, command });
      assert(answer.kind === 'rows', 'a list is answered with rows');
      pages.push(answer.page);
      rev = Math.max(rev, answer.rev);
    }
    return this.#release(pageReply(command, mergePages(pages, command.limit), revision(rev)));
  }

  /**
   * The client has vanished. Only a wait for a lock can be given up; all else is over in a moment anyway. The lock may
   * have been reserved before the shard hears of it, so that its answer decides nothing: the run ends behind it.
   */
  cancel(): void {
    this.#cancelled = true;
    if (this.#waiting === undefined) return;
    const { shard, id } = this.#waiting;
    this.#carrier.tell(shard, { kind: 'cancel', id });
  }

  async #takeLock(batch: Batch): Promise<Reply | undefined> {
    const { account, lock, idempotency } = batch;
    if (lock === undefined || lock.extend !== undefined) return undefined;
    // A retry must find its stored reply before it finds the lock taken, by itself as likely as not.
    if (idempotency !== undefined) {
      for (const shard of owners(account, idempotency.ids, this.#carrier.shards)) {
        const claimed = await this.#ask(shard, { kind: 'transaction.claim', transaction: this.#transaction, batch });
        if (claimed.kind === 'reply') return claimed.reply;
      }
      if (this.#cancelled) return cancelled;
    }
    const shard = ownerOf(account, lock.id, this.#carrier.shards);
    this.#visited.add(shard);
    const { id, answer } = this.#carrier.ask(shard, {
      kind: 'transaction.reserve',
      transaction: this.#transaction,
      account,
      lock,
    });
    this.#waiting = { shard, id };
    const reserved = await answer;
    this.#waiting = undefined;
    if (reserved.kind === 'reply') return reserved.reply;
    return this.#cancelled ? cancelled : undefined;
  }

  #ask(shard: number, message: WithoutId<ToShard>): Promise<TransactionAnswer> {
    this.#visited.add(shard);
    return this.#carrier.ask(shard, message).answer;
  }

  #release(reply: Reply): Reply {
    for (const shard of this.#visited)
      this.#carrier.tell(shard, { kind: 'transaction.release', transaction: this.#transaction });
    return reply;
  }
}

/** Nobody is there to be told. */
const cancelled = failureReply(revision(0), failure('not_locked', 'The request was cancelled while it waited.'));
