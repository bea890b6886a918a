/** Collects what one turn of a shard sends, by front end. */
import type { Revision } from '../protocol/ids.ts';
import { RecordWriter, type CommitRecord } from '../protocol/record.ts';
import type { Reply } from '../protocol/replies.ts';
import type { ShardStats } from '../protocol/stats.ts';
import type { Answer, ItemReply, KeyEvent, TransactionAnswer } from '../protocol/wire/shard-messages.ts';
import { answerLength } from '../protocol/wire/shard-wire.ts';
import type { Outbox, RequestRef } from './core/state/outbox.ts';
import type { ShardState } from './core/state/state.ts';

export type Mail = {
  replies: (Extract<Answer, { kind: 'one' }> | ItemsAnswer)[];
  events: KeyEvent[];
  transactions: { id: number; answer: TransactionAnswer }[];
  stats: { id: number; stats: ShardStats }[];
  closed: number[];
};

type ItemsAnswer = { kind: 'items'; id: number; rev: Revision; items: ItemReply[] };

/** Replies to consecutive batches of an array, the usual case, share one answer. */
function answerItem(replies: Mail['replies'], id: number, item: ItemReply): void {
  const { rev } = item.reply;
  const last = replies.at(-1);
  if (last?.kind !== 'items' || last.id !== id) {
    replies.push({ kind: 'items', id, rev, items: [item] });
    return;
  }
  last.items.push(item);
  if (rev > last.rev) last.rev = rev;
}

export function emptyMail(): Mail {
  return { replies: [], events: [], transactions: [], stats: [], closed: [] };
}

export class TurnOutbox implements Outbox {
  readonly #state: ShardState;
  readonly #records: RecordWriter;
  #mail = new Map<number, Mail>();
  /** The approximate length of its answers, in characters. */
  length = 0;

  constructor(state: ShardState, records: RecordWriter) {
    this.#state = state;
    this.#records = records;
  }

  nextRevision(): Revision {
    return this.#state.revisions.next();
  }

  record(commit: CommitRecord): void {
    this.#records.append(commit);
  }

  reply(to: RequestRef, reply: Reply): void {
    // Work that the shard starts itself, such as returning a grant, has nobody to answer.
    if (to.router < 0) return;
    this.length += reply.body.length;
    const { replies } = this.of(to.router);
    if (to.item === undefined) replies.push({ kind: 'one', id: to.id, reply });
    else answerItem(replies, to.id, { item: to.item, reply });
  }

  event(router: number, event: KeyEvent): void {
    this.length += event.body.length;
    this.of(router).events.push(event);
  }

  transaction(to: RequestRef, answer: TransactionAnswer): void {
    this.length += answerLength(answer);
    this.of(to.router).transactions.push({ id: to.id, answer });
  }

  of(router: number): Mail {
    let mail = this.#mail.get(router);
    if (mail === undefined) this.#mail.set(router, (mail = emptyMail()));
    return mail;
  }

  take(): Map<number, Mail> {
    const mail = this.#mail;
    this.#mail = new Map();
    this.length = 0;
    return mail;
  }
}
