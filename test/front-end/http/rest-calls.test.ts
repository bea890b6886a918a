import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeDoor } from './http-door-under-test.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';

type Case = readonly [method: 'GET' | 'POST' | 'DELETE', url: string, body: unknown, command: object];

const batch = { kind: 'batch', account: 'shop' };

const cases: readonly Case[] = [
  ['GET', '/db/shop/kv/a', undefined, { ...batch, format: 'kv.get', get: ['a'] }],
  ['GET', '/db/shop/kv/app/config', undefined, { ...batch, format: 'kv.get', get: ['app/config'] }],
  ['GET', '/db/shop/kv/app%2Fconfig', undefined, { ...batch, format: 'kv.get', get: ['app/config'] }],
  ['GET', '/db/shop/kv/a%2525b%3Fc%20d+e', undefined, { ...batch, format: 'kv.get', get: ['a%25b?c d+e'] }],
  ['GET', `/db/shop/kv/${'%C3%A9'.repeat(256)}`, undefined, { ...batch, format: 'kv.get', get: ['é'.repeat(256)] }],
  [
    'POST',
    '/db/shop/kv/a',
    { x: [1, null] },
    { ...batch, format: 'kv.set', set: [{ key: 'a', value: '{"x":[1,null]}' }] },
  ],
  [
    'POST',
    '/db/shop/kv/a?ver=0&ttl=1.5',
    7,
    { ...batch, format: 'kv.set', set: [{ key: 'a', value: '7', version: 0, ttlMs: 1500 }] },
  ],
  ['DELETE', '/db/shop/kv/a', undefined, { ...batch, format: 'kv.delete', set: [{ key: 'a' }] }],
  ['DELETE', '/db/shop/kv/a?ver=12', undefined, { ...batch, format: 'kv.delete', set: [{ key: 'a', version: 12 }] }],
  ['GET', '/db/shop/kv', undefined, { kind: 'kv.list', account: 'shop', prefix: '', limit: 100 }],
  [
    'GET',
    '/db/shop/kv?prefix=a%2F&after=a%2Fb&limit=1000',
    undefined,
    { kind: 'kv.list', account: 'shop', prefix: 'a/', after: 'a/b', limit: 1000 },
  ],
  [
    'GET',
    '/db/shop/counter/c',
    undefined,
    { ...batch, format: 'counter.get', counter: [{ key: 'c', op: 'get', n: 0 }] },
  ],
  [
    'POST',
    '/db/shop/counter/c',
    undefined,
    { ...batch, format: 'counter.add', counter: [{ key: 'c', op: 'add', n: 1 }] },
  ],
  [
    'POST',
    '/db/shop/counter/c?add=-5',
    '',
    { ...batch, format: 'counter.add', counter: [{ key: 'c', op: 'add', n: -5 }] },
  ],
  [
    'POST',
    '/db/shop/counter/c?add=0',
    '',
    { ...batch, format: 'counter.add', counter: [{ key: 'c', op: 'add', n: 0 }] },
  ],
  [
    'POST',
    '/db/shop/counter/c?add=-5&floor=-10&ceil=0',
    '',
    { ...batch, format: 'counter.add', counter: [{ key: 'c', op: 'add', n: -5, floor: -10, ceil: 0 }] },
  ],
  [
    'DELETE',
    '/db/shop/counter/c',
    undefined,
    { ...batch, format: 'counter.reset', counter: [{ key: 'c', op: 'reset', n: 0 }] },
  ],
  [
    'GET',
    '/db/shop/sequence/s',
    undefined,
    { ...batch, format: 'sequence.get', sequence: { key: 's', op: 'get', n: 1 } },
  ],
  [
    'POST',
    '/db/shop/sequence/s',
    undefined,
    { ...batch, format: 'sequence.next', sequence: { key: 's', op: 'next', n: 1 } },
  ],
  [
    'POST',
    '/db/shop/sequence/s?n=10',
    undefined,
    { ...batch, format: 'sequence.next', sequence: { key: 's', op: 'next', n: 10 } },
  ],
  [
    'DELETE',
    '/db/shop/sequence/s',
    undefined,
    { ...batch, format: 'sequence.reset', sequence: { key: 's', op: 'reset', n: 1 } },
  ],
  ['GET', '/db/shop/lock/l', undefined, { kind: 'lock.inspect', account: 'shop', id: 'l' }],
  ['GET', '/db/shop/lock/l?fence=9', undefined, { kind: 'lock.inspect', account: 'shop', id: 'l', fence: 9 }],
  [
    'POST',
    '/db/shop/lock/l',
    undefined,
    { ...batch, format: 'lock.acquire', lock: { id: 'l', durMs: 30_000, waitMs: 0 } },
  ],
  [
    'POST',
    '/db/shop/lock/1?id=123&dur=0.25&wait=15&meta=host+1',
    undefined,
    { ...batch, format: 'lock.acquire', lock: { id: '1', durMs: 250, waitMs: 15_000, owner: '123', meta: '"host 1"' } },
  ],
  [
    'DELETE',
    '/db/shop/lock/l?id=me',
    undefined,
    { ...batch, format: 'lock.release', unlock: { id: 'l', owner: 'me' } },
  ],
  [
    'DELETE',
    '/db/shop/lock/l?lock=77',
    undefined,
    { ...batch, format: 'lock.release', unlock: { id: 'l', fence: 77 } },
  ],
  [
    'DELETE',
    '/db/shop/lock/l?force=1',
    undefined,
    {
      ...batch,
      format: 'lock.release',
      unlock: { id: 'l' },
      audit: { action: 'lock.force', subject: 'l', who: '', from: '127.0.0.1' },
    },
  ],
  ['GET', '/db/shop/lock?prefix=x', undefined, { kind: 'lock.list', account: 'shop', prefix: 'x', limit: 100 }],
  [
    'POST',
    '/db/shop/mlock/m?dur=30&wait=15',
    undefined,
    { kind: 'mutex.lock', account: 'shop', lock: { id: 'm', durMs: 30_000, waitMs: 15_000 } },
  ],
  [
    'POST',
    '/db/shop/mlock/m',
    undefined,
    { kind: 'mutex.lock', account: 'shop', lock: { id: 'm', durMs: 30_000, waitMs: 0 } },
  ],
  [
    'POST',
    '/db/shop/munlock/m?lock=8',
    undefined,
    { kind: 'mutex.unlock', account: 'shop', unlock: { id: 'm', fence: 8 } },
  ],
  ['POST', '/db/shop/munlock/m?force=1', undefined, { kind: 'mutex.unlock', account: 'shop', unlock: { id: 'm' } }],
];

for (const [method, url, body, command] of cases) {
  test(`${method} ${url.slice(0, 80)} becomes its command`, async (t) => {
    const door = makeDoor(t);
    const { statusCode, headers, body: text } = await door.send(method, url, body);
    assert.deepEqual(JSON.parse(JSON.stringify(door.dispatcher.commands)), [command]);
    assert.equal(statusCode, 200);
    assert.equal(text, '{"Rev":7}');
    assert.equal(headers['dragonlock-boot'], 'boot7');
    assert.equal(headers['content-type'], 'application/json; charset=utf-8');
  });
}

test('a header Idempotency-Key makes any REST write replayable, under the fingerprint of its command', async (t) => {
  const door = makeDoor(t);
  const key = { 'idempotency-key': 'once-1' };
  await door.send('POST', '/db/shop/kv/a', 1, key);
  await door.send('POST', '/db/shop/kv/a', ' 1 ', key);
  await door.send('POST', '/db/shop/kv/a', 2, key);
  await door.send('POST', '/db/shop/counter/a', undefined, key);
  await door.send('POST', '/db/shop/sequence/a', undefined, key);
  await door.send('POST', '/db/shop/lock/a', undefined, key);
  await door.send('DELETE', '/db/shop/lock/a?force=1', undefined, key);
  await door.send('DELETE', '/db/shop/kv/a', undefined, key);
  const asks = door.dispatcher.commands.map((command) => (command.kind === 'batch' ? command.idempotency : undefined));
  assert.equal(asks.length, 8);
  for (const ask of asks) {
    assert.deepEqual(
      { ...ask, fingerprint: '' },
      { ids: ['once-1'], ttlMs: 86_400_000, mode: 'replay', fingerprint: '' },
    );
    assert.match(ask?.fingerprint ?? '', /^[\w-]{22}$/);
  }
  assert.equal(asks[0]?.fingerprint, asks[1]?.fingerprint, 'spaces make no difference');
  assert.equal(new Set(asks.map((ask) => ask?.fingerprint)).size, 7);
});

test('a replayed reply says so in a header', async (t) => {
  const door = makeDoor(t);
  door.dispatcher.reply = () => ({ replayed: true });
  const { headers } = await door.send('POST', '/db/shop/kv/a', 1, { 'idempotency-key': 'x' });
  assert.equal(headers['idempotent-replayed'], 'true');
});

const texts: readonly (readonly [type: string, payload: string, value: string])[] = [
  ['text/plain', 'hello "you"', '"hello \\"you\\""'],
  ['text/plain; charset=utf-8', '{"a":1}', '"{\\"a\\":1}"'],
  ['text/plain', '', '""'],
  ['application/json; charset=utf-8', '{"a": 1}', '{"a":1}'],
  ['application/x-www-form-urlencoded', '{"a":1}', '{"a":1}'],
];

for (const [type, payload, value] of texts) {
  test(`kv set stores ${type} ${JSON.stringify(payload)} as ${value}`, async (t) => {
    const door = makeDoor(t);
    const as = type.startsWith('text/') ? '?as=text' : '';
    await door.send('POST', `/db/shop/kv/a${as}`, payload, { 'content-type': type });
    const [command] = door.dispatcher.commands;
    assert.deepEqual(command?.kind === 'batch' && command.set, [{ key: 'a', value }]);
  });
}

const refused: readonly (readonly [method: 'GET' | 'POST' | 'DELETE', url: string, message: RegExp])[] = [
  ['POST', '/db/shop/counter/c?add=abc', /^\?add: expected an integer from −\(2\^53−1\) to 2\^53−1, got "abc"$/],
  ['POST', '/db/shop/counter/c?add=1.5', /^\?add: /],
  ['POST', '/db/shop/counter/c?add=9007199254740992', /^\?add: /],
  ['POST', '/db/shop/counter/c?add=%2B5', /^\?add: /],
  ['POST', '/db/shop/counter/c?add=', /^\?add: /],
  ['POST', '/db/shop/counter/c?add=1&add=2', /^\?add: given more than once$/],
  ['POST', '/db/shop/counter/c?floor=x', /^\?floor: expected an integer from −\(2\^53−1\) to 2\^53−1, got "x"$/],
  ['POST', '/db/shop/counter/c?floor=3&ceil=2', /^\?floor: expected at most the upper bound, 2, got 3$/],
  ['DELETE', '/db/shop/counter/c?floor=0', /^\?floor: unknown parameter of DELETE; did you mean POST\?/],
  ['POST', '/db/shop/counter/c?ad=1', /^\?ad: unknown parameter; did you mean add\?$/],
  ['POST', '/db/shop/counter/c?add=%zz', /^\?add: malformed percent-encoding$/],
  ['GET', '/db/shop/counter/c?add=1', /^\?add: unknown parameter of GET; did you mean POST\? \(curl -X POST\)$/],
  ['GET', '/db/shop/kv/k?x=1', /^\?x: unknown parameter; this call takes none$/],
  ['DELETE', '/db/shop/kv/a?ver=1e3', /^\?ver: expected an integer from 0/],
  ['DELETE', '/db/shop/kv/a?ver=-1', /^\?ver: /],
  ['GET', '/db/shop/kv?limit=0', /^\?limit: expected an integer from 1 to 1000, got "0"$/],
  ['GET', '/db/shop/kv?limit=1001', /^\?limit: /],
  ['GET', '/db/shop/kv?after=', /^\?after: expected a string of 1 to 512 bytes/],
  ['GET', '/db/shop/kv/', /^id: expected a string of 1 to 512 bytes, got ""$/],
  ['GET', '/db/shop/kv/a%00b', /^id: expected no NUL/],
  ['GET', `/db/shop/kv/${'a'.repeat(513)}`, /^id: expected a string of at most 512 bytes, got 513 bytes$/],
  ['GET', `/db/shop/kv/${'%C3%A9'.repeat(257)}`, /^id: expected a string of at most 512 bytes, got 514 bytes$/],
  ['GET', '/db/shop/kv/%ff', /^The path is not valid percent-encoded UTF-8$/],
  ['GET', '/db/shop/kv/%C0%80', /^The path is not valid/],
  ['GET', '/db/shop/kv/%zz', /^The path is not valid/],
  ['GET', '/db/sh%20op/kv/a', /^account: expected 1 to 64 characters of A-Z a-z 0-9 \. _ -, got "sh op"$/],
  ['GET', `/db/${'a'.repeat(65)}/kv/a`, /^account: /],
  ['POST', '/db/shop/sequence/s?n=0', /^\?n: expected an integer from 1/],
  ['POST', '/db/shop/lock/l?dur=0', /^\?dur: expected a number of seconds, more than 0, at most 86400, got "0"$/],
  ['POST', '/db/shop/lock/l?dur=86401', /^\?dur: /],
  ['POST', '/db/shop/lock/l?wait=301', /^\?wait: expected a number of seconds, 0 to 300, got "301"$/],
  ['POST', '/db/shop/lock/l?wait=-1', /^\?wait: /],
  ['POST', '/db/shop/lock/l?id=', /^\?id: expected a string of 1 to 512 bytes, got ""$/],
  ['DELETE', '/db/shop/lock/l?id=a&lock=1', /^\?id and \?lock: expected only one/],
  ['DELETE', '/db/shop/lock/l?lock=0', /^\?lock: /],
];

for (const [method, url, message] of refused) {
  test(`${method} ${url.slice(0, 60)} is refused with 400 and the parameter`, async (t) => {
    const door = makeDoor(t);
    const response = await door.send(method, url);
    const body: { Code: string; Message: string; RequestID: string } = response.json();
    assert.match(body.Message, message);
    assert.equal(response.statusCode, 400);
    assert.equal(body.Code, 'invalid');
    assert.equal(body.RequestID, 'boot7-0-1');
    assert.deepEqual(door.dispatcher.commands, [] satisfies Command[]);
  });
}

test('calls that take no body refuse one', async (t) => {
  const door = makeDoor(t);
  for (const url of ['counter/c', 'sequence/c', 'lock/c', 'mlock/c', 'munlock/c']) {
    const response = await door.send('POST', `/db/shop/${url}`, { add: 5 });
    assert.equal(response.statusCode, 400);
    assert.match(response.body, /takes no body/);
  }
  assert.equal((await door.send('DELETE', '/db/shop/kv/c', { ver: 5 })).statusCode, 400);
  assert.deepEqual(door.dispatcher.commands, []);
});

test('a mutex refuses the header Idempotency-Key', async (t) => {
  const door = makeDoor(t);
  for (const url of ['/db/shop/mlock/m', '/db/shop/munlock/m?lock=1']) {
    const response = await door.send('POST', url, undefined, { 'idempotency-key': 'x' });
    assert.equal(response.statusCode, 400);
    assert.match(response.body, /Idempotency-Key: not for what lives in memory only/);
  }
});
