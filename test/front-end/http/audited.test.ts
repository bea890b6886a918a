/** What goes into the audit log, through every way in which a client can ask for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import { makeDoor } from './http-door-under-test.ts';

const tokens = `tokens: [{token: t, name: ops, accounts: '*', scopes: [read, write, force, admin]}]`;
const headers = { authorization: 'Bearer t' };

function auditsOf(door: ReturnType<typeof makeDoor>): unknown[] {
  return door.dispatcher.commands.map((command) => (command as Batch).audit);
}

test('a force is noted with who, from where and why: in a call, a batch and an array', async (t) => {
  const door = makeDoor(t, tokens);
  await door.send('DELETE', '/db/shop/lock/a%2Fb?force=1&reason=stuck+%C3%BC', undefined, headers);
  await door.send('POST', '/db/shop', { UnlockID: 'a/b', UnlockReason: 'stuck ü' }, headers);
  await door.send('POST', '/db/shop', [{ UnlockID: 'a/b', UnlockReason: 'stuck ü' }, { KVGet: ['k'] }], headers);
  const entry = { action: 'lock.force', subject: 'a/b', who: 'ops', from: '127.0.0.1', reason: 'stuck ü' };
  assert.deepEqual(auditsOf(door), [entry, entry, entry, undefined]);
});

test('what administrators do to a queue is noted', async (t) => {
  const door = makeDoor(t, tokens);
  await door.send('POST', '/db/shop/pause/queue/q', undefined, headers);
  await door.send('POST', '/db/shop/purge/q', undefined, headers);
  await door.send('POST', '/db/shop/redrive/q?do=retry', undefined, headers);
  const by = { subject: 'q', who: 'ops', from: '127.0.0.1' };
  assert.deepEqual(auditsOf(door), [
    { action: 'queue.pause', ...by },
    { action: 'queue.purge', ...by },
    { action: 'queue.redrive', ...by },
  ]);
});

test('what needs neither force nor admin is not noted', async (t) => {
  const door = makeDoor(t, tokens);
  await door.send('DELETE', '/db/shop/lock/l?owner=me', undefined, headers);
  await door.send('POST', '/db/shop', { UnlockID: 'l', Unlock: 7 }, headers);
  await door.send('POST', '/db/shop/kv/k', 1, headers);
  assert.deepEqual(auditsOf(door), [undefined, undefined, undefined]);
});

test('a retry from another address is the same request', async (t) => {
  const door = makeDoor(t, tokens);
  const once = { ...headers, 'idempotency-key': 'once' };
  for (const remoteAddress of ['10.0.0.1', '10.0.0.2'])
    await door.app.inject({ method: 'DELETE', url: '/db/shop/lock/l?force=1', headers: once, remoteAddress });
  const [first, second] = door.dispatcher.commands as Batch[];
  assert.deepEqual([first!.audit!.from, second!.audit!.from], ['10.0.0.1', '10.0.0.2']);
  assert.equal(first!.idempotency!.fingerprint, second!.idempotency!.fingerprint);
});

const refused: readonly [method: 'DELETE' | 'POST', url: string, body: unknown, message: RegExp][] = [
  ['DELETE', '/db/shop/lock/l?owner=me&reason=x', undefined, /^\?reason: only for a force/],
  ['DELETE', '/db/shop/lock/l?force=1&reason=', undefined, /^\?reason: expected a reason of 1 to 200/],
  ['DELETE', `/db/shop/lock/l?force=1&reason=${'x'.repeat(201)}`, undefined, /^\?reason: expected at most 200 char/],
  ['POST', '/db/shop', { UnlockID: 'l', Unlock: 7, UnlockReason: 'x' }, /^UnlockReason: only for a force/],
  ['POST', '/db/shop', { UnlockReason: 'x', KVGet: ['k'] }, /^UnlockReason: only for a force/],
  ['POST', '/db/shop', { UnlockID: 'l', UnlockReason: 7 }, /^UnlockReason: expected a string/],
  [
    'POST',
    '/db/shop',
    [{ KVGet: 'k' }, { UnlockID: 'l', UnlockReason: '' }],
    /^\[1\]\.UnlockReason: expected a reason/,
  ],
];

test('a reason without a force, and one that is too long or empty, are refused', async (t) => {
  const door = makeDoor(t, tokens);
  for (const [method, url, body, message] of refused) {
    const reply = await door.send(method, url, body, headers);
    const { Code, Message } = reply.json<{ Code: string; Message: string }>();
    assert.deepEqual([reply.statusCode, Code], [400, 'invalid'], url);
    assert.match(Message, message);
  }
  assert.equal(door.dispatcher.commands.length, 0);
  const longest = 'ü'.repeat(200);
  const accepted = await door.send('POST', '/db/shop', { UnlockID: 'l', UnlockReason: longest }, headers);
  assert.equal(accepted.statusCode, 200);
});
