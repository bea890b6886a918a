/** Pages of keys below a prefix: listed, read within a batch, deleted. */
import { Type } from 'typebox';
import { keyBytesMax, pageLimitDefault, pageLimitMax } from '../../shared/limits.ts';
import type { Page } from '../page-rows.ts';
import { refuseField } from '../refusal.ts';
import { integerParameter, keyParameter, prefixParameter, type GivenToCall } from './call.ts';
import type { CommandSpec, PageRequest } from './command.ts';
import { closed, keyField, readKey, readPrefix } from './fields.ts';
import { singleSection } from './section.ts';

export interface KvList extends PageRequest {
  readonly kind: 'kv.list';
  /** Present: keys that have it behind the prefix are one folder, `Folders`, up to the first of it. */
  readonly delimiter?: string;
  /** Rows have sizes instead of values. */
  readonly sizes?: true;
}

export const kvList = {
  scope: () => 'read',
  prefix: ({ prefix }) => prefix,
  list: 'KV',
} as const satisfies CommandSpec<KvList>;

export const pageParameters = {
  prefix: prefixParameter,
  after: keyParameter,
  limit: integerParameter(1, pageLimitMax),
} as const;

/** Returns the page that a list call asks for. */
export function pageOf({ account, query }: GivenToCall<typeof pageParameters>): PageRequest {
  const { prefix = '', after, limit = pageLimitDefault } = query;
  return { account, prefix, ...(after !== undefined && { after }), limit };
}

export const rangeItem = Type.Object(
  {
    Prefix: Type.String({ expected: `a string of at most ${keyBytesMax} bytes` }),
    After: Type.Optional(keyField),
    Limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: pageLimitMax, expected: `an integer from 1 to ${pageLimitMax}` }),
    ),
  },
  closed,
);
export type RangeItem = Type.Static<typeof rangeItem>;

function isRange(item: unknown): item is RangeItem {
  return typeof item === 'object' && item !== null && 'Prefix' in item;
}

/** A page of the keys below a prefix, among the keys that a batch reads. */
export interface RangeOperation extends Omit<PageRequest, 'account'> {
  /** Its index in `KVGet`. */
  readonly place: number;
}

/** A batch has at most one, so that it looks at no more entries than a list does. */
export const rangeSection = singleSection<RangeOperation, Page>({
  body: 'KVGet',
  schema: {},
  key: ({ prefix }) => prefix,
  prefix: ({ prefix }) => prefix,
  effect: () => 'read',
  scope: () => 'read',
  read: ({ KVGet }: { KVGet?: readonly unknown[] }, { root }) => {
    const [range, second] = (KVGet ?? []).flatMap((item, place) =>
      isRange(item) ? [{ item, place, path: `${root}KVGet[${place}]` }] : [],
    );
    if (range === undefined) return undefined;
    if (second !== undefined) return refuseField(second.path, 'expected at most one {"Prefix"} in a batch');
    const { item, place, path } = range;
    const after = item.After === undefined ? {} : { after: readKey(item.After, `${path}.After`) };
    return {
      prefix: readPrefix(item.Prefix, `${path}.Prefix`),
      ...after,
      limit: item.Limit ?? pageLimitDefault,
      place,
    };
  },
});

/** Deletes a page of the keys below a prefix, in one commit. */
export type ClearOperation = Omit<PageRequest, 'account'>;

export interface ClearResult {
  readonly deleted: number;
  /** Present: there may be more after this key. */
  readonly after?: string;
}

/** It has a REST call and no member in the body of `POST /db/:acc`. */
export const clearSection = singleSection<ClearOperation, ClearResult>({
  body: 'prefix',
  schema: {},
  key: ({ prefix }) => prefix,
  prefix: ({ prefix }) => prefix,
  effect: () => 'free',
  scope: () => 'write',
  read: () => undefined,
});
