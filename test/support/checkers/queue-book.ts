/**
 * What clients were told of queues, by queue and message, in the order of revisions: the book that `queue-ledger.ts`
 * looks through. What was never answered may have happened: it stands here as what it was to do, without a revision.
 */
import { parseMessageId, type MessageId } from '../../../src/protocol/message-id.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import type { QueueChange } from '../../../src/protocol/operations/queue-change.ts';
import type { EnqueueOperation } from '../../../src/protocol/operations/queue.ts';
import type { Body } from '../contract/expected.ts';
import type { Answer, History, Operation } from './history.ts';
import { boundsOf, endOf } from './real-time.ts';
import { isOfQueues } from './without-queues.ts';

/** One operation on a queue. */
export interface Asked {
  readonly operation: Operation;
  /** Of its commit, or of what it has read. Undefined: it was not answered, and may have happened or not. */
  readonly rev: number | undefined;
  /** The highest revision that was told before it was sent. */
  readonly lo: number;
  /** The server looked at it between these, on the clock of the history. */
  readonly from: number;
  readonly to: number;
}

export interface Delivery extends Asked {
  readonly lock: number;
  readonly till: number;
  readonly durMs: number;
  readonly attempts: number;
  readonly attempt: string | undefined;
  readonly data: unknown;
  /** In the reply. */
  readonly place: number;
}

export interface Settle extends Asked {
  readonly how: 'ack' | 'nack' | 'return' | 'extend';
  readonly lock: number | undefined;
  readonly till?: number;
  /** It was refused: why. */
  readonly refused?: string;
}

export interface Message {
  readonly name: string;
  readonly id: MessageId;
  /** Undefined: nobody was told that it was enqueued. */
  enqueued?: Asked & { readonly what: EnqueueOperation };
  readonly deliveries: Delivery[];
  readonly settles: Settle[];
  /** Was seen among the dead at this revision. */
  dead?: number;
}

export interface QueueBook {
  readonly account: string;
  readonly queue: string;
  readonly messages: Map<string, Message>;
  readonly changes: (Asked & { readonly change: QueueChange; readonly moved: number })[];
  readonly duplicates: (Asked & { readonly what: EnqueueOperation; readonly id: string })[];
  readonly stats: (Asked & { readonly body: Body })[];
  /** Enqueues and dequeues that were not answered. */
  readonly unknownEnqueues: (Asked & { readonly what: EnqueueOperation })[];
  readonly unknownDequeues: Asked[];
}

interface DeliveredBody {
  readonly ID: string;
  readonly Data: unknown;
  readonly Attempts: number;
  readonly Lock: number;
  readonly TillMs: number;
}

interface Said {
  readonly Dequeue?: { readonly Messages: readonly DeliveredBody[] };
  readonly Messages?: readonly DeliveredBody[];
  readonly Enqueue?: readonly Body[];
  readonly Extend?: readonly Body[];
}

/** @param fault is called with what is wrong by itself */
export function booksOf(history: History, fault: (what: string, asked: Asked) => void): QueueBook[] {
  const { operations, restarts = [] } = history;
  const bounds = boundsOf(history);
  const books = new Map<string, QueueBook>();
  const told = new Set<number>();
  const write = (i: number): void => {
    const operation = operations[i]!;
    const { call, answer, sentAt } = operation;
    const isReplay = answer?.replayed === true;
    // The same commit may be told again under its idempotency id.
    if (isReplay && told.has(answer.body.Rev!)) return;
    const rev = answer?.status === 200 ? (answer.body.Rev ?? answer.rev) : undefined;
    if (answer?.status === 200 && call.kind === 'batch') told.add(rev!);
    const asked: Asked = {
      operation,
      rev: answer === undefined ? undefined : rev,
      lo: isReplay ? 0 : bounds.lo[i]!,
      from: isReplay ? -Infinity : sentAt,
      to: endOf(operation, restarts),
    };
    new Writer(books, fault, asked).write();
  };
  const ofQueues = operations.flatMap(({ call }, i) => (isOfQueues(call) ? [i] : []));
  // First what was told at once.
  for (const i of ofQueues) if (!operations[i]!.answer?.replayed) write(i);
  for (const i of ofQueues) if (operations[i]!.answer?.replayed) write(i);
  return [...books.values()];
}

class Writer {
  readonly #books: Map<string, QueueBook>;
  readonly #fault: (what: string, asked: Asked) => void;
  readonly #asked: Asked;

  constructor(books: Map<string, QueueBook>, fault: (what: string, asked: Asked) => void, asked: Asked) {
    this.#books = books;
    this.#fault = fault;
    this.#asked = asked;
  }

  write(): void {
    const { operation } = this.#asked;
    const { call, answer } = operation;
    if (call.kind === 'queue.stat' && answer?.status === 200)
      this.#book(call.queue).stats.push({ ...this.#asked, body: answer.body });
    if (call.kind === 'queue.peek' && answer?.status === 200) {
      const { Messages = [] } = answer.body as Said;
      for (const { ID } of Messages) if (call.state === 'dead') this.#message(call.queue, ID).dead ??= this.#asked.rev!;
    }
    if (call.kind !== 'batch') return;
    if (answer === undefined) this.#unknown(call);
    else if (answer.status === 200) this.#done(call, answer.body);
    else this.#refused(call, answer);
  }

  #done(call: Batch, body: Body): void {
    const asked = this.#asked;
    const { Dequeue, Messages, Enqueue, Extend } = body as Said;
    for (const each of call.ack ?? []) this.#settle(each, 'ack');
    for (const each of call.nack ?? []) this.#settle(each, each.returned ? 'return' : 'nack');
    call.extend?.forEach((each, i) => this.#settle(each, 'extend', Number((Extend?.[i] ?? body).TillMs)));
    call.enqueue?.forEach((what, i) => {
      const item = Enqueue?.[i] ?? body;
      const name = String(item['ID']);
      if (item['Duplicate'] === true) {
        this.#book(what.key).duplicates.push({ ...asked, what, id: name });
        return;
      }
      const message = this.#message(what.key, name);
      if (message.id.rev !== asked.rev) this.#fault(`the message ${name} is not of its commit`, asked);
      if (message.enqueued !== undefined) this.#fault(`the message ${name} was enqueued twice`, asked);
      message.enqueued = { ...asked, what };
    });
    const { dequeue, queueChange } = call;
    if (dequeue !== undefined) {
      (Dequeue?.Messages ?? Messages ?? []).forEach(({ ID, Data, Attempts, Lock, TillMs }, place) => {
        const { durMs, attempt } = dequeue;
        const told = { lock: Lock, till: TillMs, durMs, attempts: Attempts, attempt, data: Data, place };
        this.#message(dequeue.key, ID).deliveries.push({ ...asked, ...told });
      });
    }
    if (queueChange !== undefined) {
      const { Redriven = 0, Skipped = 0 } = body as { Redriven?: number; Skipped?: number };
      this.#book(queueChange.key).changes.push({ ...asked, change: queueChange, moved: Redriven + Skipped });
    }
  }

  #unknown(call: Batch): void {
    for (const each of call.ack ?? []) this.#settle(each, 'ack');
    for (const each of call.nack ?? []) this.#settle(each, each.returned ? 'return' : 'nack');
    for (const each of call.extend ?? []) this.#settle(each, 'extend');
    for (const what of call.enqueue ?? []) this.#book(what.key).unknownEnqueues.push({ ...this.#asked, what });
    if (call.dequeue !== undefined) this.#book(call.dequeue.key).unknownDequeues.push(this.#asked);
    const { queueChange: change } = call;
    if (change !== undefined) this.#book(change.key).changes.push({ ...this.#asked, change, moved: Infinity });
  }

  #refused(call: Batch, { body }: Answer): void {
    const sections = { Ack: call.ack, Nack: call.nack, Extend: call.extend };
    for (const { Field, Code, Why } of body.Failed ?? (body.Code === 'receipt_expired' ? [body] : [])) {
      const [, section, i] = /^(Ack|Nack|Extend)\[(\d+)\]$/.exec(String(Field)) ?? [];
      if (Code !== 'receipt_expired' || section === undefined) continue;
      const { key, id, lock } = sections[section as keyof typeof sections]![Number(i)]!;
      const how = section.toLowerCase() as 'ack' | 'nack' | 'extend';
      this.#message(key, id).settles.push({ ...this.#asked, how, lock, refused: String(Why) });
    }
  }

  #settle(
    { key, id, lock }: { readonly key: string; readonly id: string; readonly lock?: number },
    how: Settle['how'],
    till?: number,
  ): void {
    this.#message(key, id).settles.push({ ...this.#asked, how, lock, ...(till === undefined ? {} : { till }) });
  }

  #message(queue: string, name: string): Message {
    const { messages } = this.#book(queue);
    const known = messages.get(name);
    if (known !== undefined) return known;
    const id = parseMessageId(name);
    if (id === undefined) this.#fault(`${name} is the ID of no message`, this.#asked);
    const message = { name, id: id ?? { rev: 0, index: 0, priority: 0 }, deliveries: [], settles: [] };
    messages.set(name, message);
    return message;
  }

  #book(queue: string): QueueBook {
    const { account } = this.#asked.operation.call;
    const name = `${account}\0${queue}`;
    let book = this.#books.get(name);
    if (book !== undefined) return book;
    book = {
      account,
      queue,
      messages: new Map(),
      changes: [],
      duplicates: [],
      stats: [],
      unknownEnqueues: [],
      unknownDequeues: [],
    };
    this.#books.set(name, book);
    return book;
  }
}
