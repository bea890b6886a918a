/**
 * The coordinator of a transaction: a command over several shards.
 *
 *   claim ─► reserve ─► hold shard a ─► hold shard b ─► … ─► commit on the last ─► durable ─► apply on all ─► reply
 *     └──────────┴────────────┴───────────────┴─── refused: release everything ───────────────────────────► reply
 *
 * It visits shards in ascending order, so that two transactions can never wait for each other. It waits for a lock
 * before it places any hold, so that keys are held no longer than the few messages that a commit takes. The commit is
 * one record in the journal: a crash leaves all of it or nothing. Holds are released only after it is durable and
 * applied, so that no reader ever sees one shard's half. shard-worker/core/transaction.ts says what a shard does at
 * each step.
 */
import { type AccountId, type Revision, revision } from '../../protocol/ids.ts';
import type { TransactionAnswer, Evaluation, Reserved, ToShard } from '../../protocol/wire/shard-messages.ts';
import { listReply } from '../../protocol/page.ts';
import type { Page } from '../../protocol/page-rows.ts';
import { ownerOf } from '../../protocol/partition.ts';
import { failure } from '../../protocol/errors.ts';
import { failureReply, type Reply } from '../../protocol/replies.ts';
import { assert } from '../../shared/assert.ts';
import { failpoint } from '../../shared/failpoints.ts';
import { mergeEvaluations } from './merge-evaluations.ts';
import { owners } from '../route.ts';
import type { LockOperation } from '../../protocol/operations/lock.ts';
import type { Batch, ListCommand } from '../../protocol/operations/operations.ts';

type WithoutId<Message> = Message extends { id: number } ? Omit<Message, 'id'> : never;

/** How a coordinator reaches the shards. */
export interface Participants {
  readonly shards: number;
  /**
   * Sends a message to a shard. Returns the shard's answer, and the message's id, with which it can be cancelled. Calls
   * `onWaiting` if the shard says first that the answer will take time.
   */
  ask(
    shard: number,
    message: WithoutId<ToShard>,
    onWaiting?: () => void,
  ): { id: number; answer: Promise<TransactionAnswer> };
  tell(shard: number, message: ToShard): void;
  durable(rev: Revision): Promise<void>;
}

export class Coordinator {
  readonly #transaction: string;
  readonly #account: AccountId;
  readonly #participants: Participants;
  readonly #visited = new Set<number>();
  /** The wait for the lock, while it lasts. */
  #waiting: { shard: number; id: number } | undefined;
  #cancelled = false;

  constructor(transaction: string, account: AccountId, participants: Participants) {
    this.#transaction = transaction;
    this.#account = account;
    this.#participants = participants;
  }

  /**
   * Runs a batch. Resolves with a reply whose revision may not be durable yet. Calls `onWaiting` if its lock is not
   * free: nobody knows how long it takes from there.
   */
  async batch(batch: Batch, shards: readonly number[], onWaiting: () => void): Promise<Reply> {
    const taken = await this.#takeLocks(batch, onWaiting);
    if ('outcome' in taken) return this.#release(taken);
    return this.#commit(taken, shards);
  }

  async #commit(batch: Batch, shards: readonly number[]): Promise<Reply> {
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
    const evaluation = mergeEvaluations(parts, batch);
    const last = evaluation.results.clear?.after;
    const done = await this.#ask(shards.at(-1)!, {
      kind: 'transaction.commit',
      transaction: this.#transaction,
      batch,
      evaluation,
      rev: revision(rev),
    });
    assert(done.kind === 'committed', 'a commit is answered as such');
    if (!done.written) return this.#release(done.reply);
    await this.#participants.durable(done.rev);
    failpoint('transaction.committed');
    for (const shard of this.#visited) {
      this.#participants.tell(shard, {
        kind: 'transaction.apply',
        transaction: this.#transaction,
        account: this.#account,
        rev: done.rev,
        stored: done.stored,
        ...(last !== undefined && { last }),
      });
    }
    failpoint('transaction.applied');
    return done.reply;
  }

  /** Lists one page over all shards, as of one moment. */
  async list(command: ListCommand, shards: readonly number[]): Promise<Reply> {
    const pages: Page[] = [];
    let rev = 0;
    for (const shard of shards) {
      const answer = await this.#ask(shard, { kind: 'transaction.prepare', transaction: this.#transaction, command });
      if (answer.kind === 'reply') return this.#release(answer.reply);
      assert(answer.kind === 'rows', 'a list is answered with rows');
      pages.push(answer.page);
      rev = Math.max(rev, answer.rev);
    }
    return this.#release(listReply(command, pages, revision(rev)));
  }

  /**
   * The client has disconnected. Only a wait for a lock can be cancelled; all else is over in a moment anyway. The
   * shard may have reserved the lock before it hears of it, so its answer decides nothing: the transaction ends after
   * it.
   */
  cancel(): void {
    this.#cancelled = true;
    if (this.#waiting === undefined) return;
    const { shard, id } = this.#waiting;
    this.#participants.tell(shard, { kind: 'cancel', id, account: this.#account });
  }

  /** Waits for the locks of the batch. @returns the batch, or why it ends here */
  async #takeLocks(batch: Batch, onWaiting: () => void): Promise<Batch | Reply> {
    const { account, lock, locks = lock === undefined ? [] : [lock], idempotency } = batch;
    if (locks.length === 0 || locks[0]!.extend !== undefined) return batch;
    // A retry must find its stored reply before it finds the lock taken, probably by its own first attempt.
    if (idempotency !== undefined) {
      for (const shard of owners(account, idempotency.ids, this.#participants.shards)) {
        const claimed = await this.#ask(shard, { kind: 'transaction.claim', transaction: this.#transaction, batch });
        if (claimed.kind === 'reply') return claimed.reply;
      }
      if (this.#cancelled) return cancelled;
    }
    const reserved: Reserved[] = [];
    for (const next of inOrder(account, locks, this.#participants.shards)) {
      const answer = await this.#reserve(next, reserved[0]?.deadline, onWaiting);
      if ('outcome' in answer) return answer;
      reserved.push(answer);
    }
    return batch.locks === undefined ? batch : ofSet(batch, reserved);
  }

  async #reserve(
    { shard, lock }: { readonly shard: number; readonly lock: LockOperation },
    deadline: number | undefined,
    onWaiting: () => void,
  ): Promise<Reserved | Reply> {
    this.#visited.add(shard);
    const named = {
      kind: 'transaction.reserve',
      transaction: this.#transaction,
      account: this.#account,
      lock,
    } as const;
    const reserve = deadline === undefined ? named : { ...named, deadline };
    const { id, answer } = this.#participants.ask(shard, reserve, onWaiting);
    this.#waiting = { shard, id };
    const reserved = await answer;
    this.#waiting = undefined;
    if (reserved.kind === 'reply') return reserved.reply;
    if (this.#cancelled) return cancelled;
    assert(reserved.kind === 'ok' && reserved.reserved !== undefined, 'a reservation is answered as such');
    return reserved.reserved;
  }

  #ask(shard: number, message: WithoutId<ToShard>): Promise<TransactionAnswer> {
    this.#visited.add(shard);
    return this.#participants.ask(shard, message).answer;
  }

  #release(reply: Reply): Reply {
    for (const shard of this.#visited)
      this.#participants.tell(shard, {
        kind: 'transaction.release',
        transaction: this.#transaction,
        account: this.#account,
      });
    return reply;
  }
}

/** All who reserve several locks do it in this order, so that they never wait for each other in a circle. */
function inOrder(
  account: AccountId,
  locks: readonly LockOperation[],
  shards: number,
): { readonly shard: number; readonly lock: LockOperation }[] {
  const places = locks.map((lock) => ({ shard: ownerOf(account, lock.id, shards), lock }));
  return places.toSorted((a, b) => a.shard - b.shard || (a.lock.id < b.lock.id ? -1 : 1));
}

/** An owner that has them all, under one fencing token, has lost the reply: its lease is extended. */
function ofSet(batch: Batch, reserved: readonly Reserved[]): Batch | Reply {
  const [{ held }, ...others] = reserved as [Reserved, ...Reserved[]];
  if (others.every((other) => other.held === held)) {
    if (held === undefined) return batch;
    return { ...batch, locks: batch.locks!.map((lock) => ({ ...lock, extend: held })) };
  }
  const message = 'This owner holds some of the locks already, or under several fencing tokens; give them back first.';
  const rev = Math.max(...reserved.map((each) => each.rev));
  return failureReply(revision(rev), failure('not_locked', message, { Why: 'partly_held' }));
}

/** Never sent: the client has disconnected. */
const cancelled = failureReply(revision(0), failure('not_locked', 'The request was cancelled while it waited.'));
