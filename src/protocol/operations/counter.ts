/** Counters: integers that clients add to, without a version. `Atomic` in a batch. */
import { Type } from 'typebox';
import { integerMax, ttlMsMax } from '../../shared/limits.ts';
import { refuseField } from '../refusal.ts';
import { call, integerParameter, secondsParameter } from './call.ts';
import type { CommandSpec, PageRequest } from './command.ts';
import {
  closed,
  integerField,
  readInteger,
  keyField,
  readKey,
  listField,
  secondsField,
  secondsToMs,
} from './fields.ts';
import { pageOf, pageParameters } from './kv-pages.ts';
import { listSection } from './section.ts';

export interface CounterOperation {
  readonly key: string;
  /** `get` reads, `reset` deletes; neither takes part in `POST /db/:acc`. */
  readonly op: 'add' | 'set' | 'max' | 'min' | 'get' | 'reset';
  readonly n: number;
  readonly ifEq?: number;
  /** Bounds of an `add`: it may move towards a bound from outside, but not beyond one. */
  readonly floor?: number;
  readonly ceil?: number;
  /** Counts only if this makes the counter: then it ends so much later. */
  readonly ttlMs?: number;
}

export interface CounterResult {
  /** Absent: there is no such counter. */
  readonly value?: number;
  readonly old?: number;
  /** When the counter ends by itself. */
  readonly till?: number;
}

const ops = { Add: 'add', Set: 'set', Max: 'max', Min: 'min' } as const;
const opNames = Object.keys(ops) as (keyof typeof ops)[];

const counterItem = Type.Object(
  {
    Key: keyField,
    Add: Type.Optional(integerField),
    Floor: Type.Optional(integerField),
    Ceil: Type.Optional(integerField),
    Set: Type.Optional(integerField),
    IfEq: Type.Optional(integerField),
    Max: Type.Optional(integerField),
    Min: Type.Optional(integerField),
    TTL: Type.Optional(secondsField('zero', ttlMsMax)),
  },
  { ...closed, expected: '{"Key"} with one of Add, Set, Max, Min' },
);

export const counterSection = listSection<CounterOperation, CounterResult>({
  body: 'Atomic',
  schema: { Atomic: Type.Optional(listField(counterItem, 'a list of {"Key"} with one of Add, Set, Max, Min')) },
  key: ({ key }) => key,
  effect: ({ op }) => (op === 'get' ? 'read' : op === 'reset' ? 'free' : 'write'),
  scope: ({ op }) => (op === 'get' ? 'read' : 'write'),
  read: ({ Atomic }: { Atomic?: Type.Static<typeof counterItem>[] }, { root }) =>
    Atomic?.map((item, i) => readCounter(item, `${root}Atomic[${i}]`)),
});

function readCounter(item: Type.Static<typeof counterItem>, path: string): CounterOperation {
  const [name, ...more] = opNames.filter((op) => item[op] !== undefined);
  if (name === undefined) return refuseField(path, `expected one of ${opNames.join(', ')}, got none`);
  if (more.length > 0) {
    return refuseField(path, `expected only one of ${opNames.join(', ')}, got ${[name, ...more].join(' and ')}`);
  }
  if (item.IfEq !== undefined && name !== 'Set')
    return refuseField(`${path}.IfEq`, `goes with Set only, not with ${name}`);
  for (const bound of ['Floor', 'Ceil'] as const) {
    if (item[bound] !== undefined && name !== 'Add')
      return refuseField(`${path}.${bound}`, `goes with Add only, not with ${name}`);
  }
  const key = readKey(item.Key, `${path}.Key`);
  const ttl = item.TTL === undefined ? {} : { ttlMs: secondsToMs(item.TTL) };
  const operation = { key, op: ops[name], n: readInteger(item[name] ?? 0), ...ttl };
  if (item.Floor !== undefined || item.Ceil !== undefined)
    return { ...operation, ...boundsOf({ floor: item.Floor, ceil: item.Ceil }, `${path}.Floor`) };
  return item.IfEq === undefined ? operation : { ...operation, ifEq: readInteger(item.IfEq) };
}

/** @param path of the floor, for messages */
function boundsOf(
  { floor, ceil }: { readonly floor?: number | undefined; readonly ceil?: number | undefined },
  path: string,
): Pick<CounterOperation, 'floor' | 'ceil'> {
  if (floor !== undefined && ceil !== undefined && floor > ceil)
    return refuseField(path, `expected at most the upper bound, ${ceil}, got ${floor}`);
  return {
    ...(floor !== undefined && { floor: readInteger(floor) }),
    ...(ceil !== undefined && { ceil: readInteger(ceil) }),
  };
}

export interface CounterList extends PageRequest {
  readonly kind: 'counter.list';
}

export const counterList = {
  scope: () => 'read',
  prefix: ({ prefix }) => prefix,
  list: 'Counters',
} as const satisfies CommandSpec<CounterList>;

export const counterCalls = {
  'counter.list': call({
    method: 'GET',
    path: 'counter',
    summary: 'List counters below a prefix, with their values',
    query: pageParameters,
    command: (given) => ({ kind: 'counter.list', ...pageOf(given) }) as const,
  }),
  'counter.get': call({
    method: 'GET',
    path: 'counter/*',
    summary: 'Read a counter',
    query: {},
    command: ({ account, id }) =>
      ({ kind: 'batch', account, format: 'counter.get', counter: [{ key: id, op: 'get', n: 0 }] }) as const,
  }),
  'counter.add': call({
    method: 'POST',
    path: 'counter/*',
    summary: 'Add to a counter',
    query: {
      add: integerParameter(-integerMax),
      floor: integerParameter(-integerMax),
      ceil: integerParameter(-integerMax),
      ttl: secondsParameter('zero', ttlMsMax),
    },
    command: ({ account, id, query: { add = 1, floor, ceil, ttl } }) => {
      const bounds = boundsOf({ floor, ceil }, '?floor');
      const operation = { key: id, op: 'add', n: add, ...bounds, ...(ttl !== undefined && { ttlMs: ttl }) } as const;
      return { kind: 'batch', account, format: 'counter.add', counter: [operation] } as const;
    },
  }),
  'counter.reset': call({
    method: 'DELETE',
    path: 'counter/*',
    summary: 'Delete a counter',
    query: {},
    command: ({ account, id }) =>
      ({ kind: 'batch', account, format: 'counter.reset', counter: [{ key: id, op: 'reset', n: 0 }] }) as const,
  }),
} as const;
