/**
 * The store against a naive map, over random sequences of everything that can happen to it: writes, reads, checkpoints
 * with writes in the middle, checkpoints that find no disk space, crashes that leave only what was committed. Counts are compared with
 * the oracle's and with a walk over the content.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { revision, type AccountId } from '../../src/protocol/ids.ts';
import type { LocatedEntry } from '../../src/protocol/entries.ts';
import { Quotas } from '../../src/protocol/quotas.ts';
import { kinds, type Kind } from '../../src/protocol/record.ts';
import type { Checkpointer } from '../../src/storage/checkpoint/checkpointer.ts';
import type { CheckpointStore, CheckpointTarget } from '../../src/storage/checkpoint-store.ts';
import { assertCounts, inOrder } from '../support/assert-counts.ts';
import { amountsOf } from '../support/map-entries.ts';
import { MemoryCheckpointStore } from '../support/memory-checkpoint-store.ts';
import { AccountUsages } from '../../src/storage/account-usage.ts';
import { ShardStore } from '../../src/storage/shard-store.ts';
import { encodeWatermark } from '../../src/storage/entry-codec.ts';
import { deadlineEnd, deadlineKey, deadlinePrefix, storageKey, watermarkKey } from '../../src/storage/storage-key.ts';
import {
  accounts,
  checkpointer,
  entry,
  FlakyWriter,
  keys,
  openStore,
  Oracle,
  sorted,
  temporaryDirectory,
  testKinds,
  zero,
} from './store-support.ts';

type Level = CheckpointStore & CheckpointTarget;

interface Place {
  readonly kind: Kind;
  readonly account: AccountId;
  readonly key: string;
}

type Step =
  | (Place & { readonly do: 'put'; readonly till: number; readonly value: string })
  | (Place & { readonly do: 'delete' | 'read-then-put' })
  | (Place & { readonly do: 'range'; readonly after: string | undefined; readonly limit: number })
  | { readonly do: 'due'; readonly now: number; readonly limit: number; readonly remove: boolean }
  | { readonly do: 'checkpoint'; readonly hasSpace: boolean; readonly meanwhile: readonly Step[] }
  | { readonly do: 'count' }
  /** A version without counts had the store until this start. */
  | { readonly do: 'crash'; readonly withoutCounts: boolean };

const place = {
  kind: fc.constantFrom(...testKinds),
  // A few of them often, so that most steps meet an entry that is there.
  account: fc.constantFrom(...accounts, ...accounts.slice(0, 1), ...accounts.slice(0, 1), ...accounts.slice(0, 1)),
  key: fc.oneof(fc.constantFrom('a', 'a/', '\u{1F600}', '\uE000'), fc.constantFrom(...keys)),
};
const till = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 12 }), fc.constant(2 ** 48 - 2));
const value = fc.constantFrom('1', '"é"', '"\u{1F600}"', `"${'x'.repeat(3000)}"`, '{"a":[]}', `"${'é'.repeat(5000)}"`);

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('put' as const), ...place, till, value }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('delete' as const), ...place }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('read-then-put' as const), ...place }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('range' as const),
      ...place,
      after: fc.option(fc.constantFrom(...keys), { nil: undefined }),
      limit: fc.integer({ min: 1, max: 20 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('due' as const),
      now: fc.integer({ min: 0, max: 13 }),
      limit: fc.integer({ min: 0, max: 5 }),
      remove: fc.boolean(),
    }),
  },
);

/** Entries of a queue have keys with a name and a letter, by which they are counted. */
const simpleStep = anyStep.map((step) =>
  'kind' in step && step.kind === kinds.queue
    ? { ...step, key: `${step.key}\0${step.key.length % 2 === 0 ? 'm' : 's'}:${step.key}` }
    : step,
);

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 20, arbitrary: simpleStep },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('checkpoint' as const),
        hasSpace: fc.oneof({ weight: 2, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
        meanwhile: fc.array(simpleStep, { maxLength: 6 }),
      }),
    },
    { weight: 1, arbitrary: fc.constant({ do: 'count' as const }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), withoutCounts: fc.boolean() }) },
  ),
  { minLength: 20, maxLength: 150, size: 'max' },
);

/** The first account has one. */
const quotas = new Quotas(
  { account_bytes_max: 0, account_entries_max: 0, account_messages_max: 0, account_tasks_max: 0 },
  new Map([[accounts[0]!, { bytes: 1000 }]]),
);
const nothing = { bytes: 0, entries: 0, messages: 0, tasks: 0 };

class Run {
  #level: Level;
  readonly #reopen: (withoutCounts: boolean) => Promise<Level>;
  #store: ShardStore;
  #writer: FlakyWriter;
  #checkpointer: Checkpointer;
  #oracle = new Oracle();
  /** What a crash leaves, and what the frozen memtable will make of it. */
  #durable = new Oracle();
  #frozen: Oracle | undefined;
  #rev = 0;
  #meanwhile: readonly Step[] = [];

  constructor(level: Level, reopen: (withoutCounts: boolean) => Promise<Level>) {
    this.#level = level;
    this.#reopen = reopen;
    this.#store = new ShardStore(level, { usages: new AccountUsages(quotas) });
    this.#writer = new FlakyWriter(() => this.#level);
    this.#checkpointer = this.#newCheckpointer();
  }

  async step(step: Step): Promise<void> {
    switch (step.do) {
      case 'checkpoint':
        await this.#checkpoint(step.hasSpace, step.meanwhile);
        break;
      case 'crash':
        this.#level = await this.#reopen(step.withoutCounts);
        this.#store = new ShardStore(this.#level, { usages: new AccountUsages(quotas) });
        this.#checkpointer = this.#newCheckpointer();
        this.#oracle = this.#durable.clone();
        this.#frozen = undefined;
        this.#compareUnstored(step.withoutCounts);
        this.#compareCounts();
        break;
      case 'count':
        this.#compareCounts();
        break;
      default:
        this.#simple(step);
    }
    this.#compareDeadlines();
  }

  async finish(): Promise<void> {
    this.#compareAll();
    await this.#checkpoint(true, []);
    await this.#checkpoint(true, []);
    this.#compareAll();
    assert.equal(this.#store.memtableBytes, 0);
    assert.equal(this.#store.memtableSize, 0);
    const index = this.#level.keys(deadlinePrefix, deadlineEnd, 10_000).rows.map(([key]) => key);
    const expected = this.#oracle
      .due(Infinity)
      .map((e) => deadlineKey(e.entry.till, storageKey(e.kind, e.account, e.key)))
      .toSorted((a, b) => (a < b ? -1 : 1));
    assert.deepEqual(index, expected);
  }

  /** An entry may be filed before its till, never after it. */
  #compareDeadlines(): void {
    const next = this.#oracle.nextDeadline();
    if (next === Infinity) assert.equal(this.#store.nextDeadline(), Infinity);
    else assert.ok(this.#store.nextDeadline() <= next);
  }

  /** Each call files what has moved, up to its limit: until then it finds fewer. */
  #due(now: number, limit: number, expected: number): LocatedEntry[] {
    for (let calls = 1; ; calls += 1) {
      const found = this.#store.due(now, limit);
      if (found.length >= expected) return found;
      assert.ok(this.#store.nextDeadline() <= now, 'more is due');
      assert.ok(calls < 500, 'each call files something');
    }
  }

  #compareUnstored(withoutCounts: boolean): void {
    const { counts, current } = this.#level.counts();
    if (withoutCounts) assert.ok(!current);
    assert.equal(this.#store.countsUnstored, !current && (this.#oracle.size > 0 || counts.length > 0));
  }

  #compareCounts(): void {
    for (const account of accounts) this.#compareUsage(account);
    assertCounts(this.#store);
    assert.deepEqual(inOrder(this.#store.counts()), inOrder(this.#oracle.counts()));
  }

  /** Of an account with a quota it is exact after each write, also before all bytes are counted. */
  #compareUsage(account: AccountId): void {
    const quota = quotas.of(account);
    const { bytes, entries, messages, tasks, ...used } = this.#store.usageOf(account) ?? { ...nothing, quota };
    assert.equal(used.quota, quota);
    if (quota !== undefined)
      assert.deepEqual({ bytes, entries, messages, tasks }, amountsOf(this.#oracle.all(), account));
  }

  #compareAll(): void {
    this.#compareCounts();
    for (const e of this.#oracle.all()) assert.deepEqual(this.#store.get(e.kind, e.account, e.key), e.entry);
    for (const kind of testKinds) {
      for (const account of accounts) {
        assert.deepEqual([...this.#store.range(kind, account, '')], this.#oracle.range(kind, account, ''));
      }
    }
    const all = this.#oracle.due(Infinity);
    assert.deepEqual(sorted(this.#due(2 ** 48 - 2, 10_000, all.length)), sorted(all));
  }

  async #checkpoint(hasSpace: boolean, meanwhile: readonly Step[]): Promise<void> {
    this.#frozen ??= this.#oracle.clone();
    this.#writer.hasSpace = hasSpace;
    this.#meanwhile = meanwhile;
    const before = this.#checkpointer.watermark;
    const outcome = await this.#checkpointer.start(revision(this.#rev));
    assert.equal(outcome, hasSpace ? 'done' : 'no-space');
    if (hasSpace) {
      this.#durable = this.#frozen;
      this.#frozen = undefined;
      const stored = this.#level.counts();
      assert.deepEqual(inOrder(stored.counts), inOrder(this.#durable.counts()), 'stored counts are of the freeze');
      assert.ok(stored.current);
      assert.equal(this.#level.watermark(), this.#checkpointer.watermark);
    } else {
      assert.equal(this.#checkpointer.watermark, before);
      assert.equal(this.#level.watermark(), before);
    }
  }

  #newCheckpointer(): Checkpointer {
    return checkpointer(this.#store, this.#level, {
      writer: this.#writer,
      watermark: this.#level.watermark(),
      yieldTurn: async () => {
        for (const step of this.#meanwhile) await this.step(step);
        this.#meanwhile = [];
      },
    });
  }

  #simple(step: Exclude<Step, { do: 'checkpoint' | 'count' | 'crash' }>): void {
    if (step.do === 'due') {
      const all = this.#oracle.due(step.now);
      const expected = Math.min(step.limit, all.length);
      const found = this.#due(step.now, step.limit, expected);
      assert.equal(found.length, expected);
      assert.deepEqual(
        found.map((e) => e.entry.till),
        all.slice(0, step.limit).map((e) => e.entry.till),
      );
      for (const e of found) {
        assert.deepEqual(e.entry, this.#oracle.get(e.kind, e.account, e.key));
        if (step.remove) this.#remove(e);
      }
      return;
    }
    const { kind, account, key } = step;
    switch (step.do) {
      case 'put':
        this.#put(step, step.till, step.value);
        break;
      case 'delete':
        this.#remove(step);
        break;
      case 'read-then-put': {
        const old = this.#store.get(kind, account, key);
        assert.deepEqual(old, this.#oracle.get(kind, account, key));
        this.#put(step, old?.till ?? 3, '"again"');
        break;
      }
      case 'range': {
        const found = [...this.#store.range(kind, account, key, step.after).take(step.limit)];
        const all = this.#oracle.range(kind, account, key, step.after);
        assert.deepEqual(found, all.slice(0, step.limit));
        const listed = [...this.#store.keys(kind, account, key, step.after).take(step.limit)];
        assert.deepEqual(
          listed,
          all.slice(0, step.limit).map((located) => located.key),
        );
        break;
      }
    }
    assert.deepEqual(this.#store.get(kind, account, key), this.#oracle.get(kind, account, key));
    this.#compareUsage(account);
  }

  #put({ kind, account, key }: Place, till: number, value: string): void {
    this.#rev += 1;
    this.#store.put(kind, account, key, entry(this.#rev, till, value));
    this.#oracle.put(kind, account, key, entry(this.#rev, till, value));
  }

  #remove({ kind, account, key }: Place): void {
    this.#rev += 1;
    this.#store.delete(kind, account, key);
    this.#oracle.delete(kind, account, key);
  }
}

test('shard store: over a checkpoint in memory it behaves like a map, whatever happens', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (steps) => {
      const level = new MemoryCheckpointStore();
      const run = new Run(level, async (withoutCounts) => {
        if (withoutCounts) level.withoutCounts();
        return level;
      });
      for (const step of steps) await run.step(step);
      await run.finish();
    }),
    { numRuns: 300 },
  );
});

test('shard store: over LMDB it behaves like a map, closed and opened again in between', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (steps) => {
      using directory = temporaryDirectory();
      let store = openStore(directory.path);
      const run = new Run(store.shard(zero), async (withoutCounts) => {
        const level = store.shard(zero);
        const watermark = encodeWatermark(level.watermark()).subarray(0, 6);
        if (withoutCounts) store.transaction(() => level.putRaw(watermarkKey, watermark));
        await store.close();
        store = openStore(directory.path);
        return store.shard(zero);
      });
      for (const step of steps) await run.step(step);
      await run.finish();
      await store.close();
    }),
    { numRuns: 40 },
  );
});
