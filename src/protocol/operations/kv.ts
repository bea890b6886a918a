/** Keys with values and versions: `KVSet`, `KVGet`, `Check`; and pages of them. */
import { Type } from 'typebox';
import { pageLimitDefault, pageLimitMax, ttlMsMax } from '../../shared/limits.ts';
import type { AccountId } from '../ids.ts';
import { refuseField } from '../refusal.ts';
import {
  call,
  integerParameter,
  keyParameter,
  prefixParameter,
  secondsParameter,
  wordParameter,
  type GivenToCall,
} from './call.ts';
import type { CommandSpec, PageRequest } from './command.ts';
import {
  aKey,
  anyJson,
  closed,
  readInteger,
  jsonText,
  keyField,
  readKey,
  listField,
  secondsToMs,
  secondsField,
  versionField,
  yesOrNo,
} from './fields.ts';
import { listSection, type BodyContext } from './section.ts';

export interface SetOperation {
  readonly key: string;
  /** The value as JSON text. Absent: delete. */
  readonly value?: string;
  /** 0: only if the key does not exist. */
  readonly version?: number;
  readonly ttlMs?: number;
}

export type SetResult = 'set' | 'deleted' | 'missing';

export interface GetResult {
  /** 0: there is no such key. */
  readonly version: number;
  readonly value?: string;
  readonly till?: number;
}

/** Exactly one of `version` and `exists` is there. */
export interface CheckOperation {
  readonly key: string;
  readonly version?: number;
  readonly exists?: boolean;
}

const setItem = Type.Object(
  {
    Key: keyField,
    Value: Type.Optional(anyJson),
    Version: Type.Optional(versionField),
    Delete: Type.Optional(yesOrNo),
    TTL: Type.Optional(secondsField('zero', ttlMsMax)),
  },
  { ...closed, expected: '{"Key","Value"} or {"Key","Delete":true}' },
);

export const setSection = listSection<SetOperation, SetResult>({
  body: 'KVSet',
  schema: { KVSet: Type.Optional(listField(setItem, 'a list of {"Key","Value"} or {"Key","Delete":true}')) },
  key: ({ key }) => key,
  effect: ({ value }) => (value === undefined ? 'free' : 'write'),
  scope: () => 'write',
  read: ({ KVSet }: { KVSet?: Type.Static<typeof setItem>[] }, context) =>
    KVSet?.map((item, i) => readSet(item, `${context.root}KVSet[${i}]`, context)),
});

function readSet(item: Type.Static<typeof setItem>, path: string, { limits }: BodyContext): SetOperation {
  const key = readKey(item.Key, `${path}.Key`);
  const condition = item.Version === undefined ? undefined : { version: readInteger(item.Version) };
  if (item.Delete === true) {
    if (item.Value !== undefined)
      return refuseField(`${path}.Value`, 'given together with Delete; expected one of the two');
    if (item.TTL !== undefined) return refuseField(`${path}.TTL`, 'given together with Delete');
    return { key, ...condition };
  }
  if (item.Value === undefined) return refuseField(path, 'expected Value, or Delete: true');
  const most = { bytes: limits.value_bytes_max, name: 'limits.value_bytes_max' };
  const value = jsonText(item.Value, `${path}.Value`, most);
  return { key, value, ...condition, ...(item.TTL !== undefined && { ttlMs: secondsToMs(item.TTL) }) };
}

const getItem = Type.Union([keyField, Type.Object({ Key: keyField }, closed)], {
  expected: `a key (${aKey}) or {"Key"}`,
});

export const getSection = listSection<string, GetResult>({
  body: 'KVGet',
  schema: { KVGet: Type.Optional(listField(getItem, 'a list of keys')) },
  key: (key) => key,
  effect: () => 'read',
  scope: () => 'read',
  read: ({ KVGet }: { KVGet?: Type.Static<typeof getItem>[] }, { root }) =>
    KVGet?.map((item, i) =>
      typeof item === 'string' ? readKey(item, `${root}KVGet[${i}]`) : readKey(item.Key, `${root}KVGet[${i}].Key`),
    ),
});

const aCheck = '{"Key","Version"} or {"Key","Exists"}';
const checkItem = Type.Object(
  { Key: keyField, Version: Type.Optional(versionField), Exists: Type.Optional(yesOrNo) },
  { ...closed, expected: aCheck },
);

export const checkSection = listSection<CheckOperation, never>({
  body: 'Check',
  schema: { Check: Type.Optional(listField(checkItem, `a list of ${aCheck}`)) },
  key: ({ key }) => key,
  effect: () => 'read',
  scope: () => 'condition',
  read: ({ Check }: { Check?: Type.Static<typeof checkItem>[] }, { root }) =>
    Check?.map((item, i) => readCheck(item, `${root}Check[${i}]`)),
});

function readCheck({ Key, Version, Exists }: Type.Static<typeof checkItem>, path: string): CheckOperation {
  const key = readKey(Key, `${path}.Key`);
  if (Exists === undefined) {
    if (Version === undefined) return refuseField(`${path}.Version`, 'missing; expected a version, or Exists');
    return { key, version: readInteger(Version) };
  }
  if (Version !== undefined)
    return refuseField(`${path}.Exists`, 'given together with Version; expected one of the two');
  return { key, exists: Exists };
}

export interface KvList extends PageRequest {
  readonly kind: 'kv.list';
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

export const kvCalls = {
  'kv.list': call({
    method: 'GET',
    path: 'kv',
    summary: 'List keys below a prefix, with versions and values',
    query: pageParameters,
    command: (given) => ({ kind: 'kv.list', ...pageOf(given) }) as const,
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
