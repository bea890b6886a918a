import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Batch } from '../../src/protocol/commands.ts';
import { accountId } from '../../src/protocol/ids.ts';
import type { ToShard } from '../../src/protocol/messages.ts';
import { decodeToShard, encodeToShard } from '../../src/protocol/shard-wire.ts';

const account = accountId('acc');
const smallest: Batch = { kind: 'batch', account, shape: 'kv.get' };

/** Each member alone, and all of them together: what is forgotten on the wire is missing from one of these. */
const members = {
  replyBytesMax: 671_088,
  lock: { id: 'l', durMs: 1, waitMs: 0, owner: 'o', meta: '{"a":[1]}', extend: 7 },
  unlock: { id: 'u', handle: 2 ** 53 - 1, owner: 'o' },
  guard: [{ id: 'g', handle: 1 }],
  check: [{ key: 'c', version: 0 }],
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
  get: ['a', 'ключ', '-1', '0'],
  atomic: [
    { key: 'a', op: 'add', n: -(2 ** 53 - 1) },
    { key: 'b', op: 'set', n: 0, ifEq: 0 },
    { key: 'c', op: 'set', n: 0, ifEq: -1 },
  ],
} as const satisfies {
  readonly [Member in Exclude<keyof Batch, keyof typeof smallest & ('kind' | 'account' | 'shape')>]-?: Batch[Member];
};

test('every member of a batch arrives as it was sent, alone and with all others', () => {
  const alone = Object.entries(members).map(([name, value]): Batch => ({ ...smallest, [name]: value }));
  const batches: Batch[] = [smallest, ...alone, { ...smallest, ...members }];
  const messages = batches.map((command, id): ToShard => ({ kind: 'request', id, command }));
  assert.deepEqual(decodeToShard(encodeToShard(messages)), messages);
});

test('messages of all sorts keep their order on one wire', () => {
  const messages: ToShard[] = [
    { kind: 'request', id: 0, command: { ...smallest, get: ['k'] } },
    { kind: 'cancel', id: 1 },
    { kind: 'request', id: 2 ** 40, command: { kind: 'watch.key', account, key: 'k', version: 0 } },
    { kind: 'request', id: 3, command: { ...smallest, shape: 'kv.set', set: members.set } },
    { kind: 'drain' },
    { kind: 'unwatch', account, key: 'k' },
  ];
  assert.deepEqual(decodeToShard(encodeToShard(messages)), messages);
  assert.deepEqual(decodeToShard(encodeToShard([])), []);
});

test('a wire that ends within a message is a bug, not a shorter message', () => {
  const whole = encodeToShard([{ kind: 'request', id: 1, command: { ...smallest, ...members } }]);
  for (let length = 1; length < whole.length; length += 1) {
    assert.throws(() => decodeToShard(whole.slice(0, length)), /a wire holds whole messages/);
  }
});
