/**
 * The shape of every request body, once. The types of the edge are derived from these schemas, and so can the API
 * documentation be. `wanted` says in words what a field takes; it is the second half of every message about that field.
 *
 * A schema says what JSON can say. Whatever counts bytes, or spans several fields, is checked in `src/front-end/http/parse/`.
 */
import { Type } from 'typebox';
import { integerMax, keyBytesMax, lockDurMsMax, pageLimitMax, ttlMsMax, waitMsMax } from '../shared/limits.ts';

const aKey = `a string of 1 to ${keyBytesMax} bytes`;
const key = Type.String({ minLength: 1, wanted: aKey });
const anyJson = Type.Unknown({ wanted: 'any JSON' });
const integer = Type.Integer({ minimum: -integerMax, maximum: integerMax, wanted: 'an integer within ±(2^53−1)' });
const version = Type.Integer({ minimum: 0, maximum: integerMax, wanted: 'a version: an integer from 0 to 2^53−1' });
const handle = Type.Union(
  [Type.Integer({ minimum: 1, maximum: integerMax }), Type.String({ pattern: '^[1-9][0-9]{0,15}$' })],
  { wanted: 'the handle of a lock: a positive integer, or the same as a string of digits' },
);

function seconds(above: 'zero' | 'or zero', maxMs: number) {
  const bound = above === 'zero' ? { exclusiveMinimum: 0 } : { minimum: 0 };
  const range = above === 'zero' ? `more than 0, at most ${maxMs / 1000}` : `0 to ${maxMs / 1000}`;
  return Type.Number({ ...bound, maximum: maxMs / 1000, wanted: `a number of seconds, ${range}` });
}

const closed = { additionalProperties: false };

function list<Item extends Type.TSchema>(item: Item, wanted: string, minItems = 0) {
  return Type.Array(item, { minItems, wanted });
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
        Type.Object({ LockID: key, Lock: handle }, { ...closed, wanted: '{"LockID","Lock"}' }),
        'a list of {"LockID","Lock"}',
      ),
    ),
    Check: Type.Optional(
      list(
        Type.Object({ Key: key, Version: version }, { ...closed, wanted: '{"Key","Version"}' }),
        'a list of {"Key","Version"}',
      ),
    ),
    IdempotencyIDs: Type.Optional(list(key, 'a list of at least one string', 1)),
    IdempotencyTTL: Type.Optional(seconds('zero', ttlMsMax)),
    IdempotencyMode: Type.Optional(
      Type.Literal('replay', { wanted: '"replay" (leave it out to have a duplicate refused)' }),
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
          { ...closed, wanted: '{"Key"} with one of Add, Set, Max, Min' },
        ),
        'a list of {"Key"} with one of Add, Set, Max, Min',
      ),
    ),
    KVGet: Type.Optional(
      list(
        Type.Union([key, Type.Object({ Key: key }, closed)], { wanted: `a key (${aKey}) or {"Key"}` }),
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
            Delete: Type.Optional(Type.Boolean({ wanted: 'true or false' })),
            TTL: Type.Optional(seconds('zero', ttlMsMax)),
          },
          { ...closed, wanted: '{"Key","Value"} or {"Key","Delete":true}' },
        ),
        'a list of {"Key","Value"} or {"Key","Delete":true}',
      ),
    ),
  },
  { ...closed, wanted: 'a batch: an object such as {"KVSet":{"Key":"a","Value":1}}' },
);

const wait = seconds('or zero', waitMsMax);

/** `POST /watch/:acc`, one key. */
export const watchKeyBody = Type.Object(
  { ID: key, Version: Type.Optional(version), Wait: Type.Optional(wait) },
  { ...closed, wanted: '{"ID","Version","Wait"}' },
);

/** `POST /watch/:acc`, several keys. */
export const watchKeysBody = Type.Object(
  {
    IDs: list(
      Type.Object({ ID: key, Version: Type.Optional(version) }, { ...closed, wanted: '{"ID","Version"}' }),
      'a list of at least one {"ID","Version"}',
      1,
    ),
    Wait: Type.Optional(wait),
  },
  { ...closed, wanted: '{"IDs":[{"ID","Version"}],"Wait"}' },
);

/** `POST /watch/:acc`, everything below a prefix. */
export const watchPrefixBody = Type.Object(
  {
    Prefix: Type.String({ wanted: `a string of at most ${keyBytesMax} bytes` }),
    After: Type.Optional(version),
    Wait: Type.Optional(wait),
    Limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: pageLimitMax, wanted: `an integer from 1 to ${pageLimitMax}` }),
    ),
  },
  { ...closed, wanted: '{"Prefix","After","Wait","Limit"}' },
);

export type BatchBody = Type.Static<typeof batchBody>;
export type WatchKeyBody = Type.Static<typeof watchKeyBody>;
export type WatchKeysBody = Type.Static<typeof watchKeysBody>;
export type WatchPrefixBody = Type.Static<typeof watchPrefixBody>;
