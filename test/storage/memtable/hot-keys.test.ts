import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountId } from '../../../src/protocol/ids.ts';
import { kinds } from '../../../src/protocol/record.ts';
import { ChunkArena, ChunkPool } from '../../../src/storage/memtable/chunk-arena.ts';
import { HotKeys } from '../../../src/storage/memtable/hot-keys.ts';
import { KeyTree } from '../../../src/storage/memtable/key-tree.ts';
import { storageKey } from '../../../src/storage/storage-key.ts';

const a = accountId('a');
const ab = accountId('ab');

function open(max = 100_000) {
  const arena = new ChunkArena(new ChunkPool());
  const tree = new KeyTree(arena);
  const hot = new HotKeys(arena.chunks, max);
  const add = (kind: 0x6b | 0x6c, account: typeof a, key: string): number => {
    const place = tree.add(storageKey(kind, account, key));
    return hot.add(place) ? place : 0;
  };
  return { hot, add };
}

test('hot keys: each of many is found, and nothing that is not among them', () => {
  const { hot, add } = open();
  const places = new Map<string, number>();
  for (let i = 0; i < 50_000; i += 1) places.set(`k${i}`, add(kinds.kv, a, `k${i}`));
  let found = 0;
  for (const [key, place] of places) {
    if (place !== 0 && hot.find(kinds.kv, a, key) === place) found += 1;
    assert.equal(hot.find(kinds.lock, a, key), 0);
    assert.equal(hot.find(kinds.kv, ab, key), 0);
    assert.equal(hot.find(kinds.kv, a, `${key}x`), 0);
  }
  // A key that finds no room near its place stays out.
  assert.ok(found >= 49_900, `${found} of 50,000`);
  assert.equal(hot.size, found);
});

test('hot keys: account, kind and key stay apart, whatever their characters', () => {
  const { hot, add } = open();
  const keys = ['', 'k', 'bk', '\0', 'é', '\u{1F600}', '\uFFFF', 'ÿ', '\u0080', 'x'.repeat(512)];
  const places = new Map<number, readonly [typeof kinds.kv | typeof kinds.lock, typeof a, string]>();
  for (const kind of [kinds.kv, kinds.lock] as const) {
    for (const account of [a, ab, accountId('z'.repeat(64))]) {
      for (const key of keys) places.set(add(kind, account, key), [kind, account, key]);
    }
  }
  assert.equal(places.size, 60);
  for (const [place, [kind, account, key]] of places) assert.equal(hot.find(kind, account, key), place);
});

test('hot keys: those that were taken out are gone, and their room is used again', () => {
  const { hot, add } = open();
  const stays = add(kinds.kv, a, 'stays');
  for (let i = 0; i < 20_000; i += 1) {
    const key = `k${i}`;
    const place = add(kinds.kv, a, key);
    assert.equal(hot.find(kinds.kv, a, key), place);
    hot.delete(place);
    assert.equal(hot.find(kinds.kv, a, key), 0);
  }
  assert.equal(hot.size, 1);
  assert.equal(hot.find(kinds.kv, a, 'stays'), stays);
});

test('hot keys: there is a most', () => {
  const { hot, add } = open(3);
  for (const key of ['a', 'b', 'c', 'd']) add(kinds.kv, a, key);
  assert.equal(hot.size, 3);
  assert.equal(hot.find(kinds.kv, a, 'd'), 0);
  hot.clear();
  assert.equal(hot.find(kinds.kv, a, 'a'), 0);
});
