import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeDoor } from './http-door-under-test.ts';

const paths = [
  ['GET', '/livez'],
  ['GET', '/readyz'],
  ['GET', '/version'],
  ['GET', '/metrics'],
  ['GET', '/db/a/kv/k'],
  ['POST', '/db/a'],
  ['POST', '/watch/a'],
  ['GET', '/watch/a'],
  ['GET', '/nope'],
  ['DELETE', '/db/a'],
  ['GET', '/db/a/kv/%ff'],
] as const;

const foreign = [
  'evil.example',
  'evil.example:8081',
  'localhost.evil.example',
  '127.0.0.1.evil.example',
  'evil.example.',
  'localhost:80:81',
  'user@localhost',
  '0.0.0.0',
  '192.168.0.1',
  '[::2]:8081',
  '[fe80::1%25lo]',
  '::1',
];

test('without tokens a foreign host gets 403 on every path, and the key to set', async (t) => {
  const door = makeDoor(t);
  for (const host of foreign) {
    for (const [method, url] of paths) {
      const response = await door.send(method, url, undefined, { host, origin: `http://${host}` });
      const { Code, Message }: { Code: string; Message: string } = response.json();
      assert.deepEqual([response.statusCode, Code], [403, 'forbidden'], `${method} ${url} at ${host}`);
      assert.match(Message, /http\.hosts/);
    }
  }
  assert.deepEqual(door.dispatcher.asked, []);
});

test('without tokens localhost, loopback addresses and http.hosts are served, in any spelling', async (t) => {
  const door = makeDoor(t, 'http: {hosts: [Dragon.Internal, "fd00::1"]}');
  for (const host of [
    'localhost',
    'LocalHost:8081',
    'localhost.',
    'localhost.:8081',
    '127.0.0.1',
    '127.9.8.7:1',
    '[::1]',
    '[::1]:8081',
    '[0:0:0:0:0:0:0:1]:8081',
    '[::ffff:127.0.0.1]',
    'dragon.internal:80',
    'DRAGON.internal.',
    '[fd00:0::1]:8081',
  ]) {
    const response = await door.send('GET', '/db/a/kv/k', undefined, { host });
    assert.equal(response.statusCode, 200, `${host}: ${response.body}`);
  }
  const absolute = await door.app.inject({ method: 'GET', url: '/db/a/kv/k', headers: { host: 'evil.example' } });
  assert.equal(absolute.statusCode, 403);
});

test('with tokens any host is served: the token is what a page does not have', async (t) => {
  const door = makeDoor(t, 'tokens: [{token: t, accounts: "*", scopes: [read]}]');
  const host = 'anything.example';
  assert.equal((await door.send('GET', '/livez', undefined, { host })).statusCode, 200);
  assert.equal((await door.send('GET', '/db/a/kv/k', undefined, { host })).statusCode, 401);
  const headers = { host, origin: 'https://elsewhere.example', authorization: 'Bearer t' };
  assert.equal((await door.send('GET', '/db/a/kv/k', undefined, headers)).statusCode, 200);
});
