/**
 * Instants of cron patterns at both edges of summer time, against an oracle that walks through every minute and asks what
 * the clock on the wall shows.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flawOfCron, isTimeZone, missedInstants, nextInstant, timeZones } from '../../src/protocol/task-times.ts';

const minute = 60_000;
const day = 24 * 60 * minute;
const start2027 = Date.UTC(2027, 0, 1);

class Wall {
  readonly #format: Intl.DateTimeFormat;

  constructor(timeZone: string) {
    this.#format = new Intl.DateTimeFormat('en-GB', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
    });
  }

  /** Minutes of the clock on the wall, as if it were UTC. */
  at(ms: number): number {
    const [, d, m, y, h, min] = /(\d+)\/(\d+)\/(\d+), (\d+):(\d+)/.exec(this.#format.format(ms))!;
    return Date.UTC(Number(y), Number(m) - 1, Number(d), Number(h), Number(min)) / minute;
  }

  ahead(ms: number): number {
    return this.at(ms) - Math.floor(ms / minute);
  }

  /** The first minutes of 2027 with another offset than the minute before. */
  edges(): number[] {
    const found: number[] = [];
    for (let month = 0; month < 12; month += 1) {
      let [from, to] = [Date.UTC(2027, month, 1), Date.UTC(2027, month + 1, 1)];
      if (this.ahead(from) === this.ahead(to)) continue;
      while (to - from > minute) {
        const middle = from + Math.floor((to - from) / 2 / minute) * minute;
        if (this.ahead(middle) === this.ahead(from)) from = middle;
        else to = middle;
      }
      found.push(to);
    }
    return found;
  }
}

interface Pattern {
  readonly cron: string;
  /** Of the day. */
  readonly matches: (minuteOfDay: number) => boolean;
  /** It has no wildcard and no step: each of its times comes once a day. */
  readonly isFixed: boolean;
}

const patterns: readonly Pattern[] = [
  { cron: '30 2 * * *', matches: (m) => m === 150, isFixed: true },
  { cron: '30 2,14 * * *', matches: (m) => m === 150 || m === 870, isFixed: true },
  { cron: '0,15,45 0-3 * * *', matches: (m) => m < 240 && [0, 15, 45].includes(m % 60), isFixed: true },
  { cron: '*/20 * * * *', matches: (m) => m % 20 === 0, isFixed: false },
  { cron: '10 */2 * * *', matches: (m) => m % 120 === 10, isFixed: false },
];

/** Walks through every minute. */
function slowInstants(wall: Wall, { matches, isFixed }: Pattern, from: number, to: number): number[] {
  const found: number[] = [];
  const had = new Set<number>();
  let before = wall.at(from - minute);
  for (let ms = from; ms < to; ms += minute) {
    const now = wall.at(ms);
    const due = (local: number): boolean => matches(((local % 1440) + 1440) % 1440) && !(isFixed && had.has(local));
    // A gap: what it has swallowed of fixed times happens behind it.
    let isDue = false;
    if (isFixed) {
      for (let local = before + 1; local < now; local += 1) {
        if (!due(local)) continue;
        had.add(local);
        isDue = true;
      }
    }
    if (due(now)) {
      had.add(now);
      isDue = true;
    }
    if (isDue) found.push(ms);
    before = now;
  }
  return found;
}

/** How many; torture takes sixty. */
function textOf(ms: number): string {
  return new Date(ms).toISOString();
}

const zonesWanted = Number(process.env['DRAGONLOCK_ZONES'] ?? 8);
const withEdges = timeZones().filter((zone) => new Wall(zone).edges().length >= 2);
// Lord Howe's summer time is half an hour.
const zones = withEdges.filter((zone, i, { length }) => {
  const place = (at: number): number => Math.floor((at * zonesWanted) / length);
  return zone === 'Australia/Lord_Howe' || place(i) !== place(i - 1);
});

test('instants are those of the clock on the wall, at both edges of summer time', () => {
  assert.ok(zones.length >= zonesWanted, `${zones.length} zones`);
  let compared = 0;
  for (const tz of zones) {
    const wall = new Wall(tz);
    for (const edge of wall.edges()) {
      const [from, to] = [edge - 0.6 * day, edge + 0.6 * day];
      const first = Math.floor(from / minute) * minute;
      for (const pattern of patterns) {
        // What comes twice may have begun before: the walk begins a day earlier.
        const expected = slowInstants(wall, pattern, first - 0.5 * day, to).filter((ms) => ms >= first);
        const found: number[] = [];
        let at: number | undefined = first - 1;
        while (at !== undefined) {
          at = nextInstant({ cron: pattern.cron, tz }, at, { fromMs: 0 });
          if (at === undefined || at >= to) break;
          found.push(at);
        }
        assert.deepEqual(
          found.map(textOf),
          expected.map(textOf),
          `${pattern.cron} in ${tz} around ${new Date(edge).toISOString()}`,
        );
        compared += expected.length;
      }
    }
  }
  assert.ok(compared > 40 * zones.length, `${compared} instants`);
});

test('a pattern is of five or six fields, with an instant', () => {
  for (const cron of [
    '30 2 * * *',
    '*/5 * * * * *',
    '0 9 * * MON-FRI',
    '0 0 L * *',
    '0 0 29 2 *',
    '0 0 30,1 2 *',
    '0 0 31 2 MON',
  ])
    assert.equal(flawOfCron(cron), undefined, cron);
  const bad = ['', '* * * *', '* * * * * * *', '@daily', '2027-01-01T00:00:00', '61 * * * *', '0 0 30 2 *'];
  for (const cron of [
    ...bad,
    '0 0 31 2,4,6,9,11 *',
    '0 0 31-31 2-2 *',
    '0 0 30W FEB *',
    '0 0 30/1 2 ?',
    '0 0 1 1 1\n',
    'é * * * *',
    `${'1,'.repeat(200)}1 * * * *`,
  ])
    assert.ok(flawOfCron(cron) !== undefined, cron);
});

test('a zone is a name of the IANA database', () => {
  for (const zone of ['UTC', 'Europe/Rome', 'America/Argentina/Buenos_Aires']) assert.ok(isTimeZone(zone), zone);
  for (const zone of ['', '+02:00', 'Europe/Roma', 'Mars/Phobos', '../etc', 'UTC\0'])
    assert.ok(!isTimeZone(zone), zone);
});

test('an interval counts from its beginning, whenever it is asked', () => {
  const every = { everyMs: 90_000 };
  const fromMs = start2027;
  assert.equal(nextInstant(every, fromMs, { fromMs }), fromMs + 90_000);
  assert.equal(nextInstant(every, fromMs + 89_999, { fromMs }), fromMs + 90_000);
  assert.equal(nextInstant(every, fromMs + 90_000, { fromMs }), fromMs + 180_000);
  assert.equal(nextInstant(every, fromMs + 1e9 + 1, { fromMs }), fromMs + Math.ceil(1e9 / 90_000) * 90_000);
});

test('missed instants are counted, and the last one is known', () => {
  const fromMs = start2027;
  const every = { everyMs: 60_000 };
  const dueMs = fromMs + 60_000;
  const most = 100;
  const found = (late: number): object => missedInstants(every, { dueMs, nowMs: dueMs + late, most }, { fromMs });
  assert.deepEqual(found(0), { count: 0, last: dueMs, next: dueMs + 60_000 });
  assert.deepEqual(found(59_999), { count: 0, last: dueMs, next: dueMs + 60_000 });
  assert.deepEqual(found(60_000 * 5000), { count: 5000, last: dueMs + 60_000 * 5000, next: dueMs + 60_000 * 5001 });
  const cron = { cron: '* * * * *', tz: 'UTC' };
  const late = missedInstants(cron, { dueMs, nowMs: dueMs + 90_000, most }, { fromMs });
  assert.deepEqual(late, { count: 1, last: dueMs + 60_000, next: dueMs + 120_000 });
  // More than are counted: the next one is still ahead.
  const far = missedInstants(cron, { dueMs, nowMs: dueMs + 1000 * 60_000, most }, { fromMs });
  assert.deepEqual([far.count, far.next], [100, dueMs + 1001 * 60_000]);
});
