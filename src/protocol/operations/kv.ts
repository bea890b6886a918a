/** Keys with values and versions: `KVSet`, `KVGet`, `Check`. */
import { Type } from 'typebox';
import { pageLimitMax, ttlMsMax } from '../../shared/limits.ts';
import { shown } from '../../shared/text.ts';
import type { AccountId } from '../ids.ts';
import { refuseField } from '../refusal.ts';
import { call, integerParameter, secondsParameter, wordParameter } from './call.ts';
import {
  aKey,
  anyJson,
  closed,
  readInteger,
  jsonText,
  keyField,
  readKey,
  readPrefix,
  listField,
  secondsToMs,
  secondsField,
  versionField,
  yesOrNo,
} from './fields.ts';
import { pageOf, pageParameters, rangeItem } from './kv-pages.ts';
import { listSection, type BodyContext } from './section.ts';

export interface SetOperation {
  readonly key: string;
  /** The value as JSON text. Absent: delete. */
  readonly value?: string;
  /** `value` is a merge patch (RFC 7396) for what is there. */
  readonly merge?: true;
  /** The reply shows what was there before the batch. */
  readonly old?: true;
  /** 0: only if the key does not exist. */
  readonly version?: number;
  readonly ttlMs?: number;
}

type SetOutcome = 'set' | 'deleted' | 'missing';
export type SetResult = SetOutcome | { readonly is: SetOutcome; readonly old: GetResult };

export interface GetResult {
  /** 0: there is no such key. */
  readonly version: number;
  readonly value?: string;
  readonly till?: number;
}

/** Exactly one of the conditions is there. */
export interface CheckOperation {
  readonly key: string;
  readonly version?: number;
  readonly exists?: boolean;
  /** The value as JSON text; the order of members makes no difference. */
  readonly equals?: string;
  /** The number that the counter of this name must have. */
  readonly counter?: number;
}

const setItem = Type.Object(
  {
    Key: keyField,
    Value: Type.Optional(anyJson),
    Version: Type.Optional(versionField),
    Merge: Type.Optional(anyJson),
    Delete: Type.Optional(yesOrNo),
    Old: Type.Optional(yesOrNo),
    TTL: Type.Optional(secondsField('zero', ttlMsMax)),
  },
  { ...closed, expected: '{"Key"} with Value or Merge, or {"Key","Delete":true}' },
);

export const setSection = listSection<SetOperation, SetResult>({
  body: 'KVSet',
  schema: {
    KVSet: Type.Optional(listField(setItem, 'a list of {"Key"} with Value or Merge, or {"Key","Delete":true}')),
  },
  key: ({ key }) => key,
  effect: ({ value }) => (value === undefined ? 'free' : 'write'),
  scope: () => 'write',
  read: ({ KVSet }: { KVSet?: Type.Static<typeof setItem>[] }, context) =>
    KVSet?.map((item, i) => readSet(item, `${context.root}KVSet[${i}]`, context)),
});

function readSet(item: Type.Static<typeof setItem>, path: string, { limits }: BodyContext): SetOperation {
  const key = readKey(item.Key, `${path}.Key`);
  const condition = {
    ...(item.Version !== undefined && { version: readInteger(item.Version) }),
    ...(item.Old === true && { old: true as const }),
  };
  if (item.Delete === true) {
    for (const name of ['Value', 'Merge'] as const) {
      if (item[name] !== undefined)
        return refuseField(`${path}.${name}`, 'given together with Delete; expected one of the two');
    }
    if (item.TTL !== undefined) return refuseField(`${path}.TTL`, 'given together with Delete');
    return { key, ...condition };
  }
  const most = { bytes: limits.value_bytes_max, name: 'limits.value_bytes_max' };
  const ttl = item.TTL === undefined ? {} : { ttlMs: secondsToMs(item.TTL) };
  if (item.Merge !== undefined) {
    if (item.Value !== undefined)
      return refuseField(`${path}.Value`, 'given together with Merge; expected one of the two');
    return { key, value: jsonText(item.Merge, `${path}.Merge`, most), merge: true, ...condition, ...ttl };
  }
  if (item.Value === undefined) return refuseField(path, 'expected Value or Merge, or Delete: true');
  return { key, value: jsonText(item.Value, `${path}.Value`, most), ...condition, ...ttl };
}

const getItem = Type.Union([keyField, Type.Object({ Key: keyField }, closed), rangeItem], {
  expected: `a key (${aKey}), or {"Key"}, or {"Prefix"} with After and Limit`,
});
type GetItem = Type.Static<typeof getItem>;

export const getSection = listSection<string, GetResult>({
  body: 'KVGet',
  schema: { KVGet: Type.Optional(listField(getItem, 'a list of keys')) },
  key: (key) => key,
  effect: () => 'read',
  scope: () => 'read',
  read: ({ KVGet }: { KVGet?: GetItem[] }, { root }) =>
    KVGet?.flatMap((item, i) => {
      if (typeof item === 'string') return readKey(item, `${root}KVGet[${i}]`);
      return 'Prefix' in item ? [] : readKey(item.Key, `${root}KVGet[${i}].Key`);
    }),
});

const aCheck = '{"Key"} with Version, Exists or Equals, or {"Counter","Equals"}';
const checkItem = Type.Object(
  {
    Key: Type.Optional(keyField),
    Counter: Type.Optional(keyField),
    Version: Type.Optional(versionField),
    Exists: Type.Optional(yesOrNo),
    Equals: Type.Optional(anyJson),
  },
  { ...closed, expected: aCheck },
);

export const checkSection = listSection<CheckOperation, never>({
  body: 'Check',
  schema: { Check: Type.Optional(listField(checkItem, `a list of ${aCheck}`)) },
  key: ({ key }) => key,
  effect: () => 'read',
  scope: () => 'condition',
  read: ({ Check }: { Check?: Type.Static<typeof checkItem>[] }, context) =>
    Check?.map((item, i) => readCheck(item, `${context.root}Check[${i}]`, context)),
});

const conditions = ['Version', 'Exists', 'Equals'] as const;

function readCheck(item: Type.Static<typeof checkItem>, path: string, { limits }: BodyContext): CheckOperation {
  const { Key, Counter, Version, Exists, Equals } = item;
  const [first, second] = conditions.filter((name) => item[name] !== undefined);
  if (second !== undefined)
    return refuseField(`${path}.${second}`, `given together with ${first}; expected one of the two`);
  if (Counter !== undefined) {
    if (Key !== undefined) return refuseField(`${path}.Counter`, 'given together with Key; expected one of the two');
    if (typeof Equals !== 'number' || !Number.isSafeInteger(Equals))
      return refuseField(`${path}.Equals`, 'expected the integer that the counter must be');
    return { key: readKey(Counter, `${path}.Counter`), counter: readInteger(Equals) };
  }
  if (Key === undefined) return refuseField(`${path}.Key`, 'missing; expected a key, or Counter');
  const key = readKey(Key, `${path}.Key`);
  if (Version !== undefined) return { key, version: readInteger(Version) };
  if (Exists !== undefined) return { key, exists: Exists };
  if (Equals === undefined) return refuseField(`${path}.Version`, 'missing; expected a version, or Exists, or Equals');
  const most = { bytes: limits.value_bytes_max, name: 'limits.value_bytes_max' };
  return { key, equals: jsonText(Equals, `${path}.Equals`, most) };
}

const delimiterParameter = { type: 'string', bytesMax: 16, limitName: 'the length of a delimiter' } as const;

function readDelimiter(text: string): string {
  const [character, ...more] = readPrefix(text, '?delimiter');
  if (character !== undefined && more.length === 0) return character;
  return refuseField('?delimiter', `expected one character, such as /, got ${shown(text)}`);
}

const allKeys = 'expected ?prefix=, what the keys begin with, or ?all=true to delete every key';

export const kvCalls = {
  'kv.list': call({
    method: 'GET',
    path: 'kv',
    summary: 'List keys below a prefix, with versions and values',
    query: { ...pageParameters, delimiter: delimiterParameter, values: wordParameter('false') },
    command: (given) => {
      const { delimiter, values } = given.query;
      const folders = delimiter === undefined ? {} : { delimiter: readDelimiter(JSON.parse(delimiter) as string) };
      const sizes = values === undefined ? {} : ({ sizes: true } as const);
      return { kind: 'kv.list', ...pageOf(given), ...folders, ...sizes } as const;
    },
  }),
  'kv.get': call({
    method: 'GET',
    path: 'kv/*',
    summary: 'Read a key',
    query: {},
    command: ({ account, id }) => ({ kind: 'batch', account, format: 'kv.get', get: [id] }) as const,
  }),
  'kv.set': call({
    method: 'POST',
    path: 'kv/*',
    summary: 'Set a key',
    query: { ver: integerParameter(0), ttl: secondsParameter('zero', ttlMsMax), as: wordParameter('text') },
    body: 'value',
    command: ({ account, id, query: { ver, ttl }, value }) => {
      const set = {
        key: id,
        value,
        ...(ver !== undefined && { version: ver }),
        ...(ttl !== undefined && { ttlMs: ttl }),
      };
      return { kind: 'batch', account, format: 'kv.set', set: [set] } as const;
    },
  }),
  'kv.clear': call({
    method: 'DELETE',
    path: 'kv',
    summary: 'Delete a page of the keys below a prefix',
    query: { ...pageParameters, all: wordParameter('true') },
    command: ({ account, query: { prefix = '', after, limit = pageLimitMax, all } }) => {
      if (prefix === '' && all === undefined) return refuseField('?prefix', allKeys);
      if (prefix !== '' && all !== undefined) return refuseField('?all', 'expected none beside a prefix');
      const clear = { prefix, ...(after !== undefined && { after }), limit };
      return { kind: 'batch', account, format: 'kv.clear', clear } as const;
    },
  }),
  'kv.delete': call({
    method: 'DELETE',
    path: 'kv/*',
    summary: 'Delete a key',
    query: { ver: integerParameter(0) },
    command: ({ account, id, query: { ver } }: { account: AccountId; id: string; query: { ver?: number } }) => {
      const set = { key: id, ...(ver !== undefined && { version: ver }) };
      return { kind: 'batch', account, format: 'kv.delete', set: [set] } as const;
    },
  }),
} as const;
