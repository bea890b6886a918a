/**
 * Every code of the registry, produced by the real server: limits, rates, tokens and scopes included. The last test
 * compares what was seen with the registry, so that a new code without a test fails here.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { errorCodes, type ErrorCode } from '../../src/protocol/errors.ts';
import type { ReplyBody } from '../support/reply-body.ts';
import { eventually, serverForFile, type Headers } from '../support/server-under-test.ts';

/** Seen elsewhere, or never. */
const notHere: Partial<Record<ErrorCode, string>> = {
  internal: 'a bug in the server: every test fails on it',
  disk_full: 'needs a full disk: disk-full.test.ts',
  conflict: 'only when others write between the tries of a script: ../scripts/executor.test.ts',
  copy_in_progress: 'needs a server that makes backups: backups.test.ts',
  duplicate_task: 'of tasks: api-tasks.test.ts',
  moved: 'needs a second machine: machines.test.ts',
  script_failed: 'of scripts: scripts.test.ts',
  script_refused: 'of scripts: scripts.test.ts',
  script_timeout: 'of scripts: scripts.test.ts',
  target_forbidden: 'of tasks: api-http-tasks.test.ts',
  account_deleting: 'only while a large account is swept: ../shard-worker/core/deletions.test.ts',
};

const sha256 = createHash('sha256').update('hashed-token').digest('hex');
const config = `
limits:
  body_bytes_max: 262144
  value_bytes_max: 4096
  batch_operations_max: 400
  memtable_bytes_max: 1048576
  store_bytes_max: 1048576
  waiters_per_lock_max: 1
  watchers_max: 1
  mutexes_per_shard_max: 1
  inflight_per_shard_max: 100
  account_requests_per_second: 300
journal: { segment_bytes: 1048576, keep_bytes: 0 }
tokens:
  - { token: all, accounts: "*", scopes: [read, write, force, admin] }
  - { sha256: ${sha256}, accounts: [a, b], scopes: [read, write, force] }
  - { token: reader, accounts: [a], scopes: [read] }
  - { token: writer, accounts: [a], scopes: [write] }
  - { token: forcer, accounts: [a], scopes: [force] }
`;
const server = serverForFile({ config });

const as = (token: string): { headers: Headers } => ({ headers: { authorization: `Bearer ${token}` } });
const all = as('all');

test('errors: without a known token nothing is said but 401', async () => {
  const headers = [
    {},
    { authorization: 'Bearer ' },
    { authorization: 'Bearer nobody' },
    { authorization: 'Basic all' },
    { authorization: 'all' },
  ];
  for (const header of headers) {
    for (const target of ['/db/a/kv/k', '/db/unknown/kv/k', '/db/a/lock', '/db/a/kv']) {
      const reply = await server.call('GET', target, undefined, { headers: header });
      assert.equal(reply.body.Code, 'unauthorized', JSON.stringify(header));
      assert.equal(reply.headers['www-authenticate'], 'Bearer');
    }
    await server.fails('unauthorized', 'POST', '/db/a', { KVGet: 'k' }, { headers: header });
    await server.fails('unauthorized', 'POST', '/watch/a', { ID: 'k' }, { headers: header });
  }
});

test('errors: the probes need no token', async () => {
  for (const target of ['/livez', '/readyz', '/version', '/metrics'])
    assert.equal((await server.call('GET', target)).status, 200);
});

test('errors: a foreign account is 403 with the same words, whether it exists or not', async () => {
  await server.ok('POST', '/db/exists/kv/k', '1', all);
  const messages = new Set<string>();
  for (const account of ['exists', 'missing', 'not valid!'.replaceAll(' ', '%20')]) {
    const refused = await server.fails('forbidden', 'GET', `/db/${account}/kv/k`, undefined, as('reader'));
    messages.add(refused.Message);
    await server.fails('forbidden', 'POST', `/watch/${account}`, { ID: 'k' }, as('hashed-token'));
  }
  assert.equal(messages.size, 1);
});

test('errors: permits of one lock have one limit', async () => {
  const held = { LockID: 'permits', LockLimit: 2, LockOwner: 'one', LockDur: 60 };
  await server.ok('POST', '/db/a', held, all);
  await server.fails('limit_mismatch', 'POST', '/db/a', { ...held, LockLimit: 3, LockOwner: 'two' }, all);
});

test('errors: a token may do what its scopes say, and no more', async () => {
  const may: readonly (readonly [
    token: string,
    allowed: boolean,
    method: 'GET' | 'POST' | 'DELETE',
    target: string,
    body?: object,
  ])[] = [
    ['hashed-token', true, 'POST', '/db/a', { KVSet: { Key: 'k', Value: 1 }, KVGet: 'k' }],
    ['hashed-token', true, 'GET', '/db/b/kv'],
    ['reader', true, 'GET', '/db/a/kv/k'],
    ['reader', true, 'POST', '/db/a', { KVGet: 'k' }],
    ['reader', true, 'POST', '/watch/a', { ID: 'k', Version: 0 }],
    ['reader', true, 'GET', '/db/a/lock/l'],
    ['reader', false, 'POST', '/db/a', { KVGet: 'k', KVSet: { Key: 'k', Value: 1 } }],
    ['reader', false, 'POST', '/db/a/kv/k', {}],
    ['reader', false, 'POST', '/db/a/counter/c'],
    ['reader', false, 'POST', '/db/a/lock/l'],
    ['reader', false, 'POST', '/db/a/mlock/l'],
    ['reader', false, 'DELETE', '/db/a/lock/l?force=1'],
    ['writer', true, 'POST', '/db/a', { KVSet: { Key: 'k', Value: 1 } }],
    ['writer', true, 'POST', '/db/a/lock/l?id=w'],
    ['writer', true, 'DELETE', '/db/a/lock/l?id=w'],
    ['writer', false, 'DELETE', '/db/a/lock/l?force=1'],
    ['writer', false, 'POST', '/db/a', { UnlockID: 'l' }],
    ['writer', false, 'POST', '/db/a/munlock/m?force=1'],
    ['writer', false, 'GET', '/db/a/kv/k'],
    ['writer', false, 'GET', '/db/a/kv'],
    ['writer', false, 'GET', '/watch/a'],
    ['forcer', true, 'DELETE', '/db/a/lock/l?force=1'],
    ['forcer', true, 'POST', '/db/a', { UnlockID: 'l' }],
    ['forcer', false, 'POST', '/db/a/kv/k', {}],
  ];
  for (const [token, allowed, method, target, body] of may) {
    const reply = await server.call(method, target, body, as(token));
    const call = `${token}: ${method} ${target} ${JSON.stringify(body)} → ${reply.text}`;
    assert.equal(reply.body.Code, allowed ? undefined : 'forbidden', call);
  }
});

test('errors: the everyday ones', async () => {
  await server.fails('invalid', 'POST', '/db/e', { KVSett: [] }, all);
  await server.fails('not_found', 'GET', '/db/e/kv/none', undefined, all);
  await server.fails('not_found', 'GET', '/nowhere', undefined, all);
  await server.fails('method_not_allowed', 'GET', '/db/e', undefined, all);
  await server.ok('POST', '/db/e/lock/l?id=x&dur=30', undefined, all);
  await server.fails('not_locked', 'POST', '/db/e/lock/l?id=y', undefined, all);
  await server.fails('lock_lost', 'DELETE', '/db/e/lock/l?id=y', undefined, all);
  await server.ok('POST', '/db/e/limit/l?rate=0.001&burst=1', undefined, all);
  await server.fails('limited', 'POST', '/db/e/limit/l?rate=0.001&burst=1', undefined, all);
  const sent: object = await server.ok('POST', '/db/e/queue/q', 1, all);
  const receipt = new URLSearchParams({ id: String(Reflect.get(sent, 'ID')), lock: '1' });
  await server.fails('receipt_expired', 'POST', `/db/e/ack/q?${receipt.toString()}`, undefined, all);
  await server.fails('version_mismatch', 'POST', '/db/e/kv/k?ver=9', '1', all);
  await server.fails('precondition_failed', 'POST', '/db/e', { Atomic: { Key: 'c', Set: 1, IfEq: 2 } }, all);
  await server.ok('POST', `/db/e/counter/c?add=${2 ** 53 - 1}`, undefined, all);
  await server.fails('overflow', 'POST', '/db/e/counter/c', undefined, all);
  await server.fails('out_of_bounds', 'POST', '/db/e/counter/c?add=-1&floor=9007199254740991', undefined, all);
  const write = { IdempotencyIDs: 'i', Atomic: { Key: 'd', Add: 1 } };
  await server.ok('POST', '/db/e', write, all);
  await server.fails('duplicate_request', 'POST', '/db/e', write, all);
  await server.fails('idempotency_mismatch', 'POST', '/db/e', { ...write, KVGet: 'k', IdempotencyMode: 'replay' }, all);
  await server.fails('too_large', 'POST', '/db/e/kv/k', JSON.stringify('x'.repeat(4096)), all);
  await server.fails('too_large', 'POST', '/db/e/kv/k', JSON.stringify('x'.repeat(300_000)), all);
  await server.fails('too_large', 'POST', '/db/e', { KVGet: Array.from({ length: 401 }, (_, i) => `k${i}`) }, all);
  const xml = { headers: { ...all.headers, 'content-type': 'text/xml' } };
  await server.fails('unsupported_media_type', 'POST', '/db/e', '<x/>', xml);
});

test('errors: too many who wait for a lock, or watch; a second one with the same idempotency id', async () => {
  const held = await server.ok('POST', '/db/w/lock/l?dur=30', undefined, all);
  const first = server.ok('POST', '/db/w', { LockID: 'l', LockDur: 1, LockWait: 30, IdempotencyIDs: 'i' }, all);
  await server.waiters(1);
  assert.match(
    (await server.fails('too_many_waiters', 'POST', '/db/w/lock/l?wait=30', undefined, all)).Message,
    /waiters_per_lock_max/,
  );
  await server.fails(
    'request_in_progress',
    'POST',
    '/db/w',
    { IdempotencyIDs: 'i', KVSet: { Key: 'k', Value: 1 } },
    all,
  );
  await server.ok('DELETE', `/db/w/lock/l?lock=${held.Lock}`, undefined, all);
  await first;
  const hangUp = new AbortController();
  const watch = server.call('POST', '/watch/w', { ID: 'nothing' }, { ...all, signal: hangUp.signal });
  await server.watchers(1);
  assert.match((await server.fails('too_many_waiters', 'POST', '/watch/w', { ID: 'k' }, all)).Message, /watchers_max/);
  hangUp.abort();
  await assert.rejects(watch);
});

test('errors: overloaded by too many at once, or too many mutexes', async () => {
  const items = Array.from({ length: 150 }, () => ({ KVGet: 'k' }));
  const reply = await server.call('POST', '/db/over', items, all);
  const codes = (JSON.parse(reply.text) as ReplyBody[]).map(({ Status, Code }) => `${Status} ${Code}`);
  assert.deepEqual(new Set(codes), new Set(['200 undefined', '503 overloaded']));
  assert.equal(codes.filter((code) => code.startsWith('200')).length, 100, 'what fits is served');
  await server.ok('POST', '/db/over/mlock/one?dur=30', undefined, all);
  await server.fails('overloaded', 'POST', '/db/over/mlock/two?dur=30', undefined, all);
});

test('errors: one account that asks too often is told to wait; others are served', async () => {
  const items = Array.from({ length: 400 }, () => ({ KVGet: 'k' }));
  await server.call('POST', '/db/rate', items, all);
  await server.fails('rate_limited', 'GET', '/db/rate/kv', undefined, all);
  await server.ok('GET', '/db/other/kv', undefined, all);
  await eventually(
    'served again',
    async () => (await server.call('GET', '/db/rate/kv', undefined, all)).status === 200,
  );
});

test('errors: a store over its quota takes reads, unlocks and deletes only, until there is room', async () => {
  const { Lock } = await server.ok('POST', '/db/quota/lock/l?dur=60', undefined, all);
  const value = JSON.stringify('x'.repeat(4000));
  await server.ok('POST', '/db/quota/kv/k0', value, all);
  let accounts = 0;
  // By many accounts, each far from its rate.
  await eventually('over the quota', async () => {
    const array = Array.from({ length: 40 }, (_, i) => ({ KVSet: { Key: `k${i}`, Value: value } }));
    const { text } = await server.call('POST', `/db/fill-${(accounts += 1)}`, array, all);
    return (JSON.parse(text) as ReplyBody[]).some(({ Code }) => Code === 'quota_exceeded');
  });
  await server.fails('quota_exceeded', 'POST', '/db/quota/kv/more', value, all);
  await server.ok('GET', '/db/quota/kv/k0', undefined, all);
  await server.ok('DELETE', `/db/quota/lock/l?lock=${Lock}`, undefined, all);
  await server.fails('quota_exceeded', 'POST', '/db/quota/lock/l', undefined, all);
  await server.fails('quota_exceeded', 'POST', '/db/quota/counter/c', undefined, all);
  await server.ok('DELETE', '/db/quota/kv/k0', undefined, all);
});

test('errors: history that is gone, and a server that stops', async () => {
  await eventually(
    'the first segment is gone',
    async () => (await server.metric('dragonlock_journal_oldest_revision')) > 2,
  );
  await server.fails('compacted', 'POST', '/watch/c', { Prefix: '', After: 1, Wait: 1 }, all);
  const watch = server.fails('draining', 'POST', '/watch/stop', { ID: 'nothing' }, all);
  await server.watchers(1);
  const stopped = server.terminate();
  await watch;
  assert.equal(await stopped, 0);
});

test('errors: every code of the registry was seen', () => {
  const expected = (Object.keys(errorCodes) as ErrorCode[]).filter((code) => notHere[code] === undefined);
  assert.deepEqual([...server.codesSeen].toSorted(), expected.toSorted());
});
