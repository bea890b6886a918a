import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeDoor } from './http-door-under-test.ts';

const batch = { kind: 'batch', account: 'my_env', format: 'batch' };

const accepted: readonly (readonly [claim: string, body: unknown, command: object])[] = [
  [
    'a lock with its wait',
    { LockID: 'ABC', LockDur: 30, LockWait: 30 },
    { ...batch, lock: { id: 'ABC', durMs: 30_000, waitMs: 30_000 } },
  ],
  [
    'lists of one given as the object itself',
    { KVSet: { Key: 'ABC', Value: '123' }, KVGet: { Key: 'CDE' }, Atomic: { Key: 'Total_Count', Add: 1 } },
    {
      ...batch,
      counter: [{ key: 'Total_Count', op: 'add', n: 1 }],
      get: ['CDE'],
      set: [{ key: 'ABC', value: '"123"' }],
    },
  ],
  [
    'a fence as a string',
    { UnlockID: 'ABC', Unlock: '1235553' },
    { ...batch, unlock: { id: 'ABC', fence: 1_235_553 } },
  ],
  [
    'a fence as a number',
    { UnlockID: 'ABC', Unlock: 1_235_553 },
    { ...batch, unlock: { id: 'ABC', fence: 1_235_553 } },
  ],
  [
    'a forced unlock',
    { UnlockID: 'ABC', UnlockReason: 'stuck' },
    {
      ...batch,
      unlock: { id: 'ABC', reason: 'stuck' },
      audit: { action: 'lock.force', subject: 'ABC', who: '', from: '127.0.0.1', reason: 'stuck' },
    },
  ],
  [
    'LockID = UnlockID as an extension',
    { LockID: 'A', LockDur: 5, UnlockID: 'A', Unlock: 9 },
    { ...batch, lock: { id: 'A', durMs: 5000, waitMs: 0, extend: 9 } },
  ],
  [
    'LockID ≠ UnlockID as lock and unlock',
    { LockID: 'A', LockDur: 0.0001, UnlockID: 'B', Unlock: 9, LockOwner: 'me', LockMeta: { host: 'h1' } },
    {
      ...batch,
      lock: { id: 'A', durMs: 1, waitMs: 0, owner: 'me', meta: '{"host":"h1"}' },
      unlock: { id: 'B', fence: 9 },
    },
  ],
  [
    'all conditions and operators',
    {
      Guard: [{ LockID: 'g', Lock: '3' }],
      Check: [
        { Key: 'c', Version: 0 },
        { Key: 'd', Exists: false },
      ],
      Atomic: [
        { Key: 'a', Set: 0, IfEq: -5 },
        { Key: 'b', Max: 2 },
        { Key: 'd', Min: -2 },
        { Key: 'e', Add: -0 },
        { Key: 'f', Add: -2, Floor: 0 },
        { Key: 'g', Add: 2, Floor: -0, Ceil: -0 },
      ],
      KVGet: ['x', { Key: 'y' }],
      KVSet: [
        { Key: 'k', Value: null, Version: 0, TTL: 1.5 },
        { Key: 'l', Delete: true, Version: 3 },
        { Key: 'm', Value: false, Delete: false },
      ],
    },
    {
      ...batch,
      guard: [{ id: 'g', fence: 3 }],
      check: [
        { key: 'c', version: 0 },
        { key: 'd', exists: false },
      ],
      counter: [
        { key: 'a', op: 'set', n: 0, ifEq: -5 },
        { key: 'b', op: 'max', n: 2 },
        { key: 'd', op: 'min', n: -2 },
        { key: 'e', op: 'add', n: 0 },
        { key: 'f', op: 'add', n: -2, floor: 0 },
        { key: 'g', op: 'add', n: 2, floor: 0, ceil: 0 },
      ],
      get: ['x', 'y'],
      set: [
        { key: 'k', value: 'null', version: 0, ttlMs: 1500 },
        { key: 'l', version: 3 },
        { key: 'm', value: 'false' },
      ],
    },
  ],
  ['a single key to read', { KVGet: 'x' }, { ...batch, get: ['x'] }],
  [
    'keys below a prefix beside a key',
    { KVGet: ['x', { Prefix: 'a/', Limit: 2 }] },
    { ...batch, get: ['x'], range: { prefix: 'a/', limit: 2, place: 1 } },
  ],
  ['empty lists as absent', { KVSet: [], Atomic: [], KVGet: ['x'] }, { ...batch, get: ['x'] }],
];

for (const [claim, body, command] of accepted) {
  test(`batch: ${claim} is understood`, async (t) => {
    const door = makeDoor(t);
    const response = await door.send('POST', '/db/my_env', body);
    assert.equal(response.statusCode, 200, response.body);
    assert.deepEqual(JSON.parse(JSON.stringify(door.dispatcher.commands)), [command]);
  });
}

const set = { KVSet: { Key: 'a', Value: 1 } };

const refused: readonly (readonly [body: unknown, message: string | RegExp])[] = [
  [
    {},
    'batch: nothing to do; expected at least one of Guard, UnlockID, UnlockIDs, LockID, LockIDs, Check, Ack, Nack, Extend, Limit, Atomic, KVGet, KVSet, Dequeue, Enqueue, TaskCancel, Tasks',
  ],
  [{ KVSet: [], KVGet: [] }, /^batch: nothing to do/],
  [{ IdempotencyIDs: ['x'] }, /^batch: nothing to do/],
  [{ LockIdd: 'a' }, 'LockIdd: unknown field; did you mean LockID?'],
  [{ ...set, Frobnicate: 1 }, /^Frobnicate: unknown field; known are Guard, /],
  [
    {
      KVSet: [
        { Key: 'a', Value: 1 },
        { Key: 7, Value: 1 },
      ],
    },
    'KVSet[1].Key: expected a string of 1 to 512 bytes, got 7',
  ],
  [{ KVSet: { Key: '', Value: 1 } }, 'KVSet[0].Key: expected a string of 1 to 512 bytes, got ""'],
  [{ KVSet: { Value: 1 } }, 'KVSet[0].Key: missing; expected a string of 1 to 512 bytes'],
  [{ KVSet: { Key: 'a', Valeu: 1 } }, 'KVSet[0].Valeu: unknown field; did you mean Value?'],
  [{ KVSet: null }, 'KVSet: expected a list of {"Key"} with Value or Merge, or {"Key","Delete":true}, got null'],
  [{ KVSet: 'a' }, /^KVSet\[0\]: expected \{"Key"\} with Value or Merge/],
  [{ KVSet: { Key: 'a' } }, 'KVSet[0]: expected Value or Merge, or Delete: true'],
  [{ KVSet: { Key: 'a', Delete: false } }, 'KVSet[0]: expected Value or Merge, or Delete: true'],
  [
    { KVSet: { Key: 'a', Delete: true, Value: 1 } },
    'KVSet[0].Value: given together with Delete; expected one of the two',
  ],
  [{ KVSet: { Key: 'a', Delete: true, TTL: 1 } }, 'KVSet[0].TTL: given together with Delete'],
  [{ KVSet: { Key: 'a', Delete: 1 } }, 'KVSet[0].Delete: expected true or false, got 1'],
  [{ KVSet: { Key: 'a', Value: 1, TTL: 0 } }, /^KVSet\[0\]\.TTL: expected a number of seconds, more than 0/],
  [{ KVSet: { Key: 'a', Value: 1, Version: -1 } }, /^KVSet\[0\]\.Version: expected a version/],
  [{ KVSet: { Key: 'a', Value: 1, Version: 1.5 } }, /^KVSet\[0\]\.Version: expected a version/],
  [
    { KVSet: { Key: 'a', Value: 1, Version: '1' } },
    'KVSet[0].Version: expected a version: an integer from 0 to 2^53−1, got "1"',
  ],
  [
    { KVGet: [1] },
    'KVGet[0]: expected a key (a string of 1 to 512 bytes), or {"Key"}, or {"Prefix"} with After and Limit, got 1',
  ],
  [{ KVGet: [{ Key: 'a', Version: 1 }] }, /^KVGet\[0\]: expected a key/],
  [{ Atomic: { Key: 'a' } }, 'Atomic[0]: expected one of Add, Set, Max, Min, got none'],
  [{ Atomic: { Key: 'a', Add: 1, Max: 2 } }, 'Atomic[0]: expected only one of Add, Set, Max, Min, got Add and Max'],
  [{ Atomic: { Key: 'a', Add: 1, IfEq: 2 } }, 'Atomic[0].IfEq: goes with Set only, not with Add'],
  [{ Atomic: { Key: 'a', Set: 1, Floor: 0 } }, 'Atomic[0].Floor: goes with Add only, not with Set'],
  [{ Atomic: { Key: 'a', Max: 1, Ceil: 0 } }, 'Atomic[0].Ceil: goes with Add only, not with Max'],
  [{ Atomic: { Key: 'a', Add: 1, Floor: 5, Ceil: 4 } }, 'Atomic[0].Floor: expected at most the upper bound, 4, got 5'],
  [{ Atomic: { Key: 'a', Add: 1, Floor: 0.5 } }, 'Atomic[0].Floor: expected an integer within ±(2^53−1), got 0.5'],
  [{ Atomic: { Key: 'a', Add: 1, Ceil: '9' } }, /^Atomic\[0\]\.Ceil: expected an integer/],
  ['{"Atomic":{"Key":"a","Add":1,"Ceil":9007199254740992}}', /^Atomic\[0\]\.Ceil: expected an integer/],
  [{ Atomic: { Key: 'a', Floor: 2 } }, 'Atomic[0]: expected one of Add, Set, Max, Min, got none'],
  [{ Atomic: { Key: 'a', IfEq: 2 } }, 'Atomic[0]: expected one of Add, Set, Max, Min, got none'],
  [{ Atomic: { Key: 'a', Add: 1.5 } }, 'Atomic[0].Add: expected an integer within ±(2^53−1), got 1.5'],
  [{ Atomic: { Key: 'a', Add: '1' } }, /^Atomic\[0\]\.Add: /],
  ['{"Atomic":{"Key":"a","Add":9007199254740993}}', /^Atomic\[0\]\.Add: /],
  [{ LockID: 'a' }, 'LockDur: missing; expected the seconds to hold the lock for'],
  [{ ...set, LockDur: 1 }, 'LockDur: given without LockID'],
  [{ ...set, LockWait: 1 }, 'LockWait: given without LockID'],
  [{ ...set, LockOwner: 'x' }, 'LockOwner: given without LockID'],
  [{ ...set, LockMeta: 'x' }, 'LockMeta: given without LockID'],
  [{ LockID: 'a', LockDur: 0 }, 'LockDur: expected a number of seconds, more than 0, at most 86400, got 0'],
  [{ LockID: 'a', LockDur: 86_401 }, /^LockDur: /],
  [{ LockID: 'a', LockDur: '30' }, /^LockDur: .* got "30"$/],
  [{ LockID: 'a', LockDur: 1, LockWait: 301 }, 'LockWait: expected a number of seconds, 0 to 300, got 301'],
  [{ LockID: 'a', LockDur: 1, LockWait: -1 }, /^LockWait: /],
  [{ ...set, Unlock: 1 }, 'Unlock: given without UnlockID'],
  [{ UnlockID: 'a', Unlock: 0 }, /^Unlock: expected the fencing token of a lock/],
  [{ UnlockID: 'a', Unlock: '9999999999999999' }, /^Unlock: expected a fencing token within 2\^53−1/],
  [{ UnlockID: 'a', Unlock: '1x' }, /^Unlock: expected the fencing token of a lock/],
  [{ LockID: 'a', LockDur: 1, UnlockID: 'a' }, 'Unlock: missing; expected the fencing token of the lock to extend'],
  [{ LockID: 'a', LockDur: 1, LockWait: 1, UnlockID: 'a', Unlock: 1 }, /^LockWait: extending a lock/],
  [{ Guard: { LockID: 'a' } }, /^Guard\[0\]\.Lock: missing; expected the fencing token/],
  [{ Check: { Key: 'a' } }, 'Check[0].Version: missing; expected a version, or Exists, or Equals'],
  [
    {
      Check: [
        { Key: 'a', Exists: true },
        { Key: 'a', Version: 0, Exists: false },
      ],
    },
    'Check[1].Exists: given together with Version; expected one of the two',
  ],
  [{ Check: { Key: 'a', Exists: 1 } }, 'Check[0].Exists: expected true or false, got 1'],
  [{ Check: 'a' }, 'Check[0]: expected {"Key"} with Version, Exists or Equals, or {"Counter","Equals"}, got "a"'],
  [{ ...set, IdempotencyTTL: 5 }, 'IdempotencyTTL: given without IdempotencyIDs'],
  [{ ...set, IdempotencyMode: 'replay' }, 'IdempotencyMode: given without IdempotencyIDs'],
  [{ ...set, IdempotencyIDs: ['x'], IdempotencyMode: 'maybe' }, /^IdempotencyMode: expected "replay"/],
  [{ ...set, IdempotencyIDs: [] }, 'IdempotencyIDs: expected a list of at least one string, got an empty list'],
  [{ ...set, IdempotencyIDs: [''] }, /^IdempotencyIDs\[0\]: expected a string of 1 to 512 bytes/],
  [5, /^body: expected a batch/],
  ['null', /^body: expected a batch/],
  ['[]', 'body: expected at least one batch, got an empty list'],
  [[set, { LockIdd: 1 }], '[1].LockIdd: unknown field; did you mean LockID?'],
  [[set, 5], /^\[1\]: expected a batch/],
  [
    [set, set, set, { LockID: 'a', LockDur: 1, LockWait: 5 }],
    '[3].LockWait: not within an array of batches; expected 0 or absent',
  ],
];

for (const [body, message] of refused) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  test(`batch ${text} is refused with 400 and the field`, async (t) => {
    const door = makeDoor(t);
    const response = await door.send('POST', '/db/my_env', text);
    const { Code, Message }: { Code: string; Message: string } = response.json();
    if (typeof message === 'string') assert.equal(Message, message);
    else assert.match(Message, message);
    assert.equal(response.statusCode, 400);
    assert.equal(Code, 'invalid');
    assert.deepEqual(door.dispatcher.commands, []);
  });
}

test('batch: ids in the body refuse a duplicate, or replay on demand, for as long as asked', async (t) => {
  const door = makeDoor(t);
  await door.send('POST', '/db/a', { ...set, IdempotencyIDs: 'x' });
  await door.send('POST', '/db/a', {
    ...set,
    IdempotencyIDs: ['x', 'y', 'x'],
    IdempotencyTTL: 1.5,
    IdempotencyMode: 'replay',
  });
  await door.send('POST', '/db/a', { ...set, IdempotencyTTL: 60 }, { 'idempotency-key': 'z' });
  const asks = door.dispatcher.commands.map((command) => (command.kind === 'batch' ? command.idempotency : undefined));
  const fingerprint = asks[0]?.fingerprint;
  assert.deepEqual(asks, [
    { ids: ['x'], ttlMs: 86_400_000, mode: 'refuse', fingerprint },
    { ids: ['x', 'y'], ttlMs: 1500, mode: 'replay', fingerprint },
    { ids: ['z'], ttlMs: 60_000, mode: 'replay', fingerprint },
  ]);
});

test('batch: ids in both header and body are refused, and the header with an array', async (t) => {
  const door = makeDoor(t);
  const header = { 'idempotency-key': 'z' };
  assert.equal((await door.send('POST', '/db/a', { ...set, IdempotencyIDs: 'x' }, header)).statusCode, 400);
  assert.match((await door.send('POST', '/db/a', [set], header)).body, /Idempotency-Key: not for an array/);
  assert.deepEqual(door.dispatcher.commands, []);
});

test('array: every batch is a request, dispatched in one turn, answered in order with its status', async (t) => {
  const door = makeDoor(t);
  door.dispatcher.reply = (command) =>
    command?.kind === 'batch' && command.get?.[0] === 'b'
      ? { outcome: 'not_locked', body: '{"Code":"not_locked","Message":"busy"}' }
      : { body: command?.kind === 'batch' && command.get?.[0] === 'c' ? '{}' : '{"Rev":3}' };
  const response = await door.send('POST', '/db/acc', [{ KVGet: 'a' }, { KVGet: 'b' }, { KVGet: 'c' }]);
  assert.equal(response.statusCode, 200);
  assert.deepEqual(response.json(), [
    { Status: 200, Rev: 3 },
    { Status: 409, Code: 'not_locked', Message: 'busy', RequestID: 'boot7-0-1' },
    { Status: 200 },
  ]);
  assert.deepEqual(
    door.dispatcher.commands.map((command) => command.kind === 'batch' && command.get),
    [['a'], ['b'], ['c']],
  );
});

test('batch: over its limits is 413, and nothing is dispatched', async (t) => {
  const door = makeDoor(t, 'limits: {batch_operations_max: 3, value_bytes_max: 20, body_bytes_max: 2000}');
  const tooLarge: readonly (readonly [unknown, RegExp])[] = [
    [
      {
        KVGet: ['a', 'b'],
        KVSet: [
          { Key: 'a', Value: 1 },
          { Key: 'b', Value: 1 },
        ],
      },
      /4 operations; expected at most 3/,
    ],
    [[set, set, set, set], /4 batches; expected at most 3/],
    [{ KVSet: { Key: 'a', Value: 'é'.repeat(10) } }, /^KVSet\[0\]\.Value: 22 bytes of JSON; expected at most 20/],
    [{ LockID: 'a', LockDur: 1, LockMeta: 'x'.repeat(1023) }, /^LockMeta: 1025 bytes of JSON; expected at most 1024/],
    [{ KVSet: { Key: 'a', Value: 'x'.repeat(2000) } }, /body is too large; expected at most 2000 bytes/],
  ];
  for (const [body, message] of tooLarge) {
    const response = await door.send('POST', '/db/acc', body);
    const { Code, Message }: { Code: string; Message: string } = response.json();
    assert.match(Message, message);
    assert.deepEqual([response.statusCode, Code], [413, 'too_large']);
  }
  assert.deepEqual(door.dispatcher.commands, []);
  assert.equal((await door.send('POST', '/db/acc', { KVSet: { Key: 'a', Value: 'é'.repeat(9) } })).statusCode, 200);
  assert.equal(
    (await door.send('POST', '/db/acc', { LockID: 'a', LockDur: 1, LockMeta: 'x'.repeat(1022) })).statusCode,
    200,
  );
});
