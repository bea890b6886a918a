import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { makeDoor } from './http-door-under-test.ts';

const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
const valued = (value: string): string => `{"KVSet":{"Key":"a","Value":${value}}}`;

const hostile: readonly (readonly [claim: string, body: string | Buffer, message: RegExp])[] = [
  ['an empty body', '', /^The body is empty; expected JSON$/],
  ['half of a JSON text', '{"KVSet":', /^The body is not JSON: /],
  ['a form', 'a=1&b=2', /^The body is not JSON: /],
  ['a byte order mark', '\ufeff{}', /^The body is not JSON: /],
  ['bytes that are not UTF-8', Buffer.from([0x22, 0xc3, 0x28, 0x22]), /^The body is not UTF-8$/],
  ['an overlong encoding', Buffer.from([0x22, 0xc0, 0x80, 0x22]), /^The body is not UTF-8$/],
  ['__proto__ at the top', '{"__proto__":{"KVSet":1},"KVGet":"a"}', /^__proto__: unknown field/],
  ['__proto__ in an item', '{"KVSet":{"Key":"a","Value":1,"__proto__":{}}}', /^KVSet\[0\]\.__proto__: unknown field/],
  [
    '__proto__ in a value',
    valued('{"a":[{"__proto__":1}]}'),
    /^KVSet\[0\]\.Value\.a\[0\]\.__proto__: this member name/,
  ],
  ['__proto__ in escapes', valued('{"\\u005f_proto__":1}'), /^KVSet\[0\]\.Value\.__proto__: /],
  ['__proto__ in LockMeta', '{"LockID":"a","LockDur":1,"LockMeta":{"__proto__":1}}', /^LockMeta\.__proto__: /],
  ['a lone surrogate in a key', '{"KVGet":"\\ud800"}', /^KVGet\[0\]: expected well-formed Unicode/],
  ['NUL in a key', '{"KVGet":"a\\u0000b"}', /^KVGet\[0\]: expected no NUL/],
  ['NUL in an idempotency id', '{"KVGet":"a","IdempotencyIDs":"\\u0000"}', /^IdempotencyIDs\[0\]: expected no NUL/],
  [
    'a key of 513 bytes',
    `{"KVGet":"${'a'.repeat(513)}"}`,
    /^KVGet\[0\]: expected a string of at most 512 bytes, got 513/,
  ],
  ['a key of 171 three-byte characters', `{"KVGet":"${'€'.repeat(171)}"}`, /^KVGet\[0\]: expected .* got 513 bytes/],
  ['2^53 in a value', valued('{"n":9007199254740992}'), /^KVSet\[0\]\.Value\.n: this number is kept exactly only/],
  ['2^53+1 in a value', valued('[9007199254740993]'), /^KVSet\[0\]\.Value\[0\]: this number/],
  ['−2^53 as a value', valued('-9007199254740992'), /^KVSet\[0\]\.Value: this number/],
  ['1e400 in a value', valued('1e400'), /^KVSet\[0\]\.Value: this number .* got Infinity/],
  ['129 levels', valued(deep(129)), /^KVSet\[0\]\.Value(\[0\])+: nested too deeply; expected at most 128 levels$/],
  ['100,000 levels', valued(deep(100_000)), /nested too deeply/],
  ['100,000 levels around a batch', deep(100_000), /expected a batch/],
  ['a field without a name', '{"":1,"KVGet":"a"}', /^"": unknown field/],
  ['a constructor', '{"constructor":1,"KVGet":"a"}', /^constructor: unknown field/],
];

for (const [claim, body, message] of hostile) {
  test(`hostile body: ${claim} is 400, and nothing is dispatched`, async (t) => {
    const door = makeDoor(t);
    const response = await door.send('POST', '/db/acc', body);
    const { Code, Message, RequestID }: { Code: string; Message: string; RequestID: string } = response.json();
    assert.match(Message, message);
    assert.deepEqual([response.statusCode, Code, RequestID], [400, 'invalid', 'boot7-0-1']);
    assert.deepEqual(door.dispatcher.asked, []);
    assert.deepEqual(door.logged, []);
  });
}

test('unusual values are kept: greatest integer, fractions, 128 levels, repeated members, lone surrogates', async (t) => {
  const door = makeDoor(t);
  const kept: readonly (readonly [string, string])[] = [
    ['9007199254740991', '9007199254740991'],
    ['1.5e-300', '1.5e-300'],
    [deep(128), deep(128)],
    ['{"a":1,"a":2}', '{"a":2}'],
    ['"\\ud800"', '"\\ud800"'],
    ['{"constructor":{"prototype":1}}', '{"constructor":{"prototype":1}}'],
  ];
  for (const [value, stored] of kept) {
    assert.equal((await door.send('POST', '/db/acc', valued(value))).statusCode, 200);
    const command = door.dispatcher.commands.at(-1);
    assert.equal(command?.kind === 'batch' && command.set?.[0]?.value, stored);
  }
});

test('other content types are 415 before the body is read', async (t) => {
  const door = makeDoor(t);
  for (const type of [
    'text/plain',
    'application/xml',
    'application/octet-stream',
    'multipart/form-data; boundary=x',
    'nonsense',
  ]) {
    const response = await door.send('POST', '/db/acc', '{"KVGet":"a"}', { 'content-type': type });
    const { Code }: { Code: string } = response.json();
    assert.deepEqual([response.statusCode, Code], [415, 'unsupported_media_type'], type);
  }
  assert.deepEqual(door.dispatcher.asked, []);
});

const fieldNames = [
  'LockID',
  'LockDur',
  'LockWait',
  'LockOwner',
  'LockMeta',
  'UnlockID',
  'Unlock',
  'Guard',
  'Check',
  'IdempotencyIDs',
  'IdempotencyTTL',
  'IdempotencyMode',
  'Atomic',
  'KVGet',
  'KVSet',
  'Key',
  'Value',
  'Version',
  'Delete',
  'TTL',
  'Add',
  'Set',
  'IfEq',
  'Floor',
  'Ceil',
  'Exists',
  'ID',
  'IDs',
  'Prefix',
  'After',
  'Wait',
  'Limit',
  '__proto__',
];

/** JSON texts that look like bodies: known names in wrong places, extreme numbers and strings. */
const { text: likelyText } = fc.letrec<{ text: string; object: string; list: string; leaf: string }>((tie) => ({
  leaf: fc.oneof(
    fc.constantFrom(
      'null',
      'true',
      '0',
      '-1',
      '1',
      '1e400',
      '9007199254740993',
      '"a"',
      '""',
      '"\\u0000"',
      '"\\ud800"',
      '"1"',
    ),
    fc.json(),
  ),
  object: fc
    .array(fc.tuple(fc.constantFrom(...fieldNames), tie('text')), { maxLength: 6 })
    .map((members) => `{${members.map(([name, value]) => `"${name}":${value}`).join(',')}}`),
  list: fc.array(tie('text'), { maxLength: 3 }).map((items) => `[${items.join(',')}]`),
  text: fc.oneof({ maxDepth: 4 }, tie('leaf'), tie('object'), tie('list')),
}));

test('no body gives a 5xx, and every refusal has a code and a message', async (t) => {
  const door = makeDoor(t);
  const body = fc.oneof(
    likelyText,
    fc.string(),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  );
  const url = fc.constantFrom('/db/acc', '/watch/acc', '/db/acc/kv/a');
  await fc.assert(
    fc.asyncProperty(url, body, async (path, payload) => {
      const before = door.dispatcher.asked.length;
      const response = await door.send('POST', path, payload);
      if (response.statusCode === 200) return assert.equal(door.dispatcher.asked.length > before, true);
      assert.equal(
        response.statusCode === 400 || response.statusCode === 413,
        true,
        `${response.statusCode} ${response.body}`,
      );
      const { Code, Message, RequestID }: Record<string, string> = response.json();
      assert.ok(Code && Message && RequestID, response.body);
      assert.equal(door.dispatcher.asked.length, before);
    }),
    { numRuns: 1500 },
  );
  assert.deepEqual(door.logged, []);
});

test('no path or query gives a 5xx', async (t) => {
  const door = makeDoor(t);
  const piece = fc.constantFrom(
    'db',
    'watch',
    'a',
    'kv',
    'lock',
    'counter',
    '',
    '../..',
    '%2F',
    '%00',
    '%ff',
    '%',
    '?',
    '&',
    'add=1',
    '=',
    'ver',
    ';',
    '+',
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('GET', 'POST', 'DELETE'),
      fc.oneof(
        fc.array(piece, { maxLength: 8 }).map((parts) => `/${parts.join('/')}`),
        fc.webPath().map((path) => `/${path}`),
      ),
      async (method, url) => {
        // An open stream has no end that an injected request could see. `/../../watch/db` opens one too.
        const { pathname } = new URL(`http://door${url}`);
        fc.pre(!(method === 'GET' && /^\/*watch\/+[^/?]+\/*$/.test(pathname)));
        const response = await door.app.inject({ method, url });
        assert.equal(response.statusCode < 500, true, `${method} ${url}: ${response.statusCode} ${response.body}`);
      },
    ),
    { numRuns: 500 },
  );
  assert.deepEqual(door.logged, []);
});
