/**
 * How messages cross a MessagePort. Cloning an object costs several microseconds, JSON text one; flat arrays of numbers
 * and strings cost half of that, because a string is copied as memory. So each turn sends one flat array in each
 * direction: common members are flattened into it, rare ones are encoded as JSON text.
 *
 * To a shard, each message is a run of pieces: a batch begins with its number, the batches of an array body with −1,
 * everything else is one JSON text. `protocol/wire/batch-wire.ts` says how a batch is encoded.
 *
 *   id, batch        −1, id, batches        JSON text
 *
 * From a shard, `[durable, [id, rev, outcome, body, extra, …], other]`: `extra` is the grant as JSON
 * text, or twice the milliseconds for which the reply is held, and one more if it is replayed; `other` is 0 or the JSON text of everything rare. Answers to the items of an array body that one turn has
 * processed are `id, rev, −n, n × (item, rev, outcome, body, extra)`. An outcome is its index in a list that both sides
 * have.
 */
import { unreachable } from '../../shared/assert.ts';
import { putArray, putBatch, takeArray, takeBatch } from './batch-wire.ts';
import { WireReader, type ToShardWire } from './wire-reader.ts';
import { revision, type Revision } from '../ids.ts';
import type { Answer, TransactionAnswer, FromShard, ItemReply, ToShard } from './shard-messages.ts';
import { errorCodes, type ErrorCode } from '../errors.ts';
import type { Grant, Outcome, Reply } from '../replies.ts';

export type { ToShardWire } from './wire-reader.ts';
export type FromShardWire = [durable: number, replies: (number | string)[], other: string | 0];

export function encodeToShard(messages: readonly ToShard[]): ToShardWire {
  const wire: (number | string)[] = [];
  for (const message of messages) {
    if (message.kind === 'request' && message.command.kind === 'batch') {
      wire.push(message.id);
      putBatch(wire, message.command);
    } else if (message.kind === 'array') {
      wire.push(-1, message.id);
      putArray(wire, message.batches);
    } else {
      wire.push(JSON.stringify(message));
    }
  }
  return wire;
}

export function decodeToShard(wire: ToShardWire): ToShard[] {
  const messages: ToShard[] = [];
  const reader = new WireReader(wire);
  while (!reader.atEnd) {
    const first = reader.next();
    if (typeof first === 'string') messages.push(JSON.parse(first) as ToShard);
    else if (first < 0) messages.push({ kind: 'array', id: reader.number(), batches: takeArray(reader) });
    else messages.push({ kind: 'request', id: first, command: takeBatch(reader) });
  }
  return messages;
}

export function encodeFromShard(message: FromShard): FromShardWire {
  const { durable, replies, events, transactions, stats, closed } = message;
  const flat: (number | string)[] = [];
  for (const answer of replies) {
    if (answer.kind === 'one') {
      const { id, reply } = answer;
      flat.push(id, reply.rev, outcomeIndex.get(reply.outcome)!, reply.body, extraOf(reply));
      continue;
    }
    flat.push(answer.id, answer.rev, -answer.items.length);
    for (const { item, reply } of answer.items)
      flat.push(item, reply.rev, outcomeIndex.get(reply.outcome)!, reply.body, extraOf(reply));
  }
  const quiet = events.length + transactions.length + stats.length + closed.length === 0;
  return [durable, flat, quiet ? 0 : JSON.stringify({ events, transactions, stats, closed })];
}

export function decodeFromShard([durable, flat, other]: FromShardWire): FromShard {
  const replies: Answer[] = [];
  for (let at = 0; at < flat.length; ) {
    const id = flat[at] as number;
    const rev = revision(flat[at + 1] as number);
    const outcome = flat[at + 2] as number;
    at += 3;
    if (outcome >= 0) {
      replies.push({ kind: 'one', id, reply: replyOf(rev, outcome, flat[at] as string, flat[at + 1]!) });
      at += 2;
      continue;
    }
    const items: ItemReply[] = [];
    for (; items.length < -outcome; at += 5) {
      const itemRev = revision(flat[at + 1] as number);
      const reply = replyOf(itemRev, flat[at + 2] as number, flat[at + 3] as string, flat[at + 4]!);
      items.push({ item: flat[at] as number, reply });
    }
    replies.push({ kind: 'items', id, rev, items });
  }
  const rare =
    other === 0
      ? { events: [], transactions: [], stats: [], closed: [] }
      : (JSON.parse(other) as Omit<FromShard, 'durable' | 'replies'>);
  return { durable: revision(durable), replies, ...rare };
}

const outcomes: readonly Outcome[] = ['ok', 'none', 'registered', ...(Object.keys(errorCodes) as ErrorCode[])];
const outcomeIndex = new Map(outcomes.map((outcome, index) => [outcome, index]));

function extraOf(reply: Reply): number | string {
  return reply.grant !== undefined ? JSON.stringify(reply.grant) : (reply.heldMs ?? 0) * 2 + (reply.replayed ? 1 : 0);
}

function replyOf(rev: Revision, outcome: number, body: string, extra: number | string): Reply {
  const reply: Reply = { rev, outcome: outcomes[outcome]!, body };
  if (extra === 0) return reply;
  if (typeof extra === 'string') return { ...reply, grant: JSON.parse(extra) as Grant };
  return {
    ...reply,
    ...(extra % 2 === 1 && { replayed: true }),
    ...(extra > 1 && { heldMs: Math.floor(extra / 2) }),
  };
}

/** Returns the length of everything in a message that can be large, in characters; the same on both sides. */
export function messageLength({ replies, events, transactions }: FromShard): number {
  let length = 0;
  for (const answer of replies) {
    if (answer.kind === 'one') length += answer.reply.body.length;
    else for (const { reply } of answer.items) length += reply.body.length;
  }
  for (const { body } of events) length += body.length;
  for (const { answer } of transactions) length += answerLength(answer);
  return length;
}

export function answerLength(answer: TransactionAnswer): number {
  switch (answer.kind) {
    case 'ok':
    case 'waiting':
      return 0;
    case 'reply':
    case 'committed':
      return answer.reply.body.length;
    case 'rows':
      return answer.page.rows.reduce((sum, { body }) => sum + body.length, 0);
    case 'held': {
      const { pending, results } = answer.evaluation;
      const written = pending.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
      const old = (results.set ?? []).reduce(
        (sum, set) => sum + (typeof set === 'object' ? (set?.old.value?.length ?? 0) : 0),
        written,
      );
      const rows = (results.range?.rows ?? []).reduce((sum, { body }) => sum + body.length, old);
      const got = (results.get ?? []).reduce((sum, item) => sum + (item?.value?.length ?? 0), rows);
      return (results.ops ?? []).reduce((sum, result) => sum + (result?.length ?? 0), got);
    }
    default:
      return unreachable(answer);
  }
}
