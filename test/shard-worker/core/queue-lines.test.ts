/** What a shard remembers of a line: always the beginning of what is there, without passing again what is gone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Entries } from '../../../src/protocol/entries.ts';
import { rememberedQueuesMax } from '../../../src/shared/limits.ts';
import { QueueLine, QueueLines } from '../../../src/shard-worker/core/state/queue-lines.ts';
import { acme } from '../../support/commands.ts';
import { CoreUnderTest } from '../../support/core-under-test.ts';
import { MapEntries } from '../../support/map-entries.ts';
import { message, send, take } from '../../support/queue-commands.ts';
import { seededRandom } from '../../support/seeded-random.ts';

/** Rows that are ready again. What has been deleted stands in the way of a read until a checkpoint, as in the store. */
class ReadyRows {
  readonly there = new Set<string>();
  readonly #ever = new Set<string>();
  looked = 0;

  put(rest: string): void {
    this.there.add(rest);
    this.#ever.add(rest);
  }

  get first(): string | undefined {
    return [...this.there].toSorted()[0];
  }

  get entries(): Entries {
    const range = (_kind: number, _account: string, prefix: string, after = ''): Iterable<{ key: string }> => {
      if (!prefix.endsWith('r:')) return [];
      const rows = [...this.#ever].toSorted().filter((rest) => prefix + rest > after);
      return this.#walk(prefix, rows);
    };
    return { range, get: () => undefined } as unknown as Entries;
  }

  *#walk(prefix: string, rows: readonly string[]): Generator<{ key: string }> {
    for (const rest of rows) {
      this.looked += 1;
      if (this.there.has(rest)) yield { key: prefix + rest };
    }
  }
}

const restOf = (number: number): string => `9${String(number).padStart(6, '0')}`;

test('the head of a line is the first that is there, whatever comes and goes', () => {
  for (let seed = 1; seed <= 8; seed += 1) {
    const random = seededRandom(seed);
    const rows = new ReadyRows();
    for (let i = 0; i < 400; i += 1) rows.put(restOf(random.below(5000)));
    const line = new QueueLine(rows.entries, acme, 'q');
    for (let step = 0; step < 300; step += 1) {
      const dice = random.below(10);
      line.fill(1 + random.below(3));
      assert.equal(line.again.keys[0], rows.first, `seed ${seed}, step ${step}`);
      const head = dice < 6 ? rows.first : [...rows.there][random.below(rows.there.size)];
      if (dice < 8 && head !== undefined) {
        rows.there.delete(head);
        line.note('r', head, undefined);
      } else {
        // Mostly at the end; what is given back stands in front.
        const rest = restOf(dice === 8 ? 5000 + step : random.below(5000));
        rows.put(rest);
        line.note('r', rest, 'r');
      }
      // More than a line remembers come back to its front.
      if (random.below(100) === 0)
        for (let i = 0; i < 300; i += 1) {
          const rest = restOf(random.below(1000));
          rows.put(rest);
          line.note('r', rest, 'r');
        }
    }
  }
});

test('what has left a line is not passed again by each read', () => {
  const rows = new ReadyRows();
  const count = 4000;
  for (let i = 0; i < count; i += 1) rows.put(restOf(i));
  const line = new QueueLine(rows.entries, acme, 'q');
  for (let i = 0; i < count; i += 1) {
    line.fill(1);
    const head = line.again.keys[0]!;
    assert.equal(head, restOf(i));
    rows.there.delete(head);
    line.note('r', head, undefined);
  }
  assert.ok(rows.looked < 2 * count, `${rows.looked} rows were looked at for ${count} deliveries`);
});

test('what comes back in front of all that was passed is the head again', () => {
  for (const left of [0, 1, 30]) {
    const rows = new ReadyRows();
    for (let i = 0; i < 500; i += 1) rows.put(restOf(i));
    const line = new QueueLine(rows.entries, acme, 'q');
    line.fill(1);
    while (line.again.keys.length > left) {
      const head = line.again.keys[0]!;
      rows.there.delete(head);
      line.note('r', head, undefined);
    }
    rows.put(restOf(0));
    line.note('r', restOf(0), 'r');
    line.fill(1);
    assert.equal(line.again.keys[0], restOf(0), `${left} of those that were read are left`);
  }
});

test('of more than a line remembers that come back in front, none is forgotten', () => {
  const rows = new ReadyRows();
  for (let i = 0; i < 1000; i += 1) rows.put(restOf(i));
  const line = new QueueLine(rows.entries, acme, 'q');
  for (let i = 0; i < 700; i += 1) {
    line.fill(1);
    rows.there.delete(restOf(i));
    line.note('r', restOf(i), undefined);
  }
  for (let i = 699; i >= 100; i -= 1) {
    rows.put(restOf(i));
    line.note('r', restOf(i), 'r');
  }
  for (let i = 100; i < 1000; i += 1) {
    line.fill(1);
    assert.equal(line.again.keys[0], restOf(i));
    rows.there.delete(restOf(i));
    line.note('r', restOf(i), undefined);
  }
});

class CountedRanges extends MapEntries {
  ranges = 0;

  override range(...given: Parameters<MapEntries['range']>): ReturnType<MapEntries['range']> {
    this.ranges += 1;
    return super.range(...given);
  }
}

test('of ten thousand queues those used last are remembered, and of a million messages the first few', () => {
  const lines = new QueueLines();
  const entries = new MapEntries();
  for (let i = 0; i < 10_000; i += 1) lines.of(entries, acme, `q${i}`);
  assert.equal(lines.size, rememberedQueuesMax);
  assert.deepEqual(lines.lastUsed(1), [{ account: acme, queue: 'q9999' }]);
  const line = new QueueLine(entries, acme, 'q');
  line.fill(1);
  for (let i = 0; i < 10_000; i += 1) {
    line.note('m', restOf(i), 'm');
    line.note('r', restOf(i), 'r');
    assert.ok(line.fresh.keys.length <= 256 && line.again.keys.length <= 256);
  }
});

test('a Dequeue that has what it asks for looks at no further message or group', () => {
  const entries = new CountedRanges();
  const core = new CoreUnderTest({ entries });
  for (let i = 0; i < 9; i += 1) core.ask(send(message(i, { group: `g${i}` })));
  core.ask(take());
  entries.ranges = 0;
  core.ask(take({ max: 3 }));
  assert.equal(entries.ranges, 3, 'one read for each group');
});
