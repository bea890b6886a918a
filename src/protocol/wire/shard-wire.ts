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
 * From a shard, `[durable, [id, rev, outcome, body, extra, …], other]`: `extra` is the sum of 1 (replayed), 2 (a grant
 * follows) and four times the milliseconds for which the reply is held. A grant is `account, id, fence, version, sort`,
 * with sort the sum of 1 (a mutex) and 2 (it stood in line). `other` is 0 or the JSON text of everything rare. Answers
 * to the items of an array body that one turn has processed are `id, rev, −n, n × (item, rev, outcome, body, extra)`.
 * An outcome is its index in a list that both sides have.
 */
import { unreachable } from '../../shared/assert.ts';
import { putArray, putBatch, takeArray, takeBatch } from './batch-wire.ts';
import { WireReader, type ToShardWire } from './wire-reader.ts';
import { accountId, revision, type Revision } from '../ids.ts';
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
      flat.push(id);
      putReply(flat, reply);
      continue;
    }
    flat.push(answer.id, answer.rev, -answer.items.length);
    for (const { item, reply } of answer.items) {
      flat.push(item);
      putReply(flat, reply);
    }
  }
  const quiet = events.length + transactions.length + stats.length + closed.length === 0;
  return [durable, flat, quiet ? 0 : JSON.stringify({ events, transactions, stats, closed })];
}

export function decodeFromShard([durable, flat, other]: FromShardWire): FromShard {
  const replies: Answer[] = [];
  for (const wire = new WireReader(flat); !wire.atEnd; ) {
    const id = wire.number();
    const rev = revision(wire.number());
    const outcome = wire.number();
    if (outcome >= 0) {
      replies.push({ kind: 'one', id, reply: takeReply(wire, rev, outcome) });
      continue;
    }
    const items: ItemReply[] = [];
    while (items.length < -outcome) {
      const item = wire.number();
      items.push({ item, reply: takeReply(wire, revision(wire.number()), wire.number()) });
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

const isReplayed = 1;
const hasGrant = 2;
const heldUnit = 4;
const ofMutex = 1;
const stoodInLine = 2;

function putReply(flat: (number | string)[], { rev, outcome, body, replayed, grant, heldMs = 0 }: Reply): void {
  const extra = heldMs * heldUnit + (grant === undefined ? 0 : hasGrant) + (replayed ? isReplayed : 0);
  flat.push(rev, outcomeIndex.get(outcome)!, body, extra);
  if (grant === undefined) return;
  const sort = (grant.mutex ? ofMutex : 0) | (grant.waited ? stoodInLine : 0);
  flat.push(grant.account, grant.id, grant.fence, grant.version, sort);
}

function takeReply(wire: WireReader, rev: Revision, outcome: number): Reply {
  const reply: Reply = { rev, outcome: outcomes[outcome]!, body: wire.text() };
  const extra = wire.number();
  if (extra === 0) return reply;
  const bits = extra % heldUnit;
  return {
    ...reply,
    ...((bits & isReplayed) !== 0 && { replayed: true }),
    ...(extra >= heldUnit && { heldMs: Math.floor(extra / heldUnit) }),
    ...((bits & hasGrant) !== 0 && { grant: takeGrant(wire) }),
  };
}

function takeGrant(wire: WireReader): Grant {
  const account = accountId(wire.text());
  const id = wire.text();
  const fence = wire.number();
  const version = wire.number();
  const sort = wire.number();
  return { account, id, fence, mutex: (sort & ofMutex) !== 0, version, waited: (sort & stoodInLine) !== 0 };
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
