/**
 * What a model expects of a reply, and the comparison with what came. A model that checks does not know the server's
 * clock exactly, so a time is a span; values are JSON text, as they were asked to be stored.
 */
import { isDeepStrictEqual } from 'node:util';

/** The members of replies that checkers look at, all of which may be missing. */
export interface Body {
  readonly [member: string]: unknown;
  readonly Rev?: number;
  readonly Now?: number;
  readonly Code?: string;
  readonly Lock?: number;
  readonly TillMs?: number;
  readonly Holder?: Body;
  readonly Waiters?: number;
  readonly Recover?: Body;
  readonly Failed?: readonly Body[];
  readonly Limit?: readonly Body[];
  readonly Atomic?: readonly Body[];
  readonly KV?: readonly Body[];
  readonly KVSet?: readonly Body[];
  readonly Ops?: readonly string[];
  readonly Locks?: readonly Body[];
  readonly Counters?: readonly Body[];
  readonly Key?: string;
  readonly LockID?: string;
  readonly Version?: number;
  readonly Value?: unknown;
  readonly Deleted?: boolean;
  readonly Old?: number;
  readonly More?: boolean;
  readonly After?: string;
  readonly IDs?: readonly string[];
  readonly Response?: Body;
}

/** A time between two moments, both of them possible. */
export class Span {
  readonly lo: number;
  readonly hi: number;

  constructor(lo: number, hi: number) {
    this.lo = lo;
    this.hi = hi;
  }

  plus(ms: number): Span {
    return new Span(this.lo + ms, this.hi + ms);
  }

  /** As the server rounds it: whole seconds, up. */
  seconds(): Span {
    return new Span(Math.ceil(this.lo / 1000), Math.ceil(this.hi / 1000));
  }
}

/** A value as JSON text, parsed when it is first looked at. */
export class Json {
  readonly text: string;
  #parsed: { readonly value: unknown } | undefined;

  constructor(text: string) {
    this.text = text;
  }

  get value(): unknown {
    this.#parsed ??= { value: JSON.parse(this.text) as unknown };
    return this.#parsed.value;
  }
}

/** Some number that the model does not know. */
export const anyNumber: unique symbol = Symbol('a number');

/** Of sums of times that are no whole milliseconds. */
const rounding = 0.001;

const ignored = new Set(['Message', 'RequestID']);

/** Undefined: as expected. Otherwise which member, what was expected, and what came. */
export function difference(expected: unknown, actual: unknown, path = 'the body'): string | undefined {
  if (typeof expected === 'object' && expected !== null) {
    if (expected instanceof Span) {
      if (typeof actual === 'number' && actual >= expected.lo - rounding && actual <= expected.hi + rounding)
        return undefined;
      return `${path}: expected a time from ${expected.lo} to ${expected.hi}, got ${show(actual)}`;
    }
    if (expected instanceof Json) {
      // In a value every member counts.
      const same = expected.value === actual || isDeepStrictEqual(expected.value, actual);
      return same ? undefined : `${path}: expected ${show(expected.value)}, got ${show(actual)}`;
    }
    if (typeof actual !== 'object' || actual === null || Array.isArray(expected) !== Array.isArray(actual)) {
      return `${path}: expected ${show(plain(expected))}, got ${show(actual)}`;
    }
    if (Array.isArray(expected)) return itemsDiffer(expected, actual as unknown[], path);
    return membersDiffer(expected as Body, actual as Body, path);
  }
  if (expected === anyNumber)
    return typeof actual === 'number' ? undefined : `${path}: expected a number, got ${show(actual)}`;
  return expected === actual ? undefined : `${path}: expected ${show(expected)}, got ${show(actual)}`;
}

function itemsDiffer(expected: readonly unknown[], actual: readonly unknown[], path: string): string | undefined {
  if (expected.length !== actual.length) {
    const [items, got] = [show(plain(expected)), show(actual)];
    return `${path}: expected ${expected.length} items, ${items}, got ${actual.length}, ${got}`;
  }
  for (let i = 0; i < expected.length; i++) {
    const found = difference(expected[i], actual[i], `${path}[${i}]`);
    if (found !== undefined) return found;
  }
  return undefined;
}

function membersDiffer(expected: Body, actual: Body, path: string): string | undefined {
  const prefix = path === 'the body' ? '' : `${path}.`;
  for (const name in expected) {
    if (expected[name] === undefined) continue;
    const found = difference(expected[name], actual[name], `${prefix}${name}`);
    if (found !== undefined) return found;
  }
  for (const name in actual) {
    if (expected[name] === undefined && actual[name] !== undefined && !ignored.has(name)) {
      return `${prefix}${name}: not expected, got ${show(actual[name])}`;
    }
  }
  return undefined;
}

/** An expectation as a reply would have it: the earliest time, the parsed value. */
export function plain(expected: unknown): unknown {
  if (expected === anyNumber) return 0;
  if (typeof expected !== 'object' || expected === null) return expected;
  if (expected instanceof Span) return expected.lo;
  if (expected instanceof Json) return expected.value;
  if (Array.isArray(expected)) return expected.map(plain);
  const members = Object.entries(expected).filter(([, value]) => value !== undefined);
  return Object.fromEntries(members.map(([name, value]) => [name, plain(value)]));
}

/** `{"Key":…}` in one line, cut where nobody reads on. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 240 ? `${text.slice(0, 240)}…` : text;
}
