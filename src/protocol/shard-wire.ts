/**
 * How messages cross a MessagePort. Cloning objects costs several microseconds each, JSON text one; flat arrays of
 * numbers and strings cost half of that, because a string is copied as memory. So each way there is one flat array a
 * turn, in which what every request does stands piece by piece, and what is rare as JSON text.
 *
 * To a shard, a run for each message: a batch begins with its number, everything else is one JSON text.
 *
 *   id, account, shape, replyBytesMax, rest,  n, n × (key, value, version, ttlMs),  n, n × key,  n, n × (key, op, n, ifEq)
 *                                             set                                   get          atomic
 *
 * `rest` is 0 or the JSON text of the batch's other members. Absent: 0 for replyBytesMax and value, −1 for version and
 * ttlMs, '' for ifEq; a list that is absent and one that is empty are the same to a shard.
 *
 * From a shard, `[durable, [id, rev, status, body, extra, id, rev, …], other]`: `extra` is 0, 1 (replayed) or the grant
 * as JSON text; `other` is 0 or the JSON text of everything that is rare.
 */
import { assert, unreachable } from '../shared/assert.ts';
import { accountId, revision } from './ids.ts';
import type { AtomicAsk, Batch, ReplyShape, SetAsk } from './commands.ts';
import type { BatonAnswer, FromShard, ToShard } from './messages.ts';
import type { Grant, Reply } from './replies.ts';

export type ToShardWire = readonly (number | string)[];
export type FromShardWire = [durable: number, replies: (number | string)[], other: string | 0];

export function encodeToShard(messages: readonly ToShard[]): ToShardWire {
  const wire: (number | string)[] = [];
  for (const message of messages) {
    if (message.kind === 'request' && message.command.kind === 'batch') putBatch(wire, message.id, message.command);
    else wire.push(JSON.stringify(message));
  }
  return wire;
}

export function decodeToShard(wire: ToShardWire): ToShard[] {
  const messages: ToShard[] = [];
  const reader = new WireReader(wire);
  while (!reader.atEnd) {
    const first = reader.next();
    if (typeof first === 'string') messages.push(JSON.parse(first) as ToShard);
    else messages.push({ kind: 'request', id: first, command: takeBatch(reader) });
  }
  return messages;
}

/** The members of a batch that have no places of their own. */
type Rest = Omit<Batch, 'kind' | 'account' | 'shape' | 'replyBytesMax' | 'set' | 'get' | 'atomic'>;

function putBatch(wire: (number | string)[], id: number, batch: Batch): void {
  const { account, shape, replyBytesMax = 0, set = [], get = [], atomic = [] } = batch;
  wire.push(id, account, shape, replyBytesMax, restOf(batch));
  wire.push(set.length);
  for (const { key, value = 0, version = -1, ttlMs = -1 } of set) wire.push(key, value, version, ttlMs);
  wire.push(get.length);
  for (const key of get) wire.push(key);
  wire.push(atomic.length);
  for (const { key, op, n, ifEq = '' } of atomic) wire.push(key, op, n, ifEq);
}

function restOf({ lock, unlock, guard, check, idempotency, sequence }: Batch): string | 0 {
  const rest = { lock, unlock, guard, check, idempotency, sequence } satisfies Record<keyof Rest, unknown>;
  const none = (lock ?? unlock ?? guard ?? check ?? idempotency ?? sequence) === undefined;
  return none ? 0 : JSON.stringify(rest);
}

function takeBatch(wire: WireReader): Batch {
  const batch: Mutable<Batch> = { kind: 'batch', account: accountId(wire.text()), shape: wire.text() as ReplyShape };
  const replyBytesMax = wire.number();
  if (replyBytesMax > 0) batch.replyBytesMax = replyBytesMax;
  const rest = wire.next();
  if (rest !== 0) Object.assign(batch, JSON.parse(rest as string) as Rest);
  const set = takeList(wire, takeSet);
  if (set !== undefined) batch.set = set;
  const get = takeList(wire, takeText);
  if (get !== undefined) batch.get = get;
  const atomic = takeList(wire, takeAtomic);
  if (atomic !== undefined) batch.atomic = atomic;
  return batch;
}

function takeList<Item>(wire: WireReader, take: (wire: WireReader) => Item): Item[] | undefined {
  const length = wire.number();
  if (length === 0) return undefined;
  const items: Item[] = [];
  while (items.length < length) items.push(take(wire));
  return items;
}

function takeSet(wire: WireReader): SetAsk {
  const ask: Mutable<SetAsk> = { key: wire.text() };
  const value = wire.next();
  if (typeof value === 'string') ask.value = value;
  const version = wire.number();
  if (version >= 0) ask.version = version;
  const ttlMs = wire.number();
  if (ttlMs >= 0) ask.ttlMs = ttlMs;
  return ask;
}

function takeText(wire: WireReader): string {
  return wire.text();
}

function takeAtomic(wire: WireReader): AtomicAsk {
  const ask: Mutable<AtomicAsk> = { key: wire.text(), op: wire.text() as AtomicAsk['op'], n: wire.number() };
  const ifEq = wire.next();
  if (typeof ifEq === 'number') ask.ifEq = ifEq;
  return ask;
}

type Mutable<Value> = { -readonly [Member in keyof Value]: Value[Member] };

/** Goes through a wire from front to back. */
class WireReader {
  readonly #wire: ToShardWire;
  #at = 0;

  constructor(wire: ToShardWire) {
    this.#wire = wire;
  }

  get atEnd(): boolean {
    return this.#at === this.#wire.length;
  }

  next(): number | string {
    const piece = this.#wire[this.#at];
    assert(piece !== undefined, 'a wire holds whole messages');
    this.#at += 1;
    return piece;
  }

  number(): number {
    return this.next() as number;
  }

  text(): string {
    return this.next() as string;
  }
}

export function encodeFromShard(message: FromShard): FromShardWire {
  const { durable, replies, events, batons, stats, closed } = message;
  const flat: (number | string)[] = [];
  for (const { id, reply } of replies) {
    const extra = reply.grant !== undefined ? JSON.stringify(reply.grant) : reply.replayed ? 1 : 0;
    flat.push(id, reply.rev, reply.status, reply.body, extra);
  }
  const quiet = events.length + batons.length + stats.length + closed.length === 0;
  return [durable, flat, quiet ? 0 : JSON.stringify({ events, batons, stats, closed })];
}

export function decodeFromShard([durable, flat, other]: FromShardWire): FromShard {
  const replies: { id: number; reply: Reply }[] = [];
  for (let i = 0; i < flat.length; i += 5) {
    const extra = flat[i + 4]!;
    const reply: Reply = {
      rev: revision(flat[i + 1] as number),
      status: flat[i + 2] as number,
      body: flat[i + 3] as string,
    };
    const whole: Reply =
      extra === 0
        ? reply
        : extra === 1
          ? { ...reply, replayed: true }
          : { ...reply, grant: JSON.parse(extra as string) as Grant };
    replies.push({ id: flat[i] as number, reply: whole });
  }
  const rare =
    other === 0
      ? { events: [], batons: [], stats: [], closed: [] }
      : (JSON.parse(other) as Omit<FromShard, 'durable' | 'replies'>);
  return { durable: revision(durable), replies, ...rare };
}

/** Of everything in a message that can be large, in characters; the same on both sides. */
export function messageLength({ replies, events, batons }: FromShard): number {
  let length = 0;
  for (const { reply } of replies) length += reply.body.length;
  for (const { body } of events) length += body.length;
  for (const { answer } of batons) length += answerLength(answer);
  return length;
}

export function answerLength(answer: BatonAnswer): number {
  switch (answer.kind) {
    case 'ok':
      return 0;
    case 'reply':
    case 'committed':
      return answer.reply.body.length;
    case 'rows':
      return answer.page.rows.reduce((sum, { body }) => sum + body.length, 0);
    case 'held': {
      const { drafts, results } = answer.evaluation;
      const written = drafts.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
      return (results.get ?? []).reduce((sum, got) => sum + (got?.value?.length ?? 0), written);
    }
    default:
      return unreachable(answer);
  }
}
