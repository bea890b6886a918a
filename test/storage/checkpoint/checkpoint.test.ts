import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageChannel, Worker } from 'node:worker_threads';
import { once } from 'node:events';
import { accountId, revision, shardId } from '../../../src/protocol/ids.ts';
import { kinds } from '../../../src/protocol/record.ts';
import { ThreadCheckpointWriter } from '../../../src/storage/checkpoint/checkpoint-link.ts';
import type { CheckpointThreadData } from '../../../src/storage/checkpoint/checkpoint-thread.ts';
import { MemoryCheckpointStore } from '../../support/memory-checkpoint-store.ts';
import { ShardStore } from '../../../src/storage/shard-store.ts';
import { assertCounts } from '../../support/assert-counts.ts';
import { checkpointer, entry, FlakyWriter, openStore, runChild, temporaryDirectory, zero } from '../store-support.ts';

const a = accountId('a');
const { kv } = kinds;

test('checkpoint: one is due when the memtable is half full, or a change is old', async () => {
  const level = new MemoryCheckpointStore();
  const store = new ShardStore(level);
  const checkpoints = checkpointer(store, level, { memtableBytesMax: 10_000, ageMsMax: 1000 });
  assert.equal(checkpoints.due(0), false);
  store.put(kv, a, 'k', entry(1));
  assert.equal(checkpoints.due(5000), false);
  assert.equal(checkpoints.due(5999), false);
  assert.equal(checkpoints.due(6000), true);
  assert.equal(await checkpoints.start(revision(1)), 'done');
  assert.equal(checkpoints.due(60_000), false);
  store.put(kv, a, 'large', entry(2, 0, `"${'x'.repeat(5000)}"`));
  assert.equal(checkpoints.due(60_000), true);
});

test('checkpoint: one is due when a replay would be long, although the memtable stays small', async () => {
  const level = new MemoryCheckpointStore();
  const store = new ShardStore(level);
  const checkpoints = checkpointer(store, level, { journalBytesMax: 10_000 });
  store.put(kv, a, 'k', entry(1));
  checkpoints.journalled(10_000);
  assert.equal(checkpoints.due(0), false);
  checkpoints.journalled(1);
  assert.equal(checkpoints.due(0), true);
  assert.equal(await checkpoints.start(revision(1)), 'done');
  store.put(kv, a, 'k', entry(2));
  assert.equal(checkpoints.due(0), false);
});

test('checkpoint: an idle shard moves its watermark without a change', async () => {
  const level = new MemoryCheckpointStore();
  const checkpoints = checkpointer(new ShardStore(level), level);
  assert.equal(await checkpoints.start(revision(77)), 'done');
  assert.equal(level.watermark(), 77);
});

test('checkpoint: without disk space everything stays readable, and the retry keeps the watermark of what it writes', async () => {
  const level = new MemoryCheckpointStore();
  const store = new ShardStore(level);
  const writer = new FlakyWriter(() => level);
  const checkpoints = checkpointer(store, level, { writer, memtableBytesMax: 3000, retryMs: 500 });
  store.put(kv, a, 'k', entry(1, 9));
  writer.hasSpace = false;
  assert.equal(checkpoints.due(0), false);
  assert.equal(await checkpoints.start(revision(1)), 'no-space');
  store.put(kv, a, 'k', entry(2, 8));
  store.put(kv, a, 'later', entry(3));
  assert.deepEqual(store.get(kv, a, 'k'), entry(2, 8));
  assert.deepEqual(checkpoints.due(499), false);
  assert.deepEqual(checkpoints.due(500), true);
  assert.equal(checkpoints.memtableFull(), false);
  store.put(kv, a, 'large', entry(4, 0, `"${'x'.repeat(3000)}"`));
  assert.equal(checkpoints.memtableFull(), true);
  assert.equal(await checkpoints.start(revision(4)), 'no-space');

  writer.hasSpace = true;
  assert.equal(await checkpoints.start(revision(4)), 'done');
  assert.equal(level.watermark(), 1);
  assert.deepEqual(new ShardStore(level).get(kv, a, 'k'), entry(1, 9));
  assert.equal(checkpoints.memtableFull(), false);
  assert.equal(await checkpoints.start(revision(4)), 'done');
  assert.equal(level.watermark(), 4);
  assert.deepEqual(new ShardStore(level).get(kv, a, 'later'), entry(3));
  assert.equal(new ShardStore(level).nextDeadline(), 8);
});

test('checkpoint: what is on its way stays readable until its commit has ended', async () => {
  const level = new MemoryCheckpointStore();
  const store = new ShardStore(level);
  const commits = Promise.withResolvers<void>();
  const inner = new FlakyWriter(() => level);
  const checkpoints = checkpointer(store, level, {
    writer: {
      begin: (shard) => inner.begin(shard),
      slice: (bytes) => inner.slice(bytes),
      commit: (watermark) => commits.promise.then(() => inner.commit(watermark)),
    },
  });
  store.put(kv, a, 'k', entry(1, 9));
  const done = checkpoints.start(revision(1));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(store.get(kv, a, 'k'), entry(1, 9));
  assert.deepEqual([checkpoints.watermark, level.watermark()], [0, 0]);
  commits.resolve();
  assert.equal(await done, 'done');
  assert.deepEqual(store.get(kv, a, 'k'), entry(1, 9));
  assert.deepEqual([checkpoints.watermark, level.watermark()], [1, 1]);
});

test('checkpoint: an error other than lack of space rejects, and no other checkpoint starts', async () => {
  const level = new MemoryCheckpointStore();
  const store = new ShardStore(level);
  const writer = new FlakyWriter(() => {
    throw new Error('input/output error');
  });
  const checkpoints = checkpointer(store, level, { writer });
  store.put(kv, a, 'k', entry(1));
  await assert.rejects(checkpoints.start(revision(1)), /input/);
  assert.equal(checkpoints.due(1e9), false);
});

test('checkpoint: however quick the writers are, all slices are on their way before the memtable is a third full again', async () => {
  const level = new MemoryCheckpointStore();
  const store = new ShardStore(level);
  let written = 0;
  const write = (keys: number): void => {
    for (const end = written + keys; written < end; written += 1) store.put(kv, a, `key-${written}`, entry(1));
  };
  write(40_000);
  const full = store.activeBytes;
  let turns = 0;
  const checkpoints = checkpointer(store, level, {
    yieldTurn: async () => {
      turns += 1;
      write(2000);
    },
  });
  assert.equal(await checkpoints.start(revision(1)), 'done');
  assert.ok(turns > 2, `${turns} turns were taken meanwhile`);
  assert.ok(store.activeBytes < full / 3, `${store.activeBytes} bytes after ${full}`);
});

test('checkpoint thread: it commits for several shards, and each sees its own', async () => {
  using directory = temporaryDirectory();
  const lmdb = openStore(directory.path, 3);
  const shards = [0, 1, 2].map((index) => lmdb.shard(shardId(index)));
  const channels = shards.map(() => new MessageChannel());
  const ports = channels.map((channel) => channel.port2);
  const workerData: CheckpointThreadData = { kind: 'checkpoint-thread', dataDirectory: directory.path, ports };
  const thread = new Worker(new URL('../../../src/storage/checkpoint/checkpoint-thread.ts', import.meta.url), {
    workerData,
    transferList: ports,
  });
  const writers = channels.map((channel) => new ThreadCheckpointWriter(channel.port1));
  await Promise.all(
    shards.map(async (level, index) => {
      const writer = writers[index];
      assert.ok(writer !== undefined);
      const store = new ShardStore(level);
      const checkpoints = checkpointer(store, level, { writer, shard: shardId(index) });
      for (let round = 1; round <= 3; round += 1) {
        for (let i = 0; i < 1000; i += 1) store.put(kv, a, `k${i}`, entry(round, i, `"${index}"`));
        assert.equal(await checkpoints.start(revision(round)), 'done');
        assert.equal(store.memtableSize, 0);
        assert.deepEqual(store.get(kv, a, 'k999'), entry(round, 999, `"${index}"`));
        assert.equal([...store.range(kv, a, '')].length, 1000);
        assert.equal(level.watermark(), round);
      }
    }),
  );
  assert.ok(lmdb.storeBytes() > 3 * 1000 * 30);
  for (const writer of writers) writer.close();
  await once(thread, 'exit');
  const [writer] = writers;
  assert.ok(writer !== undefined);
  const late = checkpointer(new ShardStore(new MemoryCheckpointStore()), new MemoryCheckpointStore(), { writer });
  await assert.rejects(late.start(revision(9)), /checkpoint thread has ended/);
  await lmdb.close();
});

for (const [failpoint, survives] of [
  ['checkpoint.before-commit', 'first'],
  ['checkpoint.committed', 'second'],
] as const) {
  test(`checkpoint: after a crash at ${failpoint} the store holds the ${survives} checkpoint, all of it`, async () => {
    using directory = temporaryDirectory();
    assert.equal(runChild('checkpoint/checkpoint-child.ts', [directory.path], `${failpoint}:2`), 'SIGKILL');
    const lmdb = openStore(directory.path);
    const level = lmdb.shard(zero);
    const store = new ShardStore(level);
    const rev = survives === 'first' ? 1 : 2;
    assert.equal(level.watermark(), rev);
    const found = [...store.range(kv, a, '')];
    assert.equal(found.length, survives === 'first' ? 2000 : 1000);
    assert.ok(found.every((e) => e.entry.rev === rev && e.entry.till === rev * 10));
    assert.equal(store.due(1e6, 10_000).length, found.length);
    assert.equal(store.countOf(a, kv).entries, found.length);
    assertCounts(store);
    await lmdb.close();
  });
}
