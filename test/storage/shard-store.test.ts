import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountId, revision } from '../../src/protocol/ids.ts';
import { kinds } from '../../src/protocol/record.ts';
import { MemoryCheckpointStore } from '../support/memory-checkpoint-store.ts';
import { ShardStore } from '../../src/storage/shard-store.ts';
import { deadlineKey } from '../../src/storage/storage-key.ts';
import { checkpointer, entry, openStore, Oracle, temporaryDirectory, zero } from './store-support.ts';

const a = accountId('a');
const { kv } = kinds;

test('range: thousands of keys over three layers come in order, each once, without the deleted ones', async () => {
  using directory = temporaryDirectory();
  const lmdb = openStore(directory.path);
  const level = lmdb.shard(zero);
  const store = new ShardStore(level);
  const oracle = new Oracle();
  const put = (i: number, rev: number): void => {
    store.put(kv, a, `k${i}`, entry(rev));
    oracle.put(kv, a, `k${i}`, entry(rev));
  };
  const remove = (i: number): void => {
    store.delete(kv, a, `k${i}`);
    oracle.delete(kv, a, `k${i}`);
  };
  for (let i = 0; i < 3000; i += 2) put(i, 1);
  await checkpointer(store, level).start(revision(1));
  for (let i = 0; i < 3000; i += 3) put(i, 2);
  for (let i = 500; i < 1500; i += 4) remove(i);
  store.freeze();
  for (let i = 0; i < 3000; i += 5) put(i, 3);
  for (let i = 1000; i < 2000; i += 3) remove(i);
  assert.deepEqual([...store.range(kv, a, '')], oracle.range(kv, a, ''));
  assert.deepEqual([...store.range(kv, a, 'k1', 'k15')], oracle.range(kv, a, 'k1', 'k15'));
  assert.deepEqual([...store.range(kv, a, 'k1', 'k2')], []);
  assert.deepEqual([...store.range(kv, a, 'k1', 'a')], oracle.range(kv, a, 'k1'));
  await lmdb.close();
});

test('range: it is lazy, and sees what is written after the place it has reached', () => {
  const store = new ShardStore(new MemoryCheckpointStore());
  for (const key of ['b', 'd', 'f']) store.put(kv, a, key, entry(1));
  const seen: string[] = [];
  for (const { key } of store.range(kv, a, '')) {
    seen.push(key);
    if (key !== 'b') continue;
    store.put(kv, a, 'a', entry(3));
    store.delete(kv, a, 'd');
    store.put(kv, a, 'e', entry(3));
  }
  assert.deepEqual(seen, ['b', 'e', 'f']);
});

test('range: a checkpoint that comes in between changes nothing', async () => {
  const level = new MemoryCheckpointStore();
  const store = new ShardStore(level);
  for (const key of ['b', 'd', 'f']) store.put(kv, a, key, entry(1));
  await checkpointer(store, level).start(revision(1));
  store.put(kv, a, 'c', entry(2));
  const seen: string[] = [];
  for (const { key } of store.range(kv, a, '')) {
    seen.push(key);
    if (key === 'b') {
      store.put(kv, a, 'a', entry(3));
      store.delete(kv, a, 'd');
      store.put(kv, a, 'e', entry(3));
    }
    if (key === 'c') await checkpointer(store, level, { watermark: revision(1) }).start(revision(3));
  }
  assert.deepEqual(seen, ['b', 'c', 'e', 'f']);
});

test('range: a chunk from the checkpoint ends early when its values are large', async () => {
  using directory = temporaryDirectory();
  const lmdb = openStore(directory.path);
  const level = lmdb.shard(zero);
  const store = new ShardStore(level);
  const large = JSON.stringify('é'.repeat(524_286));
  assert.equal(Buffer.byteLength(large), 1024 * 1024 - 2);
  for (let i = 0; i < 8; i += 1) store.put(kv, a, `k${i}`, entry(i, 0, large));
  store.put(kv, a, 'k9', entry(9));
  await checkpointer(store, level).start(revision(9));
  assert.equal(level.entries('\x01ak', '\x01al', 100).rows.length, 1);
  assert.deepEqual(store.get(kv, a, 'k3'), entry(3, 0, large));
  const found = [...store.range(kv, a, 'k')];
  assert.deepEqual(
    found.map((e) => e.entry.rev),
    [0, 1, 2, 3, 4, 5, 6, 7, 9],
  );
  assert.ok(found.slice(0, 8).every((e) => e.entry.value === large));
  await lmdb.close();
});

test('due: thousands of deadlines are worked off in order, a batch at a time', async () => {
  const level = new MemoryCheckpointStore();
  const store = new ShardStore(level);
  for (let i = 1; i <= 3000; i += 1) store.put(kv, a, `k${i}`, entry(i, i));
  await checkpointer(store, level).start(revision(3000));
  const tills: number[] = [];
  for (let batch = store.due(2500, 100); batch.length > 0; batch = store.due(2500, 100)) {
    for (const e of batch) {
      tills.push(e.entry.till);
      store.delete(e.kind, e.account, e.key);
    }
    assert.equal(store.nextDeadline(), tills.length + 1);
  }
  assert.deepEqual(
    tills,
    Array.from({ length: 2500 }, (_, i) => i + 1),
  );
  // An earlier deadline than all that were walked past is found again.
  store.put(kv, a, 'early', entry(1, 7));
  assert.equal(store.nextDeadline(), 7);
});

test('due: an entry whose till has moved to later ends then, and not when it would have', async () => {
  for (const isBelow of [false, true]) {
    const level = new MemoryCheckpointStore();
    const store = new ShardStore(level);
    store.put(kv, a, 'other', entry(1, 40));
    store.put(kv, a, 'k', entry(1, 10));
    if (isBelow) await checkpointer(store, level).start(revision(1));
    for (const till of [20, 25, 50, 30]) store.put(kv, a, 'k', entry(till, till));
    assert.equal(store.nextDeadline(), 10, 'it is filed where it was');
    assert.deepEqual(store.due(29, 100), []);
    assert.equal(store.nextDeadline(), 30);
    assert.deepEqual(
      store.due(40, 100).map((e) => [e.key, e.entry.rev, e.entry.till]),
      [
        ['k', 30, 30],
        ['other', 1, 40],
      ],
    );
    store.delete(kv, a, 'k');
    assert.equal(store.nextDeadline(), 40);
  }
});

test('due: one call files only so many that have moved, and says that more may be due', () => {
  const store = new ShardStore(new MemoryCheckpointStore());
  const many = 1000;
  for (let i = 0; i < many; i += 1) {
    store.put(kv, a, `k${i}`, entry(1, 10));
    store.put(kv, a, `k${i}`, entry(2, 100 + i));
  }
  let calls = 0;
  while (store.nextDeadline() <= 99) {
    assert.deepEqual(store.due(99, 100), []);
    calls += 1;
  }
  assert.equal(calls, many / 100);
  assert.equal(store.nextDeadline(), 100);
});

test('checkpoint: entries whose tills have moved are in it under their tills', async () => {
  const level = new MemoryCheckpointStore();
  const store = new ShardStore(level);
  const many = 3000;
  for (const till of [10, 90]) for (let i = 0; i < many; i += 1) store.put(kv, a, `k${i}`, entry(till, till));
  let turns = 0;
  const yieldTurn = async (): Promise<void> => {
    if (store.frozen === undefined) turns += 1;
  };
  await checkpointer(store, level, { yieldTurn }).start(revision(90));
  assert.equal(turns, 2, 'turns come in between');
  assert.equal(level.keys(deadlineKey(10, ''), deadlineKey(11, ''), 10).rows.length, 0);
  assert.equal(new ShardStore(level).nextDeadline(), 90);
  assert.equal(store.due(90, many).length, many);
});

test('checkpoint: while entries are filed for it, none stays where it was', () => {
  const store = new ShardStore(new MemoryCheckpointStore());
  const keys = Array.from({ length: 100 }, (_, i) => `k${i}`);
  for (const till of [10, 90]) for (const key of keys) store.put(kv, a, key, entry(till, till));
  assert.ok(!store.fileAll(10));
  for (const key of keys) store.put(kv, a, key, entry(100, 100));
  assert.equal(store.nextDeadline(), 100);
  assert.ok(store.fileAll(1));
});

test('memtable: what is put and deleted again over nothing leaves nothing, over something a tombstone', async () => {
  const level = new MemoryCheckpointStore();
  const store = new ShardStore(level);
  store.put(kv, a, 'k', entry(1, 5));
  store.delete(kv, a, 'k');
  store.delete(kv, a, 'never');
  assert.deepEqual([store.memtableSize, store.memtableBytes, store.isClean], [0, 0, true]);
  store.put(kv, a, 'k', entry(2, 5));
  await checkpointer(store, level).start(revision(2));
  store.put(kv, a, 'k', entry(3, 6));
  store.delete(kv, a, 'k');
  assert.equal(store.memtableSize, 1);
  assert.equal(store.get(kv, a, 'k'), undefined);
  assert.equal(store.nextDeadline(), Infinity);
  // The tombstone below is on its way; one more over it is not needed.
  store.freeze();
  store.put(kv, a, 'k', entry(4));
  store.delete(kv, a, 'k');
  assert.ok(store.isClean);
});
