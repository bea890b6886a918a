/** Watches of one key, of several keys, or of everything below a prefix. */
import { Type } from 'typebox';
import { keyBytesMax, pageLimitMax, waitMsMax } from '../../shared/limits.ts';
import type { AccountId } from '../ids.ts';
import type { CommandSpec } from './command.ts';
import { closed, keyField, listField, secondsField, versionField } from './fields.ts';

export interface WatchedKey {
  readonly key: string;
  readonly version: number;
  /** `key` is the id of a lock. */
  readonly lock?: true;
}

/** As `WatchKey`, of a lock: see `watch-lock.ts` of the core for its version. */
export interface WatchLock {
  readonly kind: 'watch.lock';
  readonly account: AccountId;
  readonly id: string;
  readonly version: number;
}

export const watchLockCommand = {
  scope: () => 'read',
  keys: ({ id }) => [id],
} as const satisfies CommandSpec<WatchLock>;

/**
 * Answers at once with the first key whose version differs; otherwise the outcome is `registered`, and an event follows
 * each key's next change.
 */
export interface WatchKey extends WatchedKey {
  readonly kind: 'watch.key';
  readonly account: AccountId;
  /** Further keys of the same watch, on the same shard. */
  readonly also?: readonly WatchedKey[];
}

export const watchKeyCommand = {
  scope: () => 'read',
  keys: ({ key, also = [] }) => [key, ...also.map((one) => one.key)],
} as const satisfies CommandSpec<WatchKey>;

const wait = secondsField('or zero', waitMsMax);

/** `POST /watch/:acc`, one key. */
export const watchKeyBody = Type.Object(
  { ID: keyField, Version: Type.Optional(versionField), Wait: Type.Optional(wait) },
  { ...closed, expected: '{"ID","Version","Wait"}' },
);

/** `POST /watch/:acc`, several keys. */
export const watchKeysBody = Type.Object(
  {
    IDs: listField(
      Type.Object({ ID: keyField, Version: Type.Optional(versionField) }, { ...closed, expected: '{"ID","Version"}' }),
      'a list of at least one {"ID","Version"}',
      1,
    ),
    Wait: Type.Optional(wait),
  },
  { ...closed, expected: '{"IDs":[{"ID","Version"}],"Wait"}' },
);

/** `POST /watch/:acc`, one lock. */
export const watchLockBody = Type.Object(
  { LockID: keyField, Version: Type.Optional(versionField), Wait: Type.Optional(wait) },
  { ...closed, expected: '{"LockID","Version","Wait"}' },
);

/** `POST /watch/:acc`, everything below a prefix. */
export const watchPrefixBody = Type.Object(
  {
    Prefix: Type.String({ expected: `a string of at most ${keyBytesMax} bytes` }),
    After: Type.Optional(versionField),
    Wait: Type.Optional(wait),
    Limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: pageLimitMax, expected: `an integer from 1 to ${pageLimitMax}` }),
    ),
  },
  { ...closed, expected: '{"Prefix","After","Wait","Limit"}' },
);

export type WatchKeyBody = Type.Static<typeof watchKeyBody>;
export type WatchKeysBody = Type.Static<typeof watchKeysBody>;
export type WatchPrefixBody = Type.Static<typeof watchPrefixBody>;
