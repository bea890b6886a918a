import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountId, revision } from '../../../src/protocol/ids.ts';
import type { FromShard, ToShard } from '../../../src/protocol/wire/shard-messages.ts';
import type { Reply } from '../../../src/protocol/replies.ts';
import {
  decodeFromShard,
  decodeToShard,
  encodeFromShard,
  encodeToShard,
  messageLength,
} from '../../../src/protocol/wire/shard-wire.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';

const account = accountId('acc');
const smallest: Batch = { kind: 'batch', account, format: 'kv.get' };

function reply(rev: number, body: string, more: Partial<Reply> = {}): Reply {
  return { rev: revision(rev), outcome: 'ok', body, ...more };
}

/** Each member alone, and all of them together: one of these shows a member that is lost on the wire. */
const members = {
  replyBytesMax: 671_088,
  lock: { id: 'l', durMs: 1, waitMs: 0, owner: 'o', meta: '{"a":[1]}', extend: 7 },
  unlock: { id: 'u', fence: 2 ** 53 - 1, owner: 'o' },
  guard: [{ id: 'g', fence: 1 }],
  check: [
    { key: 'c', version: 0 },
    { key: 'd', exists: false },
    { key: 'e', exists: true },
  ],
  idempotency: { ids: ['i'], ttlMs: 1, mode: 'replay', fingerprint: 'f' },
  sequence: { key: 's', op: 'next', n: 1 },
  set: [
    { key: 'plain', value: '"x"' },
    { key: 'only if there is none', value: '""', version: 0 },
    { key: 'at once gone', value: 'null', ttlMs: 0 },
    { key: 'all', value: '{"\u{1f600}":"\\ud800"}', version: 2 ** 53 - 1, ttlMs: 1 },
    { key: 'deleted' },
    { key: 'deleted at a version', version: 3 },
  ],
  ack: [{ key: 'q', id: '62-0:g', lock: 70 }],
  nack: [{ key: 'q', id: '62-0', lock: 70, delayMs: 0, error: 'no', returned: true }],
  extend: [{ key: 'q', id: '62-0p3', lock: 70, durMs: 1 }],
  dequeue: { key: 'q', max: 2, groupMax: 1, durMs: 1, waitMs: 0, attempt: 'a' },
  enqueue: [{ key: 'q', data: '{"a":[1]}', group: 'g', dedup: 'd', delayMs: 0, ttlMs: 1, priority: 0 }],
  queueChange: { key: 'q', change: 'pause' },
  get: ['a', 'ключ', '-1', '0'],
  counter: [
    { key: 'a', op: 'add', n: -(2 ** 53 - 1) },
    { key: 'b', op: 'set', n: 0, ifEq: 0 },
    { key: 'c', op: 'set', n: 0, ifEq: -1 },
    { key: 'd', op: 'add', n: -1, floor: 0 },
    { key: 'e', op: 'add', n: 1, ceil: -1 },
    { key: 'f', op: 'add', n: 1, floor: -(2 ** 53 - 1), ceil: 2 ** 53 - 1 },
  ],
} as const satisfies {
  readonly [Member in Exclude<keyof Batch, keyof typeof smallest & ('kind' | 'account' | 'format')>]-?: Batch[Member];
};

test('every member of a batch arrives as it was sent, alone and with all others', () => {
  const alone = Object.entries(members).map(([name, value]): Batch => ({ ...smallest, [name]: value }));
  const batches: Batch[] = [smallest, ...alone, { ...smallest, ...members }];
  const messages = batches.map((command, id): ToShard => ({ kind: 'request', id, command }));
  assert.deepEqual(decodeToShard(encodeToShard(messages)), messages);
});

test('the batches of an array arrive as they were sent, each member alone and all together', () => {
  const item: Batch = { kind: 'batch', account, format: 'batch', replyBytesMax: 7 };
  const { replyBytesMax: _, ...others } = members;
  const alone = Object.entries(others).map(([name, value]): Batch => ({ ...item, [name]: value }));
  const messages: ToShard[] = [
    { kind: 'array', id: 2 ** 40, batches: [...alone, { ...item, ...others }, { ...item, set: [{ key: 'k' }] }] },
    { kind: 'request', id: 3, command: { ...smallest, set: members.set } },
    { kind: 'array', id: 4, batches: [{ kind: 'batch', account, format: 'batch', set: members.set }] },
    { kind: 'cancel', id: 3, account },
  ];
  assert.deepEqual(decodeToShard(encodeToShard(messages)), messages);
});

test('batches that differ in what an array has in common are no array', () => {
  const item: Batch = { kind: 'batch', account, format: 'batch', replyBytesMax: 7, get: ['k'] };
  for (const other of [{ account: accountId('other') }, { replyBytesMax: 8 }, { format: 'kv.get' as const }]) {
    const batches = [item, { ...item, ...other }];
    assert.throws(() => encodeToShard([{ kind: 'array', id: 1, batches }]), /the batches of an array/);
  }
});

test('answers arrive as they were sent, to one request and to batches of an array', () => {
  const grant = { account, id: 'l', fence: 5, mutex: false, version: 5 };
  const message: FromShard = {
    durable: revision(9),
    replies: [
      { kind: 'one', id: 1, reply: reply(2, '{"Rev":2}') },
      {
        kind: 'items',
        id: 2 ** 40,
        rev: revision(5),
        items: [
          { item: 3, reply: reply(0, '{}', { outcome: 'version_mismatch' }) },
          { item: 4, reply: reply(5, '{"a":"ключ"}', { grant }) },
          { item: 0, reply: reply(2 ** 40, '{}', { replayed: true }) },
        ],
      },
      { kind: 'one', id: 3, reply: reply(2, '', { outcome: 'registered' }) },
      { kind: 'items', id: 4, rev: revision(1), items: [{ item: 0, reply: reply(1, '{}') }] },
      { kind: 'one', id: 5, reply: reply(7, '{}', { grant }) },
    ],
    events: [],
    transactions: [],
    stats: [],
    closed: [],
  };
  assert.deepEqual(decodeFromShard(encodeFromShard(message)), message);
  const rare: FromShard = {
    ...message,
    events: [{ account, key: 'k', rev: revision(1), version: 0, body: '{}' }],
    closed: [1],
  };
  assert.deepEqual(decodeFromShard(encodeFromShard(rare)), rare);
  const bodies = ['{"Rev":2}', '{}', '{"a":"ключ"}', '{}', '{}', '{}'];
  assert.equal(messageLength(message), bodies.join('').length);
});

test('messages of all sorts keep their order on one wire', () => {
  const messages: ToShard[] = [
    { kind: 'request', id: 0, command: { ...smallest, get: ['k'] } },
    { kind: 'cancel', id: 1, account },
    { kind: 'request', id: 2 ** 40, command: { kind: 'watch.key', account, key: 'k', version: 0 } },
    { kind: 'request', id: 3, command: { ...smallest, format: 'kv.set', set: members.set } },
    { kind: 'drain' },
    { kind: 'unwatch', account, key: 'k' },
  ];
  assert.deepEqual(decodeToShard(encodeToShard(messages)), messages);
  assert.deepEqual(decodeToShard(encodeToShard([])), []);
});

test('a wire that ends within a message is a bug, not a shorter message', () => {
  const { replyBytesMax: _, ...item } = { ...smallest, ...members, format: 'batch' as const };
  const whole = encodeToShard([
    { kind: 'request', id: 1, command: { ...smallest, ...members } },
    { kind: 'array', id: 2, batches: [{ ...smallest, format: 'batch', set: members.set }, item] },
  ]);
  const first = encodeToShard([{ kind: 'request', id: 1, command: { ...smallest, ...members } }]).length;
  for (let length = 1; length < whole.length; length += 1) {
    if (length === first) continue;
    assert.throws(() => decodeToShard(whole.slice(0, length)), /a wire holds whole messages/);
  }
});
