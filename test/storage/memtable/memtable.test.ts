import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Entry } from '../../../src/protocol/entries.ts';
import { ChunkPool } from '../../../src/storage/memtable/chunk-arena.ts';
import { readEntry } from '../../../src/storage/entry-codec.ts';
import { Memtable, noEntry } from '../../../src/storage/memtable/memtable.ts';
import { decodeSlice, encodeSlices } from '../../../src/storage/memtable/slice-codec.ts';
import { entry } from '../store-support.ts';

function put(memtable: Memtable, key: string, value: Entry | undefined, below = noEntry): void {
  const slot = memtable.find(key);
  memtable.write(slot === 0 ? memtable.add(key, below) : slot, value);
}

test('memtable: values of every size and alphabet are read and stored as they were written last', () => {
  const memtable = new Memtable(new ChunkPool());
  const expected = new Map<string, Entry>();
  const texts = [
    '',
    'a',
    'x'.repeat(95),
    'x'.repeat(96),
    'x'.repeat(4096),
    'x'.repeat(4097),
    'x'.repeat(200_000),
  ].concat('é', 'aé'.repeat(40), 'é'.repeat(4096), '\u{1F600}'.repeat(2049), 'x'.repeat(4095) + '\uFFFF');
  // Every text follows every other one, in its own place and often.
  let rev = 0;
  for (let round = 0; round < texts.length; round += 1) {
    for (let key = 0; key < texts.length; key += 1) {
      const value = entry((rev += 1), (key % 2) * 2 ** 47, texts[(key * (round + 1)) % texts.length]);
      put(memtable, `k${key}`, value);
      expected.set(`k${key}`, value);
    }
    for (const [key, value] of expected) assert.deepEqual(memtable.entry(memtable.find(key)), value);
  }
  memtable.freeze();
  const stored = new Map<string, Entry>();
  for (const slice of encodeSlices(memtable)) {
    assert.equal(slice.buffer.byteLength, slice.byteLength);
    decodeSlice(slice, (key, value) => stored.set(key, readEntry(value!)));
  }
  assert.deepEqual(stored, new Map([...expected].toSorted(([a], [b]) => (a < b ? -1 : 1))));
});

test('memtable: the memory of one that was dropped is that of the next', () => {
  const pool = new ChunkPool();
  const fill = (keys: number): Memtable => {
    const memtable = new Memtable(pool);
    for (let i = 0; i < keys; i += 1) put(memtable, `key-${i}`, entry(1, 0, 'v'.repeat(64)));
    return memtable;
  };
  fill(50_000).release();
  const chunks = pool.size;
  assert.ok(chunks >= 5 && chunks <= 10, `${chunks} MiB for 50,000 keys and values of 75 bytes`);
  const next = fill(50_000);
  assert.equal(pool.size, 0);
  next.release();
  assert.equal(pool.size, chunks);
  // A lull lets go of what is not needed any more.
  fill(10).release();
  assert.equal(pool.size, 1);
});

test('memtable: one that has given its memory back cannot be read by mistake', () => {
  const memtable = new Memtable(new ChunkPool());
  put(memtable, 'k', entry(1));
  const slot = memtable.find('k');
  memtable.release();
  assert.equal(memtable.find('k'), 0);
  assert.throws(() => memtable.entry(slot));
});

test('memtable: keys that come and go use the memory of those before them', () => {
  const memtable = new Memtable(new ChunkPool());
  put(memtable, 'stays', entry(1));
  const before = memtable.bytes;
  for (let i = 0; i < 100_000; i += 1) {
    put(memtable, `key-${100_000 + i}`, entry(2));
    put(memtable, `key-${100_000 + i}`, undefined);
  }
  assert.equal(memtable.size, 1);
  assert.ok(memtable.bytes < before + 64 * 1024, `${memtable.bytes} bytes, ${before} before`);
});

test('memtable: values that grow again and again are counted with the blocks that they have left', () => {
  const memtable = new Memtable(new ChunkPool());
  for (let i = 0; i < 100; i += 1) put(memtable, `key-${i}`, entry(1));
  // Deleted in between, so that each is written for the first time.
  for (let size = 8; size <= 4096; size += 8) {
    for (let i = 0; i < 100; i += 1) {
      put(memtable, `key-${i}`, undefined, 0);
      put(memtable, `key-${i}`, entry(1, 0, 'x'.repeat(size)), 0);
    }
  }
  assert.ok(memtable.bytes > 100 * 4096);
  assert.ok(memtable.bytes < 10 * 1024 * 1024, `${memtable.bytes} bytes`);
});
