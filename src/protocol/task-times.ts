/**
 * When a task runs: cron patterns in a time zone (croner), and intervals. Front ends read patterns and find the first
 * instant, the dispatcher finds those that follow; a shard sees times only.
 *
 * At the edges of summer time: a time that does not exist runs at the first instant after the gap, one that comes twice
 * runs once. A pattern with a wildcard or a step in its seconds, minutes or hours runs through both.
 */
import { Cron } from 'croner';
import { dateOf } from '../shared/clock.ts';
import { ttlMsMax } from '../shared/limits.ts';
import { cronCharsMax } from '../shared/task-limits.ts';

export type TaskSchedule = CronSchedule | { readonly everyMs: number };

export interface CronSchedule {
  /** Five or six fields. */
  readonly cron: string;
  /** A name of the IANA database. */
  readonly tz: string;
}

/** Of Every: where it counts from. */
export interface Anchor {
  readonly fromMs: number;
}

const allowed = /^[0-9A-Za-z*,/\-?# ]+$/;
const daysOfMonth = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Returns what is wrong with a pattern; undefined: nothing. */
export function flawOfCron(pattern: string): string | undefined {
  const expected = 'expected a cron pattern of five or six fields, such as "30 2 * * *"';
  if (pattern.length > cronCharsMax) return `expected at most ${cronCharsMax} characters, got ${pattern.length}`;
  const fields = pattern.trim().split(/ +/);
  if (!allowed.test(pattern) || fields.length < 5 || fields.length > 6)
    return `${expected}, got ${JSON.stringify(pattern)}`;
  if (hasNoDay(fields.slice(-3))) return noInstant(pattern);
  try {
    cronOf({ cron: pattern, tz: 'UTC' });
    return undefined;
  } catch (error) {
    return `${expected}; ${error instanceof Error ? error.message : String(error)}`;
  }
}

export function noInstant(pattern: string): string {
  return `expected a pattern with an instant within ten years, got ${JSON.stringify(pattern)}, which has none`;
}

/** The date never comes, as the 30th of February. To find that by searching would take croner milliseconds. */
function hasNoDay([days = '', months = '', weekdays = '']: readonly string[]): boolean {
  if (weekdays !== '*' && weekdays !== '?') return false;
  const numbers = numbersIn(days.replaceAll('W', ''), 31);
  const named = numbersIn(months, 12);
  if (numbers === undefined || named === undefined) return false;
  return !named.some((month) => numbers.some((day) => day <= (daysOfMonth[month - 1] ?? 0)));
}

const monthNames = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'];

/** The numbers from 1 to `most` that a field names: lists, ranges, steps. undefined: it has something else. */
function numbersIn(field: string, most: number): readonly number[] | undefined {
  const plain = field.toUpperCase().replaceAll(/[A-Z]{3}/g, (name) => {
    const month = monthNames.indexOf(name) + 1;
    return month === 0 ? name : String(month);
  });
  const numbers: number[] = [];
  for (const part of plain.split(',')) {
    const [, from, to, step = '1'] = /^(\d{1,2}|\*|\?)(?:-(\d{1,2}))?(?:\/(\d{1,2}))?$/.exec(part) ?? [];
    if (from === undefined || Number(step) === 0) return undefined;
    const isAny = from === '*' || from === '?';
    const last = to === undefined ? (isAny || part.includes('/') ? most : Number(from)) : Number(to);
    for (let n = isAny ? 1 : Number(from); n <= last; n += Number(step)) numbers.push(n);
  }
  return numbers;
}

/** Returns whether the IANA database has this zone. Offsets are no names. */
export function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    return Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

/** The names of all zones, for messages. */
export function timeZones(): readonly string[] {
  return ['UTC', ...Intl.supportedValuesOf('timeZone')];
}

/** Returns the first instant after a time; undefined: there is none within ten years. */
export function nextInstant(schedule: TaskSchedule, afterMs: number, { fromMs }: Anchor): number | undefined {
  if ('everyMs' in schedule) {
    const { everyMs } = schedule;
    return fromMs + (Math.max(0, Math.floor((afterMs - fromMs) / everyMs)) + 1) * everyMs;
  }
  const next = cronOf(schedule).nextRun(dateOf(afterMs))?.getTime();
  return next === undefined || next > afterMs + ttlMsMax ? undefined : next;
}

export interface Missed {
  /** How many instants have passed after the one that is due, up to now; counted up to `missedCountMax`. */
  readonly count: number;
  /** The latest instant that has passed. */
  readonly last: number;
  /** The one after it; undefined: there is none. */
  readonly next: number | undefined;
}

/** Looks at the instants of a schedule from one that is due up to now. */
export function missedInstants(
  schedule: TaskSchedule,
  { dueMs, nowMs, most }: { readonly dueMs: number; readonly nowMs: number; readonly most: number },
  anchor: Anchor,
): Missed {
  if ('everyMs' in schedule) {
    const count = Math.max(0, Math.floor((nowMs - dueMs) / schedule.everyMs));
    const last = dueMs + count * schedule.everyMs;
    return { count, last, next: last + schedule.everyMs };
  }
  let count = 0;
  let last = dueMs;
  for (;;) {
    const next = nextInstant(schedule, last, anchor);
    if (next === undefined || next > nowMs) return { count, last, next };
    if (count >= most) {
      // More have passed than are counted.
      return { count, last, next: nextInstant(schedule, nowMs, anchor) };
    }
    count += 1;
    last = next;
  }
}

const keptMax = 1024;
/** Patterns that were read last. */
const kept = new Map<string, Cron>();

/** @throws Error if the pattern cannot be read */
function cronOf({ cron, tz }: CronSchedule): Cron {
  const name = `${tz}\0${cron}`;
  let made = kept.get(name);
  if (made === undefined) {
    made = new Cron(cron, { timezone: tz, fixedTimeRule: 'no-wildcard', paused: true });
    if (kept.size >= keptMax) kept.clear();
    kept.set(name, made);
  }
  return made;
}
