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
    { key: 'f', equals: '{}' },
    { key: 'g', counter: 0 },
  ],
  idempotency: { ids: ['i'], ttlMs: 1, mode: 'replay', fingerprint: 'f' },
  sequence: { key: 's', op: 'next', n: 1 },
  range: { prefix: '', limit: 1, place: 0 },
  clear: { prefix: 'p/', after: 'p/a', limit: 3 },
  limit: [{ key: 'r', rateThousandths: 500, perMs: 60_000, burst: 1, cost: 0, waitMs: 0 }],
  set: [
    { key: 'plain', value: '"x"' },
    { key: 'only if there is none', value: '""', version: 0 },
    { key: 'at once gone', value: 'null', ttlMs: 0 },
    { key: 'all', value: '{"\u{1f600}":"\\ud800"}', version: 2 ** 53 - 1, ttlMs: 1 },
    { key: 'merged', value: '{}', merge: true, ttlMs: 5 },
    { key: 'merged and shown', value: '{}', merge: true, old: true, version: 1 },
    { key: 'shown', value: '{}', old: true },
    { key: 'deleted and shown', old: true },
    { key: 'deleted' },
    { key: 'deleted at a version', version: 3 },
  ],
  ack: [{ key: 'q', id: '62-0:g', lock: 70 }],
  nack: [{ key: 'q', id: '62-0', lock: 70, delayMs: 0, error: 'no', returned: true }],
  extend: [{ key: 'q', id: '62-0p3', lock: 70, durMs: 1 }],
  dequeue: { key: 'q', max: 2, groupMax: 1, durMs: 1, waitMs: 0, attempt: 'a' },
  enqueue: [{ key: 'q', data: '{"a":[1]}', group: 'g', dedup: 'd', delayMs: 0, ttlMs: 1, priority: 0 }],
  queueChange: { key: 'q', change: 'pause' },
  tasks: [
    {
      key: 't',
      definition: {
        target: { kind: 'queue', queue: 'q', data: '{"a":[1]}' },
        retry: { max: 1, minMs: 1, maxMs: 2, factor: 1.5 },
        misfire: 'latest',
      },
      delayMs: 5,
      replace: true,
      version: 7,
    },
  ],
  taskCancel: [{ key: 't', version: 7 }],
  taskChange: { key: 't', change: 'run' },
  taskSetting: { key: 'flow:f', change: 'flow.set', flow: { rate: 0.5, perMs: 1000, parallel: 2, paused: true } },
  taskEnd: [
    {
      key: 't',
      version: 7,
      state: { next: 1, fromMs: 1, attempts: 0, runs: 1, skipped: 0, failed: 0 },
      till: 9,
    },
  ],
  wipe: {},
  load: [{ kind: 'kv', key: 'k', value: '1', till: 5 }],
  get: ['a', 'ключ', '-1', '0'],
  counter: [
    { key: 'a', op: 'add', n: -(2 ** 53 - 1) },
    { key: 'b', op: 'set', n: 0, ifEq: 0 },
    { key: 'c', op: 'set', n: 0, ifEq: -1 },
    { key: 'd', op: 'add', n: -1, floor: 0 },
    { key: 'e', op: 'add', n: 1, ceil: -1 },
    { key: 'e', op: 'max', n: 1, ttlMs: 5 },
    { key: 'f', op: 'add', n: 1, floor: -(2 ** 53 - 1), ceil: 2 ** 53 - 1 },
  ],
  ops: [
    { kind: 'get', key: 'ключ' },
    { kind: 'set', key: 'a', value: '"плюс"' },
    { kind: 'set', key: 'a', value: '1', condition: { kind: 'nx' } },
    { kind: 'set', key: 'a', value: '1', old: true },
    { kind: 'set', key: 'a', value: '1', condition: { kind: 'nx' }, old: true },
    { kind: 'set', key: 'a', value: '1', condition: { kind: 'xx' }, till: { kind: 'clear' } },
    { kind: 'set', key: 'a', value: '1', condition: { kind: 'eq', value: '""' }, till: { kind: 'keep' } },
    { kind: 'set', key: 'a', value: '1', condition: { kind: 'ne', value: '2' }, till: { kind: 'in', ms: -5 } },
    { kind: 'set', key: 'a', value: '1', till: { kind: 'at', ms: 0 } },
    { kind: 'delete', key: 'a' },
    { kind: 'delete', key: 'a', old: true },
    { kind: 'delete', key: 'a', condition: { kind: 'eq', value: '"x"' } },
    { kind: 'delete', key: 'a', condition: { kind: 'ne', value: '"x"' } },
    { kind: 'expire', key: 'a', till: { kind: 'in', ms: 5 } },
    ...(['nx', 'xx', 'gt', 'lt', 'xxlt'] as const).map(
      (when) => ({ kind: 'expire', key: 'a', till: { kind: 'at', ms: 2 ** 48 }, when }) as const,
    ),
    { kind: 'expire', key: 'a', till: { kind: 'later', ms: 5 }, condition: { kind: 'eq', value: '"x"' } },
    { kind: 'persist', key: 'a' },
    { kind: 'add', key: 'a', n: -(2 ** 53 - 1) },
    { kind: 'addFloat', key: 'a', n: 1.5e-300 },
    { kind: 'append', key: 'a', value: '"x"' },
    { kind: 'setRange', key: 'a', offset: 7, value: '"x"' },
    { kind: 'range', key: 'a', start: -3, end: -1 },
    { kind: 'length', key: 'a' },
    { kind: 'exists', key: 'a' },
    { kind: 'ttl', key: 'a' },
    { kind: 'ttl', key: 'a', at: true },
    { kind: 'version', key: 'a' },
    { kind: 'getBit', key: 'a', offset: 2 ** 32 },
    { kind: 'setBit', key: 'a', offset: 0, bit: 0 },
    { kind: 'setBit', key: 'a', offset: 9, bit: 1 },
  ],
  locks: [
    { id: 'a', durMs: 1, waitMs: 2, owner: 'o' },
    { id: 'b', durMs: 1, waitMs: 2, owner: 'o' },
  ],
  unlocks: [{ id: 'a', fence: 7 }, { id: 'b' }],
  same: [{ prefix: 'a', after: 'b', last: 'c', rows: [['c', 1]] }],
  script: { key: 'a', source: 'x', version: 0 },
  answer: { key: 'i', members: '"Result":1,' },
  audit: { action: 'lock.force', subject: 'l', who: 'ops', from: '::1', reason: 'r' },
} as const satisfies {
  readonly [Member in Exclude<keyof Batch, keyof typeof smallest & ('kind' | 'account' | 'format')>]-?: Batch[Member];
};

test('every member of a batch arrives as it was sent, alone and with all others', () => {
  const alone = Object.entries(members).map(([name, value]): Batch => ({ ...smallest, [name]: value }));
  const batches: Batch[] = [smallest, ...alone, { ...smallest, ...members }];
  const messages = batches.map((command, id): ToShard => ({ kind: 'request', id, command }));
  assert.deepEqual(decodeToShard(encodeToShard(messages)), messages);
});

test('every operation arrives as it was sent, in a batch of them, beside other members, and in an array', () => {
  const ops = { ...smallest, format: 'ops' } as const;
  const alone = members.ops.map((op): Batch => ({ ...ops, ops: [op] }));
  const batches: Batch[] = [ops, ...alone, { ...ops, ops: members.ops }, { ...ops, ...members }];
  const array: Batch[] = batches.map((batch) => ({ ...batch, replyBytesMax: 7 }));
  const messages: ToShard[] = [
    ...batches.map((command, id): ToShard => ({ kind: 'request', id, command })),
    { kind: 'array', id: 3, batches: array },
    { kind: 'request', id: 4, command: { ...ops, ops: [members.ops[0]] } },
  ];
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
  for (const other of [
    { account: accountId('other') },
    { replyBytesMax: 8 },
    { format: 'kv.get' as const },
    { format: 'ops' as const },
  ]) {
    const batches = [item, { ...item, ...other }];
    assert.throws(() => encodeToShard([{ kind: 'array', id: 1, batches }]), /the batches of an array/);
  }
});

test('answers arrive as they were sent, to one request and to batches of an array', () => {
  const grant = { account, id: 'l', fence: 5, mutex: false, version: 5, waited: false };
  const ofMutex = { account, id: 'm', fence: 2 ** 53 - 1, mutex: true, version: 7, waited: true };
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
          { item: 1, reply: reply(2 ** 40, '{}', { replayed: true, heldMs: 300_000 }) },
          { item: 2, reply: reply(1, '{}', { heldMs: 1 }) },
        ],
      },
      { kind: 'one', id: 3, reply: reply(2, '', { outcome: 'registered' }) },
      { kind: 'items', id: 4, rev: revision(1), items: [{ item: 0, reply: reply(1, '{}') }] },
      { kind: 'one', id: 5, reply: reply(7, '{}', { grant: ofMutex }) },
      { kind: 'one', id: 6, reply: reply(7, '{}') },
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
  const bodies = ['{"Rev":2}', '{}', '{}', '{}', '{"a":"ключ"}', '{}', '{}', '{}', '{}'];
  assert.equal(messageLength(message), bodies.join('').length);
});

test('messages of all sorts keep their order on one wire', () => {
  const messages: ToShard[] = [
    { kind: 'request', id: 0, command: { ...smallest, get: ['k'] } },
    { kind: 'cancel', id: 1, account },
    { kind: 'request', id: 2 ** 40, command: { kind: 'watch.key', account, key: 'k', version: 0 } },
    { kind: 'request', id: 3, command: { ...smallest, format: 'kv.set', set: members.set } },
    { kind: 'drain' },
    { kind: 'unwatch', account, keys: ['k', 'l'] },
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
