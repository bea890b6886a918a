import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { DamagedStore, refuseDamagedStore } from '../../../src/storage/lmdb/damaged-store.ts';
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

test('store: one without its head, or cut off, is refused before LMDB maps it, and stays as it is', async () => {
  using temporary = temporaryDirectory();
  const directory = temporary.path;
  const store = new LmdbStore(directory);
  store.writeLayout({ format: storeFormat, logId: '0'.repeat(16), shards: 1, generation: 1 });
  await store.close();
  const file = path.join(directory, 'store/data.mdb');
  const whole = fs.readFileSync(file);
  const [page, size] = [4096, whole.length];
  assert.ok(size > 3 * page);
  const filled = (from: number, to: number, byte: number): Buffer => Buffer.from(whole).fill(byte, from, to);
  for (const [damaged, why] of [
    [Buffer.alloc(size), /its head is not that of a store/],
    [Buffer.alloc(7, 'x'), /its head/],
    [filled(0, size, 0xff), /its head/],
    [filled(0, page, 0x5a), /its head/],
    [filled(page, 2 * page, 0x5a), /its head/],
    [whole.subarray(0, page), /its head/],
    [whole.subarray(0, 2 * page), /it was cut off at 8192 bytes/],
  ] as const) {
    fs.writeFileSync(file, damaged);
    assert.throws(
      () => new LmdbStore(directory),
      (error) => error instanceof DamagedStore && why.test(error.message),
    );
    assert.ok(fs.readFileSync(file).equals(damaged));
  }
  for (const good of [whole, Buffer.alloc(0)]) {
    fs.writeFileSync(file, good);
    const again = new LmdbStore(directory);
    assert.equal(again.layout()?.shards, good === whole ? 1 : undefined);
    await again.close();
  }
});

test('a store that grows while it is looked at is not damaged', async ({ mock }) => {
  using temporary = temporaryDirectory();
  const store = new LmdbStore(temporary.path);
  store.writeLayout({ format: storeFormat, logId: '0'.repeat(16), shards: 1, generation: 1 });
  await store.close();
  const directory = path.join(temporary.path, 'store');
  const { size } = fs.statSync(path.join(directory, 'data.mdb'));
  const reads = mock.method(fs, 'readSync').mock;
  // A commit makes the file longer before it writes the meta page that is read.
  mock.method(fs, 'statSync', () => ({ size: 4096 }));
  mock.method(fs, 'fstatSync', () => ({ size: reads.callCount() >= 2 ? size : 4096 }));
  refuseDamagedStore(directory);
  mock.restoreAll();
});
