import assert from 'node:assert/strict';
import { test } from 'node:test';
import { revision, serverAccount, shardId } from '../../../src/protocol/ids.ts';
import { kinds } from '../../../src/protocol/record.ts';
import { pointedIdOf, pointerTo } from '../../../src/protocol/stored-reply-pointer.ts';
import { ownerOf as realOwnerOf } from '../../../src/protocol/partition.ts';
import { LocalCheckpointWriter } from '../../../src/storage/checkpoint/checkpoint-link.ts';
import type { LmdbStore } from '../../../src/storage/lmdb/lmdb-store.ts';
import { clearOtherGenerations, repartition } from '../../../src/storage/lmdb/repartition.ts';
import { ShardStore } from '../../../src/storage/shard-store.ts';
import { assertCounts, inOrder } from '../../support/assert-counts.ts';
import {
  accounts,
  checkpointer,
  entry,
  keys,
  openStore,
  Oracle,
  ownerOf,
  runChild,
  sorted,
  temporaryDirectory,
  testKinds,
  zero,
} from '../store-support.ts';

/** More than one transaction's worth of rows in one shard, with and without deadlines. */
async function fill(lmdb: LmdbStore): Promise<Oracle> {
  const oracle = new Oracle();
  const store = new ShardStore(lmdb.shard(zero));
  let rev = 0;
  for (const account of accounts) {
    for (const kind of testKinds) {
      for (const name of [...keys, ...Array.from({ length: 700 }, (_, i) => `k/${i}`)]) {
        const key = kind === kinds.queue ? `${name}\0m:${rev}` : name;
        rev += 1;
        oracle.put(kind, account, key, entry(rev, rev % 3));
        store.put(kind, account, key, entry(rev, rev % 3));
      }
    }
  }
  oracle.put(kinds.boot, serverAccount, '', entry(rev));
  store.put(kinds.boot, serverAccount, '', entry(rev));
  const writer = new LocalCheckpointWriter((shard) => lmdb.shard(shard));
  await checkpointer(store, lmdb.shard(zero), { writer, memtableBytesMax: 1 }).start(revision(rev));
  return oracle;
}

/** Every entry is where its owner function says, with its deadline key, and nothing else is anywhere. */
function assertHolds(lmdb: LmdbStore, oracle: Oracle, shards: number): void {
  assert.equal(lmdb.layout()?.shards, shards);
  let rows = 0;
  for (let index = 0; index < shards; index += 1) {
    const own = new Oracle();
    for (const e of oracle.all()) {
      if (ownerOf(e.account, e.key, shards) === index) own.put(e.kind, e.account, e.key, e.entry);
    }
    const level = lmdb.shard(shardId(index));
    const store = new ShardStore(level);
    for (const kind of [...testKinds, kinds.boot]) {
      for (const account of [serverAccount, ...accounts]) {
        assert.deepEqual([...store.range(kind, account, '')], own.range(kind, account, ''));
      }
    }
    assert.deepEqual(sorted(store.due(100, 100_000)), sorted(own.due(100)));
    rows += level.usage().rows;
    assert.equal(level.usage().rows, own.size + own.due(100).length + own.counts().length + 1);
    assert.ok(level.counts().current);
    assert.deepEqual(inOrder(level.counts().counts), inOrder(own.counts()));
    assertCounts(store);
    assert.equal(level.watermark(), lmdb.shard(zero).watermark());
  }
  assert.ok(rows > oracle.size);
}

test('repartition: from one shard to three to two, everything is there and the old is gone', async () => {
  using directory = temporaryDirectory();
  let lmdb = openStore(directory.path);
  const oracle = await fill(lmdb);
  const watermark = lmdb.shard(zero).watermark();
  for (const shards of [3, 2]) {
    const progress: [number, number][] = [];
    const onProgress = (done: number, total: number): void => void progress.push([done, total]);
    assert.equal(await repartition(lmdb, { shards, ownerOf, onProgress }), true);
    assertHolds(lmdb, oracle, shards);
    const [done, total] = progress.at(-1) ?? [];
    assert.equal(done, total);
    assert.equal(total, oracle.size + oracle.due(100).length);
    assert.ok(progress.length > 1);
    assert.equal(await repartition(lmdb, { shards, ownerOf }), false);
    await lmdb.close();
    lmdb = openStore(directory.path);
    assertHolds(lmdb, oracle, shards);
    assert.equal(lmdb.generations().length, 1);
    assert.equal(lmdb.shard(zero).watermark(), watermark);
  }
  await lmdb.close();
});

test('repartition: stopped in the middle of copying, it is begun anew', async () => {
  using directory = temporaryDirectory();
  const lmdb = openStore(directory.path);
  const oracle = await fill(lmdb);
  await assert.rejects(repartition(lmdb, { shards: 3, ownerOf, onProgress: stop }), /stop/);
  assert.deepEqual(lmdb.generations(), [1, 2]);
  assert.equal(lmdb.layout()?.shards, 1);
  // Another number of shards than the time before: nothing of the half-built one may stay.
  await repartition(lmdb, { shards: 2, ownerOf });
  assertHolds(lmdb, oracle, 2);
  assert.deepEqual(lmdb.generations(), [2]);
  await lmdb.close();
});

for (const [failpoint, shardsAfter] of [
  ['repartition.copied', 1],
  ['repartition.switched', 3],
] as const) {
  test(`repartition: after a crash at ${failpoint} the store is whole with ${shardsAfter} shards, and it can be redone`, async () => {
    using directory = temporaryDirectory();
    const before = openStore(directory.path);
    const oracle = await fill(before);
    await before.close();
    assert.equal(runChild('lmdb/repartition-child.ts', [directory.path, '3'], failpoint), 'SIGKILL');
    const lmdb = openStore(directory.path);
    assert.equal(lmdb.layout()?.shards, shardsAfter);
    assert.deepEqual(lmdb.generations(), [1, 2]);
    clearOtherGenerations(lmdb);
    assert.deepEqual(lmdb.generations(), [shardsAfter === 1 ? 1 : 2]);
    if (shardsAfter === 3) assertHolds(lmdb, oracle, 3);
    await lmdb.close();
    assert.equal(runChild('lmdb/repartition-child.ts', [directory.path, '3']), null);
    const again = openStore(directory.path);
    assertHolds(again, oracle, 3);
    await again.close();
  });
}

test('repartition: parts stay beside their thing, entries and deadlines alike', async () => {
  using directory = temporaryDirectory();
  const lmdb = openStore(directory.path);
  const store = new ShardStore(lmdb.shard(zero));
  const [account] = accounts;
  const names = Array.from({ length: 50 }, (_, i) => `thing-${i}`);
  for (const key of names.flatMap(keysOf)) store.put(kinds.kv, account!, key, entry(1, 7));
  await checkpointer(store, lmdb.shard(zero)).start(revision(1));
  await repartition(lmdb, { shards: 5, ownerOf: realOwnerOf });
  for (const name of names) {
    const shard = new ShardStore(lmdb.shard(realOwnerOf(account!, name, 5)));
    for (const key of keysOf(name)) assert.deepEqual(shard.get(kinds.kv, account!, key), entry(1, 7));
    const due = new Set(shard.due(7, 1000).map(({ key }) => key));
    assert.ok(keysOf(name).every((key) => due.has(key)));
  }
  await lmdb.close();
});

test('repartition: an id that parts from the reply it points to gets the reply; the others keep their pointers', async () => {
  using directory = temporaryDirectory();
  const lmdb = openStore(directory.path);
  const store = new ShardStore(lmdb.shard(zero));
  const [account] = accounts;
  const ids = Array.from({ length: 16 }, (_, i) => `id-${i}`);
  const reply = '[2,"f",1,1,{"format":"batch"},{}]';
  ids.forEach((id, i) => store.put(kinds.idempotency, account!, id, entry(1, 7, i === 0 ? reply : pointerTo(ids[0]!))));
  // They have outlived their reply: the entry that they point to is of another commit.
  const old = Array.from({ length: 16 }, (_, i) => `old-${i}`);
  for (const id of old) store.put(kinds.idempotency, account!, id, entry(0, 7, pointerTo(ids[0]!)));
  await checkpointer(store, lmdb.shard(zero)).start(revision(1));
  let parted = 0;
  for (const shards of [2, 5, 1]) {
    await repartition(lmdb, { shards, ownerOf: realOwnerOf });
    for (const id of ids) {
      const shard = new ShardStore(lmdb.shard(realOwnerOf(account!, id, shards)));
      const value = shard.get(kinds.idempotency, account!, id)?.value;
      const pointed = pointedIdOf(value!);
      if (pointed === undefined && id !== ids[0]) parted += 1;
      assert.equal(pointed === undefined ? value : shard.get(kinds.idempotency, account!, pointed)?.value, reply);
      assertCounts(shard);
    }
    for (const id of old) {
      const shard = new ShardStore(lmdb.shard(realOwnerOf(account!, id, shards)));
      assert.equal(shard.get(kinds.idempotency, account!, id)?.value, pointerTo(ids[0]!));
    }
  }
  assert.ok(parted > 0);
  await lmdb.close();
});

test('repartition: every new shard knows of an account that is being deleted', async () => {
  using directory = temporaryDirectory();
  const lmdb = openStore(directory.path);
  const store = new ShardStore(lmdb.shard(zero));
  const [account] = accounts;
  store.put(kinds.deletion, account!, '0', entry(1, 1));
  store.put(kinds.kv, account!, 'k', entry(1, 0));
  await checkpointer(store, lmdb.shard(zero)).start(revision(1));
  for (const shards of [3, 5, 1]) {
    await repartition(lmdb, { shards, ownerOf: realOwnerOf });
    for (let index = 0; index < shards; index += 1) {
      const shard = new ShardStore(lmdb.shard(shardId(index)));
      assertCounts(shard);
      const [mark, ...more] = shard.due(7, 10);
      assert.deepEqual([mark?.kind, mark?.account, mark?.entry, more], [kinds.deletion, account, entry(1, 1), []]);
      assert.equal(realOwnerOf(account!, mark!.key, shards), index, 'the shard owns its mark');
    }
  }
  await lmdb.close();
});

function keysOf(name: string): string[] {
  return [name, `${name}\0m1`, `${name}\0g\0\0`, `${name}\0s\uE000`];
}

function stop(): never {
  throw new Error('stop');
}
