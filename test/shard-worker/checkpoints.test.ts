import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LocalCheckpointWriter } from '../../src/storage/checkpoint/checkpoint-link.ts';
import { DurabilityWaiters } from '../../src/journal/durability-waiters.ts';
import { revision, shardId, type Revision } from '../../src/protocol/ids.ts';
import type { Journal } from '../../src/protocol/journal.ts';
import { kinds } from '../../src/protocol/record.ts';
import { LocalRevisions } from '../support/local-revisions.ts';
import { defaultLimits } from '../../src/shared/limits.ts';
import { newShardState } from '../../src/shard-worker/core/state/state.ts';
import { afterJournal, ShardCheckpoints } from '../../src/shard-worker/checkpoint-schedule.ts';
import { Checkpointer } from '../../src/storage/checkpoint/checkpointer.ts';
import { MemoryCheckpointStore } from '../support/memory-checkpoint-store.ts';
import { ShardStore } from '../../src/storage/shard-store.ts';
import { acme, set } from '../support/commands.ts';
import { startOfTime } from '../support/core-under-test.ts';

/** The checkpoints of one shard, over a journal whose durable revision the test sets. */
function shard() {
  const target = new MemoryCheckpointStore();
  const store = new ShardStore(target);
  const revisions = new LocalRevisions(revision(0));
  const awaited = new DurabilityWaiters();
  const told: number[] = [];
  const journal: Journal = {
    append: () => {},
    whenDurable: (rev, reached) => awaited.add(rev, reached),
    space: () => 'open',
    checkpointed: (_, watermark) => void told.push(watermark),
  };
  const state = newShardState({
    shard: shardId(0),
    limits: defaultLimits,
    entries: store,
    revisions,
    owns: () => true,
    recordBytesMax: Infinity,
    boot: { epoch: 1, rev: revision(0), at: startOfTime },
  });
  const checkpointer = new Checkpointer({
    shard: state.shard,
    store,
    writer: afterJournal(new LocalCheckpointWriter(() => target), journal, revisions),
    memtableBytesMax: 1024,
    watermark: revision(0),
    yieldTurn: async () => {},
  });
  const checkpoints = new ShardCheckpoints({ state, store, checkpointer, journal, storeBytes: () => 0, now: () => 0 });
  const put = (key: string): Revision => {
    const rev = revisions.next();
    store.put(kinds.kv, acme, key, { rev, till: 0, value: JSON.stringify('x'.repeat(1000)) });
    return rev;
  };
  const durable = (rev: number): void => {
    revisions.setDurable(revision(rev));
    awaited.reached(revision(rev));
  };
  return { target, store, revisions, state, checkpoints, told, put, durable };
}

function promisesSettle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('checkpoints of a shard', () => {
  test('claim the revision counter, but no more than when the oldest hold was placed', async () => {
    const { target, revisions, state, checkpoints, told, put, durable } = shard();
    put('a');
    const placedAt = revisions.current();
    const footprint = { names: ['acme\0k'] };
    state.holds.place({ transaction: 'b', footprint, command: set('k', 1), pending: [], placedAt });
    for (const key of ['b', 'c', 'd']) put(key);
    durable(4);
    checkpoints.afterTurn(startOfTime);
    await promisesSettle();
    assert.equal(target.watermark(), placedAt);
    assert.deepEqual(told, [placedAt]);
    state.holds.release('b');
    put('e');
    durable(5);
    checkpoints.afterTurn(startOfTime + 1000);
    await promisesSettle();
    assert.equal(target.watermark(), 5);
    assert.deepEqual(told, [placedAt, 5]);
  });

  test('are not written before the journal has everything that they hold', async () => {
    const { target, checkpoints, put, durable } = shard();
    put('a');
    put('b');
    durable(1);
    checkpoints.afterTurn(startOfTime);
    await promisesSettle();
    assert.equal(target.watermark(), 0);
    durable(2);
    await promisesSettle();
    assert.equal(target.watermark(), 2);
  });

  test('happen once more at a clean stop, however many ask for it, and never in parallel', async () => {
    const { target, checkpoints, put, durable } = shard();
    put('a');
    durable(1);
    const first = checkpoints.finish();
    checkpoints.afterTurn(startOfTime);
    const second = checkpoints.finish();
    checkpoints.afterTurn(startOfTime + 100_000);
    await Promise.all([first, second]);
    assert.equal(target.watermark(), 1);
    assert.equal(checkpoints.stats().checkpoints, 1);
  });
});
