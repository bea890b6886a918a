/** Any bad input gets a documented refusal that names the place, never a 5xx, and changes nothing. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import type { ErrorCode } from '../../src/protocol/errors.ts';
import { serverForFile, type CallOptions, type Headers, type Method } from '../support/server-under-test.ts';

const server = serverForFile({ config: 'limits: { body_bytes_max: 262144, value_bytes_max: 65536 }' });

interface State {
  readonly Rev: number;
  readonly rows: string;
}

async function state(): Promise<State> {
  const [kv, locks] = await Promise.all([server.ok('GET', '/db/acc/kv?limit=1000'), server.ok('GET', '/db/acc/lock')]);
  return { Rev: kv.Rev, rows: JSON.stringify([kv.KV, locks.Locks]) };
}

let untouched: State | undefined;
test('bad input: a state to keep', async () => {
  await server.batch({
    KVSet: [
      { Key: 'k', Value: 1 },
      { Key: 'l', Value: {} },
    ],
    Atomic: { Key: 'c', Add: 1 },
    LockID: 'l',
    LockDur: 3600,
  });
  untouched = await state();
});

const deep = '['.repeat(200) + ']'.repeat(200);
const long = 'k'.repeat(513);

type Bad = readonly [what: string, body: string, message: RegExp, code?: ErrorCode];

const bodies: readonly Bad[] = [
  ['nothing', '', /empty/],
  ['no JSON', '{"KVGet":', /not JSON/],
  ['two documents', '{"KVGet":"k"}{"KVGet":"k"}', /not JSON/],
  ['a number', '7', /^body: expected/],
  ['a string', '"KVGet"', /^body: expected/],
  ['null', 'null', /^body: expected/],
  ['an empty object', '{}', /nothing to do/],
  ['an unknown field', '{"KVget":["k"]}', /^KVget: unknown field; did you mean KVGet\?/],
  [
    'an unknown field inside',
    '{"KVSet":[{"Key":"k","Value":1},{"Key":"k","Val":1}]}',
    /^KVSet\[1\]\.Val: unknown field/,
  ],
  ['a key of a wrong type', '{"KVSet":{"Key":7,"Value":1}}', /^KVSet\[0\]\.Key: expected a string/],
  ['an empty key', '{"KVGet":""}', /^KVGet\[0\]: expected/],
  ['a key that is too long', `{"KVSet":{"Key":"${long}","Value":1}}`, /^KVSet\[0\]\.Key: .*512 bytes/],
  ['a key of too many bytes', `{"KVGet":"${'é'.repeat(257)}"}`, /512 bytes/],
  ['NUL in a key', '{"KVGet":"a\\u0000b"}', /NUL/],
  ['a lone surrogate in a key', '{"KVGet":"a\\ud800"}', /surrogate/],
  [
    'a __proto__ in a value',
    '{"KVSet":{"Key":"k","Value":{"a":{"__proto__":{"x":1}}}}}',
    /^KVSet\[0\]\.Value\.a\.__proto__/,
  ],
  ['a __proto__ as a field', '{"__proto__":{"KVGet":"k"},"KVGet":"k"}', /__proto__/],
  ['a __proto__ in an item', '{"KVSet":{"Key":"k","Value":1,"__proto__":{"TTL":1}}}', /__proto__/],
  ['an integer that is not kept', '{"KVSet":{"Key":"k","Value":9007199254740993}}', /2\^53/],
  ['an infinite number', '{"KVSet":{"Key":"k","Value":[1e999]}}', /^KVSet\[0\]\.Value\[0\]: /],
  ['a counter beyond 2^53−1', '{"Atomic":{"Key":"c","Add":9007199254740992}}', /^Atomic\[0\]\.Add: /],
  ['a counter that is no integer', '{"Atomic":{"Key":"c","Add":0.5}}', /^Atomic\[0\]\.Add: /],
  ['two operations in one', '{"Atomic":{"Key":"c","Add":1,"Set":2}}', /^Atomic\[0\]: expected only one/],
  ['no operation', '{"Atomic":{"Key":"c"}}', /^Atomic\[0\]: expected one of/],
  ['IfEq without Set', '{"Atomic":{"Key":"c","Add":1,"IfEq":0}}', /^Atomic\[0\]\.IfEq: /],
  ['a value too deep', `{"KVSet":{"Key":"k","Value":${deep}}}`, /nested too deeply/],
  ['a value and Delete', '{"KVSet":{"Key":"k","Value":1,"Delete":true}}', /^KVSet\[0\]\.Value: /],
  ['neither value nor Delete', '{"KVSet":{"Key":"k"}}', /^KVSet\[0\]: /],
  ['a negative version', '{"Check":{"Key":"k","Version":-1}}', /^Check\[0\]\.Version: /],
  ['a TTL of 0', '{"KVSet":{"Key":"k","Value":1,"TTL":0}}', /^KVSet\[0\]\.TTL: /],
  ['no LockDur', '{"LockID":"x"}', /^LockDur: missing/],
  ['LockDur over a day', '{"LockID":"x","LockDur":86401}', /^LockDur: /],
  ['a negative LockDur', '{"LockID":"x","LockDur":-1}', /^LockDur: /],
  ['LockWait over 300 s', '{"LockID":"x","LockDur":1,"LockWait":301}', /^LockWait: /],
  ['LockWait as text', '{"LockID":"x","LockDur":1,"LockWait":"3"}', /^LockWait: /],
  ['LockWait without LockID', '{"LockWait":3,"KVGet":"k"}', /^LockWait: given without LockID/],
  ['a fence of words', '{"UnlockID":"l","Unlock":"mine"}', /^Unlock: /],
  ['a fence of 0', '{"UnlockID":"l","Unlock":0}', /^Unlock: /],
  ['a fence beyond 2^53−1', '{"UnlockID":"l","Unlock":"9999999999999999"}', /^Unlock: /],
  ['Unlock without UnlockID', '{"Unlock":5,"KVGet":"k"}', /^Unlock: given without UnlockID/],
  ['an extension without fence', '{"LockID":"l","UnlockID":"l","LockDur":5}', /^Unlock: missing/],
  ['a guard without fence', '{"Guard":{"LockID":"l"}}', /^Guard\[0\]\.Lock: missing/],
  ['an unknown mode', '{"IdempotencyIDs":"a","IdempotencyMode":"x","KVGet":"k"}', /^IdempotencyMode: /],
  ['no idempotency ids', '{"IdempotencyIDs":[],"KVGet":"k"}', /^IdempotencyIDs: /],
  ['a mode without ids', '{"IdempotencyMode":"replay","KVGet":"k"}', /^IdempotencyMode: /],
  [
    'a value over its limit',
    `{"KVSet":{"Key":"k","Value":"${'x'.repeat(65536)}"}}`,
    /^KVSet\[0\]\.Value: .*value_bytes_max/,
    'too_large',
  ],
  ['a body over its limit', `{"KVGet":["${'k'.repeat(300_000)}"]}`, /body_bytes_max/, 'too_large'],
  [
    '1001 operations',
    JSON.stringify({ KVGet: Array.from({ length: 1001 }, () => 'k') }),
    /batch_operations_max/,
    'too_large',
  ],
];

test('bad input: a batch that is wrong is refused with the field, and changes nothing', async (t) => {
  for (const [what, body, message, code = 'invalid'] of bodies) {
    await t.test(what, async () => {
      const refused = await server.fails(code, 'POST', '/db/acc', body);
      assert.match(refused.Message, message);
    });
  }
  assert.deepEqual(await state(), untouched);
});

type BadCall = readonly [method: Method, target: string, code: ErrorCode, message: RegExp, body?: string];

const calls: readonly BadCall[] = [
  ['GET', '/', 'not_found', /There is no \//],
  ['GET', '/db', 'not_found', /There is no/],
  ['GET', '/db/acc', 'method_not_allowed', /takes POST/],
  ['PUT', '/db/acc/kv/k', 'method_not_allowed', /takes GET, HEAD, POST, DELETE/, '1'],
  ['PATCH', '/db/acc/kv/k', 'method_not_allowed', /takes/, '1'],
  ['OPTIONS', '/db/acc/kv/k', 'method_not_allowed', /takes/],
  ['DELETE', '/db/acc/mlock/k', 'method_not_allowed', /takes POST/],
  ['GET', '/db/acc/kv/', 'invalid', /^id: /],
  ['GET', `/db/acc/kv/${long}`, 'invalid', /^id: .*512/],
  ['GET', '/db/acc/kv/a%00b', 'invalid', /NUL/],
  ['GET', '/db/acc/kv/%ff', 'invalid', /percent-encoded/],
  ['GET', '/db/acc/kv/%', 'invalid', /percent-encoded/],
  ['GET', '/db/acc/kv?limit=0', 'invalid', /^\?limit: /],
  ['GET', '/db/acc/kv?limit=1001', 'invalid', /^\?limit: /],
  ['GET', '/db/acc/kv?limit=1e2', 'invalid', /^\?limit: /],
  ['GET', '/db/acc/kv?prefx=a', 'invalid', /^\?prefx: .*did you mean prefix/],
  ['GET', '/db/acc/kv?prefix=a&prefix=b', 'invalid', /more than once/],
  ['GET', '/db/acc/kv?prefix=%zz', 'invalid', /^\?prefix: /],
  ['GET', '/db/not%20valid/kv', 'invalid', /^account: /],
  ['GET', `/db/${'a'.repeat(65)}/kv`, 'invalid', /^account: /],
  ['GET', `/db/${'a'.repeat(20_000)}/kv`, 'too_large', /head/],
  ['POST', '/db/acc/kv/k?ver=x', 'invalid', /^\?ver: /, '1'],
  ['POST', '/db/acc/kv/k?ttl=-1', 'invalid', /^\?ttl: /, '1'],
  ['POST', '/db/acc/kv/k', 'invalid', /empty/],
  ['POST', '/db/acc/kv/k', 'invalid', /2\^53/, '12345678901234567890'],
  ['POST', '/db/acc/counter/c?add=1.5', 'invalid', /^\?add: /],
  ['POST', '/db/acc/counter/c?add=9007199254740992', 'invalid', /^\?add: /],
  ['POST', '/db/acc/counter/c', 'invalid', /takes no body/, '{"add":5}'],
  ['POST', '/db/acc/sequence/s?n=0', 'invalid', /^\?n: /],
  ['POST', '/db/acc/lock/x?dur=0', 'invalid', /^\?dur: /],
  ['POST', '/db/acc/lock/x?wait=301', 'invalid', /^\?wait: /],
  ['POST', '/db/acc/lock/x?id=', 'invalid', /^\?id: /],
  ['DELETE', '/db/acc/lock/l?id=a&lock=5', 'invalid', /only one/],
  ['DELETE', '/db/acc/lock/l?lock=0', 'invalid', /^\?lock: /],
  ['GET', '/db/acc/lock/l?fence=x', 'invalid', /^\?fence: /],
  ['POST', '/watch/acc', 'invalid', /exactly one of ID, IDs, Prefix, LockID/, '{"ID":"a","Prefix":"b"}'],
  ['POST', '/watch/acc', 'invalid', /^Version: /, '{"ID":"a","Version":1.5}'],
  ['POST', '/watch/acc', 'invalid', /^Wait: /, '{"ID":"a","Wait":301}'],
  ['POST', '/watch/acc', 'invalid', /^Limit: /, '{"Prefix":"a","Limit":0}'],
];

test('bad input: a call that is wrong is refused with the parameter, and changes nothing', async (t) => {
  for (const [method, target, code, message, body] of calls) {
    await t.test(`${method} ${target.slice(0, 60)} ${body ?? ''}`, async () => {
      const refused = await server.fails(code, method, target, body);
      assert.match(refused.Message, message);
    });
  }
  assert.deepEqual(await state(), untouched);
});

test('bad input: bytes that are no UTF-8 are refused, not repaired', async () => {
  const bytes = Buffer.concat([
    Buffer.from('{"KVSet":{"Key":"k","Value":"'),
    Buffer.from([0xff, 0xfe]),
    Buffer.from('"}}'),
  ]);
  assert.match((await server.fails('invalid', 'POST', '/db/acc', bytes)).Message, /UTF-8/);
  assert.deepEqual(await state(), untouched);
});

function withHeaders(headers: Headers): CallOptions {
  return { headers };
}

test('bad input: headers that are wrong', async () => {
  await server.fails(
    'invalid',
    'POST',
    '/db/acc/counter/c',
    undefined,
    withHeaders({ 'idempotency-key': 'k'.repeat(513) }),
  );
  await server.fails('invalid', 'POST', '/db/acc/counter/c', undefined, withHeaders({ 'idempotency-key': 'ü' }));
  await server.fails('invalid', 'POST', '/db/acc', [{ KVGet: 'k' }], withHeaders({ 'idempotency-key': 'x' }));
  await server.fails(
    'unsupported_media_type',
    'POST',
    '/db/acc',
    '{"KVGet":"k"}',
    withHeaders({ 'content-type': 'text/plain' }),
  );
  await server.fails(
    'unsupported_media_type',
    'POST',
    '/db/acc/kv/k',
    '1',
    withHeaders({ 'content-type': 'application/xml' }),
  );
  await server.fails('forbidden', 'POST', '/db/acc', { KVGet: 'k' }, withHeaders({ origin: 'http://evil.example' }));
  assert.deepEqual(await state(), untouched);
});

const garbage: readonly (readonly [what: string, bytes: string | Buffer])[] = [
  ['random bytes', Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 7919) % 251))],
  ['a TLS hello', Buffer.from('160301020001000001fc0303', 'hex')],
  ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['a request line only', 'POST /db/acc\r\n\r\n'],
  ['two lengths', 'POST /db/acc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n{}  '],
  [
    'a length and chunks',
    'POST /db/acc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  ],
  ['a bad chunk', 'POST /db/acc HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'],
  ['a bare newline in a header', 'GET /livez HTTP/1.1\r\nHost: localhost\r\nX: a\nb\r\n\r\n'],
  ['a header of 100 KB', `GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ${'a'.repeat(100_000)}\r\n\r\n`],
];

test('bad input: bytes that are not HTTP get a 400 or a closed connection, and harm no other client', async (t) => {
  for (const [what, bytes] of garbage) {
    await t.test(what, async () => {
      const socket = server.connect();
      let received = '';
      socket
        .setEncoding('utf8')
        .on('data', (text: string) => (received += text))
        .on('error', () => {});
      await once(socket, 'connect');
      const closed = once(socket, 'close');
      socket.end(bytes);
      await closed;
      if (received === '') return;
      assert.match(received, /^HTTP\/1\.1 4\d\d /);
      const body = JSON.parse(received.slice(received.indexOf('\r\n\r\n') + 4)) as { Code: string; RequestID: string };
      assert(['invalid', 'too_large'].includes(body.Code) && body.RequestID.startsWith(server.boot), received);
    });
  }
  assert.deepEqual(await state(), untouched);
});

test('bad input: a client that disconnects in the middle of a body leaves no trace', async () => {
  for (let i = 0; i < 20; i += 1) {
    const socket = server.connect();
    await once(socket, 'connect');
    socket.write(
      'POST /db/acc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"KVSet":{"Key":"k","Value":2}}',
    );
    socket.destroy();
  }
  assert.deepEqual(await state(), untouched);
});

test('bad input: the server is as it was: live, ready, and still writing', async () => {
  assert.equal((await server.call('GET', '/readyz')).status, 200);
  const { Rev } = await server.ok('POST', '/db/acc/kv/k', '2');
  assert.equal(Rev, (untouched?.Rev ?? 0) + 1, 'the next revision: nothing was committed meanwhile');
});
