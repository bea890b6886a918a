/** A store says which server can read it, and an older one refuses it by name and changes nothing. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { accountId, revision } from '../../../src/protocol/ids.ts';
import { ownReader, type DataReader } from '../../../src/protocol/readers.ts';
import { kinds, type Kind } from '../../../src/protocol/record.ts';
import { NewerData } from '../../../src/shared/newer-data.ts';
import { LmdbStore, storeFormat } from '../../../src/storage/lmdb/lmdb-store.ts';
import { ShardStore } from '../../../src/storage/shard-store.ts';
import { checkpointer, entry, temporaryDirectory, zero } from '../store-support.ts';

const account = accountId('a');
/** `z`, which no server of today knows. */
const future = 0x7a as Kind;
const nextReader: DataReader = {
  number: ownReader.number + 1,
  kinds: new Map([...ownReader.kinds, [future, { name: 'future', reader: ownReader.number + 1 }]]),
};

/** What the next version writes into a directory. */
async function written(directory: string, kind: Kind): Promise<void> {
  const lmdb = new LmdbStore(directory, { reader: nextReader });
  if (lmdb.layout() === undefined)
    lmdb.writeLayout({ format: storeFormat, logId: '0'.repeat(16), shards: 1, generation: 1 });
  const target = lmdb.shard(zero);
  const store = new ShardStore(target);
  store.put(kind, account, 'x', entry(1));
  await checkpointer(store, target).start(revision(1));
  await lmdb.close();
}

test('newer data: as long as nothing new was written, the older server opens the store', async () => {
  using temporary = temporaryDirectory();
  await written(temporary.path, kinds.kv);
  const store = new LmdbStore(temporary.path);
  assert.deepEqual(store.needs(), { reader: 1, kinds: [] });
  await store.close();
});

test('newer data: the checkpoint that writes the first entry of a new kind says so, and older servers refuse', async () => {
  using temporary = temporaryDirectory();
  await written(temporary.path, kinds.kv);
  await written(temporary.path, future);
  const next = new LmdbStore(temporary.path, { reader: nextReader });
  assert.deepEqual(next.needs(), { reader: 2, kinds: ['future'] });
  await next.close();
  const file = path.join(temporary.path, 'store', 'data.mdb');
  const before = fs.readFileSync(file);
  assert.throws(
    () => new LmdbStore(temporary.path),
    (error) =>
      error instanceof NewerData &&
      /^The store in \S+ has entries of the kind future for reader 2; this server is reader 1\. Nothing was changed\. Start the version /.test(
        error.message,
      ),
  );
  assert.ok(fs.readFileSync(file).equals(before), 'nothing was changed');
});

test('newer data: another layout of the store is refused by its number', async () => {
  using temporary = temporaryDirectory();
  const store = new LmdbStore(temporary.path);
  store.writeLayout({ format: storeFormat + 1, logId: '0'.repeat(16), shards: 1, generation: 1 });
  await store.close();
  assert.throws(
    () => new LmdbStore(temporary.path),
    (error) => error instanceof NewerData && error.message.includes(`has format ${storeFormat + 1}; this server reads`),
  );
});

test('newer data: a store of before there were numbers is read', async () => {
  using temporary = temporaryDirectory();
  const store = new LmdbStore(temporary.path);
  store.writeLayout({ format: storeFormat, logId: '0'.repeat(16), shards: 1, generation: 1 });
  assert.deepEqual(store.needs(), { reader: 1, kinds: [] });
  await store.close();
});
