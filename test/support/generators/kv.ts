/** Keys: values put and deleted, with and without conditions, read, listed and watched. */
import type { Habits } from './habits.ts';
import type { Batch, Command } from '../../../src/protocol/operations/operations.ts';
import type { SetOperation } from '../../../src/protocol/operations/kv.ts';

export function put(h: Habits, key: string): SetOperation {
  return { key, value: h.value(), ...h.ttl(key) };
}

export const patches = ['{"n":1}', '{"n":null,"x":{"y":2}}', '{"x":{"y":null,"z":[]}}', '5', 'null'];

export function putIf(h: Habits, key: string): SetOperation {
  return { ...put(h, key), version: h.version(key) };
}

/** Put or deleted, with a condition or without. */
export function change(h: Habits, key: string): SetOperation {
  const condition = h.chance(35) ? { version: h.version(key) } : {};
  const old = h.chance(15) ? { old: true as const } : {};
  if (h.chance(20)) return { key, ...condition, ...old };
  if (h.merges(key)) return { key, value: h.one(patches), merge: true, ...h.ttl(key), ...condition, ...old };
  return { ...put(h, key), ...condition, ...old };
}

export function check(h: Habits, most: number): NonNullable<Batch['check']> {
  return h.some('kv', most).map((key) => {
    const how = h.below(100);
    if (how < 10) return { key: h.name('counter'), counter: h.below(4) };
    return how < 30 ? { key, equals: h.equals(key) } : versionOrExistence(h, key);
  });
}

function versionOrExistence(h: Habits, key: string): NonNullable<Batch['check']>[number] {
  return h.chance(30) ? { key, exists: h.exists(key) } : { key, version: h.version(key) };
}

export const kv = {
  'kv.get': (h: Habits): Command => ({ kind: 'batch', account: h.account, format: 'kv.get', get: [h.name('kv')] }),
  'kv.set': (h: Habits): Command => {
    const key = h.name('kv');
    const set = [h.chance(40) ? putIf(h, key) : put(h, key)];
    return { kind: 'batch', account: h.account, format: 'kv.set', set };
  },
  'kv.delete': (h: Habits): Command => {
    const key = h.name('kv');
    const set = [h.chance(50) ? { key, version: h.version(key) } : { key }];
    return { kind: 'batch', account: h.account, format: 'kv.delete', set };
  },
  'kv.clear': (h: Habits): Command => {
    const clear = { prefix: h.one(h.prefixes), limit: 1 + h.below(h.limitMax) };
    return { kind: 'batch', account: h.account, format: 'kv.clear', clear };
  },
  'kv.list': (h: Habits): Command => {
    const prefix = h.one(h.prefixes);
    return { kind: 'kv.list', account: h.account, prefix, limit: 1 + h.below(h.limitMax) };
  },
  'kv.list after': (h: Habits): Command => {
    const after = h.name('kv');
    return { kind: 'kv.list', account: h.account, prefix: h.one(h.prefixes), after, limit: 1 + h.below(h.limitMax) };
  },
  'watch.key': (h: Habits): Command => {
    const key = h.name('kv');
    return { kind: 'watch.key', account: h.account, key, version: h.version(key) };
  },
};
