import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { LmdbStore, storeFormat } from '../../../src/storage/lmdb/lmdb-store.ts';
import { temporaryDirectory } from '../store-support.ts';

test('store: its names are synced at every start until one has given it a layout', async () => {
  using temporary = temporaryDirectory();
  const directory = temporary.path;
  const synced: string[] = [];
  const disk = { syncDirectory: (name: string) => void synced.push(path.relative(directory, name)) };
  // As a process that dies in its first start leaves it.
  await new LmdbStore(directory, { disk: { syncDirectory: () => {} } }).close();
  const store = new LmdbStore(directory, { disk });
  assert.deepEqual(synced, ['store', '']);
  store.writeLayout({ format: storeFormat, logId: '0'.repeat(16), shards: 1, generation: 1 });
  await store.close();
  await new LmdbStore(directory, { disk }).close();
  assert.deepEqual(synced, ['store', '']);
});
