/**
 * Rate limits: so much of each is taken, and comes back in time. What is taken is kept as the moment at which all of it
 * is back, in microseconds.
 */
import { Span, type Body } from './expected.ts';
import type { Performed, Turn } from './moment.ts';
import { nameOf, type LimitEntry } from './state.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import type { LimitOperation } from '../../../src/protocol/operations/limit.ts';

/** How long the server remembers a limit of which nothing is taken any more. */
export const limitMemoryMs = 10_000;

export const limit = {
  /** Each operation sees those before it. */
  perform(turn: Turn, { format, limit: operations }: Batch): Performed {
    const Limit = operations?.map((operation, i) => take(turn, i, operation));
    return format === 'limit.take' ? { reply: Limit![0]! } : { members: { Limit } };
  },
};

function take(turn: Turn, i: number, operation: LimitOperation): object {
  const { key, burst, cost, waitMs } = operation;
  const { now, said } = turn.at;
  const field = `Limit[${i}]`;
  const name = nameOf('limit', turn.account, key);
  const entry = turn.latest(name) as LimitEntry | undefined;
  const taken = takenAt(now, entry);
  const most = Number(microsOf(operation, burst));
  const cost1 = Number(-microsOf(operation, -cost));
  const item = { Key: key, Left: leftOf(operation, taken), ResetMs: millis(taken) };
  if (cost === 0) return item;
  const held = millis(mapped(taken, (micros) => Math.max(0, Math.min(micros + cost1 - most, micros))));
  const refused = said === undefined ? held.lo > waitMs : isRefused(said, field);
  if ((refused && held.hi > waitMs) || held.lo > waitMs) {
    const RetryAfterMs = new Span(Math.max(held.lo, Math.min(waitMs + 1, held.hi)), held.hi);
    turn.fail(field, 'limited', { ...item, RetryAfterMs });
    return item;
  }
  // A slot begins at a whole millisecond, and only from then on it comes back.
  const after = new Span(Math.max(taken.lo, held.lo * 1000) + cost1, Math.max(taken.hi, held.hi * 1000) + cost1);
  const from = (end: 'lo' | 'hi'): number =>
    Math.max(entry?.full[end] ?? 0, (now[end] + (waitMs > 0 ? held[end] : 0)) * 1000);
  const full = new Span(from('lo') + cost1, from('hi') + cost1);
  turn.changes.set(name, { full, at: now, till: remembered(entry, full) });
  const result = { Key: key, Left: leftOf(operation, after), ResetMs: millis(after) };
  const shown = said === undefined ? held.hi > 0 : waitIn(said, i) !== undefined || held.lo > 0;
  return shown && held.hi > 0 ? { ...result, WaitMs: held } : result;
}

function takenAt(now: Span, entry: LimitEntry | undefined): Span {
  if (entry === undefined) return new Span(0, 0);
  const { full } = entry;
  return new Span(Math.max(0, full.lo - now.hi * 1000), Math.max(0, full.hi - now.lo * 1000));
}

/** What was taken at a time that is yet to come, because the clock was set back, comes back from the start on. */
export function limitAfterStart(entry: LimitEntry, start: Span): LimitEntry {
  const { full, at } = entry;
  if (at.hi <= start.lo) return entry;
  const lo = Math.min(full.lo, start.lo * 1000 + full.lo - at.hi * 1000);
  const hi = at.lo > start.hi ? start.hi * 1000 + full.hi - at.lo * 1000 : full.hi;
  return {
    ...entry,
    full: new Span(at.lo > start.hi ? start.lo * 1000 + full.lo - at.hi * 1000 : lo, hi),
    at: new Span(Math.min(at.lo, start.lo), Math.min(at.hi, start.hi)),
  };
}

function remembered(entry: LimitEntry | undefined, full: Span): Span {
  const ms = mapped(full, (micros) => Math.ceil(micros / 1000));
  const anew = new Span(ms.lo + limitMemoryMs, ms.hi + limitMemoryMs);
  if (entry === undefined || entry.till.hi < ms.lo) return anew;
  return entry.till.lo >= ms.hi
    ? entry.till
    : new Span(Math.min(entry.till.lo, anew.lo), Math.max(entry.till.hi, anew.hi));
}

/** The time in which so much comes back, rounded down. */
function microsOf({ rateThousandths, perMs }: LimitOperation, amount: number): bigint {
  return floored(BigInt(amount) * BigInt(perMs) * 1_000_000n, BigInt(rateThousandths));
}

function floored(a: bigint, b: bigint): bigint {
  return a / b - (a % b < 0n ? 1n : 0n);
}

function leftOf(operation: LimitOperation, { lo, hi }: Span): Span {
  const { rateThousandths, perMs, burst } = operation;
  const left = (taken: number): number => {
    if (taken === 0) return burst;
    const room = microsOf(operation, burst) - BigInt(taken);
    const fits = floored(room * BigInt(rateThousandths), BigInt(perMs) * 1_000_000n);
    return Math.min(burst, Math.max(0, Number(fits)));
  };
  // A checker knows times to less than a microsecond.
  return new Span(hi === Infinity ? 0 : left(Math.ceil(hi)), left(Math.floor(lo)));
}

function millis(span: Span): Span {
  return mapped(span, (micros) => Math.ceil(micros / 1000));
}

function mapped({ lo, hi }: Span, change: (value: number) => number): Span {
  return new Span(change(lo), change(hi));
}

function isRefused({ Code, Failed }: Body, field: string): boolean {
  if (Failed !== undefined) return Failed.some((item) => item['Field'] === field && item.Code === 'limited');
  return Code === 'limited';
}

function waitIn(said: Body, i: number): unknown {
  const item = said.Limit === undefined ? said : said.Limit[i];
  return item?.['WaitMs'];
}
