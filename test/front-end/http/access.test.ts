import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { TokenTable } from '../../../src/front-end/access.ts';
import { admission } from '../../../src/front-end/resp/admission.ts';
import { configOf, makeDoor } from './http-door-under-test.ts';

const yaml = `
tokens:
  - { token: reader, accounts: [shop], scopes: [read] }
  - { token: writer, accounts: [shop, blog], scopes: [write] }
  - { sha256: ${hash('sha256', 'forcer').toUpperCase()}, accounts: '*', scopes: [force] }
  - { token: all, accounts: '*', scopes: [read, write, force, admin] }
`;

const set = { KVSet: { Key: 'a', Value: 1 } };
const get = { KVGet: 'a' };

type Allowed = Readonly<Record<'reader' | 'writer' | 'forcer' | 'all', 200 | 403>>;
const reading: Allowed = { reader: 200, writer: 403, forcer: 403, all: 200 };
const writing: Allowed = { reader: 403, writer: 200, forcer: 403, all: 200 };
const forcing: Allowed = { reader: 403, writer: 403, forcer: 200, all: 200 };
const both: Allowed = { reader: 403, writer: 403, forcer: 403, all: 200 };

const matrix: readonly (readonly ['GET' | 'POST' | 'DELETE', string, unknown, Allowed])[] = [
  ['POST', '/db/shop', set, writing],
  ['POST', '/db/shop', get, reading],
  ['POST', '/db/shop', { Check: { Key: 'a', Version: 1 } }, reading],
  ['POST', '/db/shop', { Guard: { LockID: 'a', Lock: 1 } }, reading],
  ['POST', '/db/shop', { ...set, ...get }, both],
  ['POST', '/db/shop', { LockID: 'a', LockDur: 1 }, writing],
  ['POST', '/db/shop', { Atomic: { Key: 'a', Add: 1 } }, writing],
  ['POST', '/db/shop', { UnlockID: 'a', Unlock: 1 }, writing],
  ['POST', '/db/shop', { UnlockID: 'a' }, forcing],
  ['POST', '/db/shop', { UnlockID: 'a', ...set }, both],
  ['POST', '/db/shop', [set, get], both],
  ['POST', '/db/shop', [set, set], writing],
  ['GET', '/db/shop/kv/a', undefined, reading],
  ['POST', '/db/shop/kv/a', 1, writing],
  ['DELETE', '/db/shop/kv/a', undefined, writing],
  ['GET', '/db/shop/kv', undefined, reading],
  ['GET', '/db/shop/counter/a', undefined, reading],
  ['POST', '/db/shop/counter/a', undefined, writing],
  ['DELETE', '/db/shop/counter/a', undefined, writing],
  ['GET', '/db/shop/sequence/a', undefined, reading],
  ['POST', '/db/shop/sequence/a', undefined, writing],
  ['DELETE', '/db/shop/sequence/a', undefined, writing],
  ['GET', '/db/shop/lock/a', undefined, reading],
  ['GET', '/db/shop/lock', undefined, reading],
  ['POST', '/db/shop/lock/a', undefined, writing],
  ['DELETE', '/db/shop/lock/a?id=me', undefined, writing],
  ['DELETE', '/db/shop/lock/a?owner=me', undefined, writing],
  ['DELETE', '/db/shop/lock/a?lock=1', undefined, writing],
  ['DELETE', '/db/shop/lock/a?force=1', undefined, forcing],
  ['POST', '/db/shop/mlock/a', undefined, writing],
  ['POST', '/db/shop/munlock/a?lock=1', undefined, writing],
  ['POST', '/db/shop/munlock/a?force=1', undefined, forcing],
  ['POST', '/watch/shop', { ID: 'a', Version: 0 }, reading],
  ['POST', '/watch/shop', { Prefix: '' }, reading],
];

for (const [method, url, body, allowed] of matrix) {
  test(`${method} ${url} ${JSON.stringify(body) ?? ''} requires its scopes`, async (t) => {
    const door = makeDoor(t, yaml);
    for (const [token, status] of Object.entries(allowed)) {
      const before = door.dispatcher.asked.length;
      const response = await door.send(method, url, body, { authorization: `Bearer ${token}` });
      assert.equal(response.statusCode, status, `${token}: ${response.body}`);
      assert.equal(door.dispatcher.asked.length > before, status === 200);
      if (status === 403) assert.match(response.body, /"Code":"forbidden"/);
    }
  });
}

test('a stream needs the scope read', async (t) => {
  const door = makeDoor(t, yaml);
  const response = await door.send('GET', '/watch/shop', undefined, { authorization: 'Bearer writer' });
  assert.equal(response.statusCode, 403);
  assert.deepEqual(door.dispatcher.asked, []);
});

test('a missing, malformed or unknown token is 401, before account, body and path are checked', async (t) => {
  const door = makeDoor(t, yaml);
  for (const authorization of [
    undefined,
    '',
    'reader',
    'Basic reader',
    'Bearer',
    'Bearer ',
    'Bearer nobody',
    'Bearer reader x',
  ]) {
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    const response = await door.send('POST', '/db/sh%20op', '{', headers);
    const { Code }: { Code: string } = response.json();
    assert.deepEqual([response.statusCode, Code], [401, 'unauthorized'], String(authorization));
    assert.equal(response.headers['www-authenticate'], 'Bearer');
  }
  assert.equal((await door.send('POST', '/db/shop', set, { authorization: 'bearer writer' })).statusCode, 200);
});

test('every call to a foreign account gets the same answer', async (t) => {
  const door = makeDoor(t, yaml);
  const headers = { authorization: 'Bearer reader' };
  const answers = new Set<string>();
  for (const account of ['blog', 'nobody', 'sh%20op', 'a'.repeat(65)]) {
    const response = await door.send('GET', `/db/${account}/kv/a`, undefined, headers);
    const { Code, Message }: { Code: string; Message: string } = response.json();
    answers.add(`${response.statusCode} ${Code} ${Message}`);
  }
  assert.deepEqual([...answers], ['403 forbidden This token may not use this account']);
  assert.deepEqual(door.dispatcher.asked, []);
});

test('without tokens everything is allowed, except to web pages of another origin', async (t) => {
  const door = makeDoor(t);
  assert.equal((await door.send('DELETE', '/db/shop/lock/a?force=1')).statusCode, 200);
  const host = '127.0.0.1:8081';
  const from = (origin: string) => door.send('POST', '/db/shop', set, { host, origin });
  assert.equal((await from('http://evil.example')).statusCode, 403);
  assert.equal((await from('null')).statusCode, 403);
  assert.equal((await from(`http://${host}`)).statusCode, 200);
});

test('health, version and metrics need no token', async (t) => {
  const door = makeDoor(t, yaml);
  for (const url of ['/livez', '/readyz', '/version', '/metrics']) {
    assert.equal((await door.send('GET', url)).statusCode, 200, url);
  }
});

const others =
  "tokens: [{ token: reader, accounts: [blog], scopes: [read] }, { token: new, accounts: '*', scopes: [read] }]";

test('tokens that are replaced count from the next request and the next login on', async (t) => {
  const door = makeDoor(t, yaml);
  const ask = async (token: string, account: string): Promise<number> => {
    const headers = { authorization: `Bearer ${token}` };
    return (await door.send('GET', `/db/${account}/kv/a`, undefined, headers)).statusCode;
  };
  const logsIn = (token: string): string | undefined => {
    try {
      return admission(door.tokens, 'blog', token).access.name;
    } catch {
      return undefined;
    }
  };
  const { tokens } = configOf(others);
  assert.deepEqual([await ask('reader', 'shop'), await ask('all', 'shop'), await ask('new', 'shop')], [200, 200, 401]);
  assert.deepEqual([logsIn('reader'), logsIn('new')], [undefined, undefined]);
  door.tokens.replace(tokens);
  assert.deepEqual([await ask('reader', 'shop'), await ask('all', 'shop'), await ask('new', 'shop')], [403, 401, 200]);
  assert.deepEqual([logsIn('reader'), logsIn('new')], [tokens[0]!.name, tokens[1]!.name]);
});

test('a table neither gets its first token nor loses its last one while the server runs', () => {
  const { tokens } = configOf(others);
  assert.throws(() => new TokenTable([]).replace(tokens), /restart/);
  assert.throws(() => new TokenTable(tokens).replace([]), /restart/);
});
