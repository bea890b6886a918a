/**
 * Operations on keys as Redis knows them. Not asked for here, because who checks a history does not know the time
 * exactly: what is left of a time to live, and which of two ends is later (string-ops.test.ts asks for them).
 */
import type { Habits } from './habits.ts';
import type {
  SetCondition,
  SetTill,
  StringOp,
  Till,
  ValueCondition,
} from '../../../src/protocol/operations/string-op.ts';

const shares = {
  get: 2,
  set: 4,
  delete: 1,
  expire: 1,
  persist: 1,
  add: 2,
  addFloat: 1,
  append: 1,
  setRange: 1,
  range: 1,
  length: 1,
  exists: 1,
  version: 1,
  getBit: 1,
  setBit: 1,
} satisfies Record<Exclude<StringOp['kind'], 'ttl'>, number>;
const kinds = Object.entries(shares).flatMap(([kind, share]) =>
  Array.from({ length: share }, () => kind as keyof typeof shares),
);

export function stringOp(h: Habits, key: string): StringOp {
  const kind = h.one(kinds);
  switch (kind) {
    case 'set': {
      const condition = h.chance(40) ? { condition: setCondition(h) } : {};
      const till = h.chance(50) ? { till: setTill(h, key) } : {};
      return { kind, key, value: value(h), ...condition, ...till, ...(h.chance(20) && { old: true }) };
    }
    case 'delete': {
      const condition = h.chance(50) ? { condition: valueCondition(h) } : {};
      return { kind, key, ...condition, ...(h.chance(30) && { old: true }) };
    }
    case 'expire':
      return { kind, key, till: till(h, key), ...(h.chance(50) && { when: h.one(['nx', 'xx'] as const) }) };
    case 'add':
      return { kind, key, n: h.chance(8) ? Number.MAX_SAFE_INTEGER : h.below(20) - 5 };
    case 'addFloat':
      return { kind, key, n: h.one([0.5, -1.25, 1e-9, 3, 1e17]) };
    case 'append':
      return { kind, key, value: h.chance(20) ? '""' : value(h) };
    case 'setRange':
      return { kind, key, offset: h.below(5), value: h.chance(20) ? '""' : value(h) };
    case 'range':
      return { kind, key, start: h.below(9) - 5, end: h.below(9) - 5 };
    case 'getBit':
      return { kind, key, offset: h.below(40) };
    case 'setBit':
      return { kind, key, offset: h.below(40), bit: h.chance(50) ? 1 : 0 };
    default:
      return { kind, key };
  }
}

export function stringOps(h: Habits, most: number): StringOp[] {
  return Array.from({ length: 1 + h.below(most) }, () => stringOp(h, h.name('string')));
}

/** Text, what looks like a number, a number, bytes that are no text. */
function value(h: Habits): string {
  return h.one([`"${h.below(4)}"`, String(h.below(4)), '"x"', '"ключ\\n"', '{"$bytes":"/w=="}', '"1.5"']);
}

function setCondition(h: Habits): SetCondition {
  return h.chance(50) ? { kind: h.chance(50) ? 'nx' : 'xx' } : valueCondition(h);
}

function valueCondition(h: Habits): ValueCondition {
  return { kind: h.chance(50) ? 'eq' : 'ne', value: value(h) };
}

function setTill(h: Habits, key: string): SetTill {
  return h.chance(50) ? { kind: h.chance(70) ? 'keep' : 'clear' } : till(h, key);
}

/** Mostly ahead; over at once in some cases. */
function till(h: Habits, key: string): Till {
  if (h.chance(15)) return h.chance(50) ? { kind: 'in', ms: -100_000 } : { kind: 'at', ms: h.below(3) };
  return { kind: 'in', ms: h.ttl(key).ttlMs ?? 4000 };
}
