/**
 * The shape of every request body, once. The types of the edge are derived from these schemas, and so can the API
 * documentation be. `expected` says in words what a field takes; it is the second half of every message about that field.
 *
 * A schema says what JSON can say. Whatever counts bytes, or spans several fields, is checked in `src/front-end/http/parse/`.
 */
import { Type } from 'typebox';
import { integerMax, keyBytesMax, lockDurMsMax, pageLimitMax, ttlMsMax, waitMsMax } from '../shared/limits.ts';

const aKey = `a string of 1 to ${keyBytesMax} bytes`;
const key = Type.String({ minLength: 1, expected: aKey });
const anyJson = Type.Unknown({ expected: 'any JSON' });
const integer = Type.Integer({ minimum: -integerMax, maximum: integerMax, expected: 'an integer within ±(2^53−1)' });
const version = Type.Integer({ minimum: 0, maximum: integerMax, expected: 'a version: an integer from 0 to 2^53−1' });
const handle = Type.Union(
  [Type.Integer({ minimum: 1, maximum: integerMax }), Type.String({ pattern: '^[1-9][0-9]{0,15}$' })],
  { expected: 'the handle of a lock: a positive integer, or the same as a string of digits' },
);

function seconds(above: 'zero' | 'or zero', maxMs: number) {
  const bound = above === 'zero' ? { exclusiveMinimum: 0 } : { minimum: 0 };
  const range = above === 'zero' ? `more than 0, at most ${maxMs / 1000}` : `0 to ${maxMs / 1000}`;
  return Type.Number({ ...bound, maximum: maxMs / 1000, expected: `a number of seconds, ${range}` });
}

const closed = { additionalProperties: false };

function list<Item extends Type.TSchema>(item: Item, expected: string, minItems = 0) {
  return Type.Array(item, { minItems, expected });
}

/** The body of `POST /db/:acc`, and each item of an array body, after "a list of one" was written out as a list. */
export const batchBody = Type.Object(
  {
    LockID: Type.Optional(key),
    LockDur: Type.Optional(seconds('zero', lockDurMsMax)),
    LockWait: Type.Optional(seconds('or zero', waitMsMax)),
    LockOwner: Type.Optional(key),
    LockMeta: Type.Optional(anyJson),
    UnlockID: Type.Optional(key),
    Unlock: Type.Optional(handle),
    Guard: Type.Optional(
      list(
        Type.Object({ LockID: key, Lock: handle }, { ...closed, expected: '{"LockID","Lock"}' }),
        'a list of {"LockID","Lock"}',
      ),
    ),
    Check: Type.Optional(
      list(
        Type.Object({ Key: key, Version: version }, { ...closed, expected: '{"Key","Version"}' }),
        'a list of {"Key","Version"}',
      ),
    ),
    IdempotencyIDs: Type.Optional(list(key, 'a list of at least one string', 1)),
    IdempotencyTTL: Type.Optional(seconds('zero', ttlMsMax)),
    IdempotencyMode: Type.Optional(
      Type.Literal('replay', { expected: '"replay" (leave it out to have a duplicate refused)' }),
    ),
    Atomic: Type.Optional(
      list(
        Type.Object(
          {
            Key: key,
            Add: Type.Optional(integer),
            Set: Type.Optional(integer),
            IfEq: Type.Optional(integer),
            Max: Type.Optional(integer),
            Min: Type.Optional(integer),
          },
          { ...closed, expected: '{"Key"} with one of Add, Set, Max, Min' },
        ),
        'a list of {"Key"} with one of Add, Set, Max, Min',
      ),
    ),
    KVGet: Type.Optional(
      list(
        Type.Union([key, Type.Object({ Key: key }, closed)], { expected: `a key (${aKey}) or {"Key"}` }),
        'a list of keys',
      ),
    ),
    KVSet: Type.Optional(
      list(
        Type.Object(
          {
            Key: key,
            Value: Type.Optional(anyJson),
            Version: Type.Optional(version),
            Delete: Type.Optional(Type.Boolean({ expected: 'true or false' })),
            TTL: Type.Optional(seconds('zero', ttlMsMax)),
          },
          { ...closed, expected: '{"Key","Value"} or {"Key","Delete":true}' },
        ),
        'a list of {"Key","Value"} or {"Key","Delete":true}',
      ),
    ),
  },
  { ...closed, expected: 'a batch: an object such as {"KVSet":{"Key":"a","Value":1}}' },
);

const wait = seconds('or zero', waitMsMax);

/** `POST /watch/:acc`, one key. */
export const watchKeyBody = Type.Object(
  { ID: key, Version: Type.Optional(version), Wait: Type.Optional(wait) },
  { ...closed, expected: '{"ID","Version","Wait"}' },
);

/** `POST /watch/:acc`, several keys. */
export const watchKeysBody = Type.Object(
  {
    IDs: list(
      Type.Object({ ID: key, Version: Type.Optional(version) }, { ...closed, expected: '{"ID","Version"}' }),
      'a list of at least one {"ID","Version"}',
      1,
    ),
    Wait: Type.Optional(wait),
  },
  { ...closed, expected: '{"IDs":[{"ID","Version"}],"Wait"}' },
);

/** `POST /watch/:acc`, everything below a prefix. */
export const watchPrefixBody = Type.Object(
  {
    Prefix: Type.String({ expected: `a string of at most ${keyBytesMax} bytes` }),
    After: Type.Optional(version),
    Wait: Type.Optional(wait),
    Limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: pageLimitMax, expected: `an integer from 1 to ${pageLimitMax}` }),
    ),
  },
  { ...closed, expected: '{"Prefix","After","Wait","Limit"}' },
);

export type BatchBody = Type.Static<typeof batchBody>;
export type WatchKeyBody = Type.Static<typeof watchKeyBody>;
export type WatchKeysBody = Type.Static<typeof watchKeysBody>;
export type WatchPrefixBody = Type.Static<typeof watchPrefixBody>;
