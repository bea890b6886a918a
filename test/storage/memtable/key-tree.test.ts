import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChunkArena, ChunkPool } from '../../../src/storage/memtable/chunk-arena.ts';
import { KeyTree } from '../../../src/storage/memtable/key-tree.ts';

/** Enough for three levels of nodes. */
const count = 12_000;
/** They have much in common, are each other's prefixes, and use every byte. */
const names = Array.from({ length: count }, (_, i) => {
  const text = i.toString(36);
  return `shared${'\0\xff\x7f'.slice(0, i % 4)}/${text}${'z'.repeat(i % 5 === 0 ? 90 : 0)}`;
});
const sorted = names.toSorted(byBytes);

const orders: readonly [name: string, names: readonly string[]][] = [
  ['in order', sorted],
  ['backwards', sorted.toReversed()],
  ['shuffled', shuffled(names)],
  ['in runs, as batches write them', shuffledRuns(sorted)],
];

for (const [order, input] of orders) {
  test(`key tree: with keys ${order} it finds and lists as a sorted list would`, () => {
    const tree = new KeyTree(new ChunkArena(new ChunkPool()));
    for (const [index, name] of input.entries()) {
      tree.add(name);
      // One in three goes again, and its memory is used by another key of its length.
      if (index % 3 === 2) tree.delete(input[index - 1]!);
    }
    const gone = new Set(input.filter((_, index) => index % 3 === 1 && index + 1 < input.length));
    check(tree, gone);
    for (const name of gone) tree.add(name);
    check(tree, new Set());
  });
}

test('key tree: it takes keys again after all of them were deleted', () => {
  const tree = new KeyTree(new ChunkArena(new ChunkPool()));
  for (const name of names) tree.add(name);
  for (const name of names) tree.delete(name);
  assert.equal(tree.size, 0);
  assert.deepEqual([...tree.places()], []);
  for (const name of names) tree.add(name);
  check(tree, new Set());
});

test('key tree: what is between, before and after its keys is not in it', () => {
  const tree = new KeyTree(new ChunkArena(new ChunkPool()));
  for (const name of names) tree.add(name);
  const known = new Set(names);
  let asked = 0;
  for (const name of names) {
    for (const other of [name.slice(0, -1), `${name}\0`, `${name.slice(0, -1)}\xfe`]) {
      if (known.has(other)) continue;
      asked += 1;
      assert.equal(tree.find(other), 0);
    }
  }
  assert.ok(asked > count);
});

function check(tree: KeyTree, gone: ReadonlySet<string>): void {
  const expected = sorted.filter((name) => !gone.has(name));
  assert.equal(tree.size, expected.length);
  assert.deepEqual(
    [...tree.places()].map((at) => tree.keyAt(at)),
    expected,
  );
  for (const name of names) {
    const at = tree.find(name);
    assert.equal(at === 0, gone.has(name));
    if (at !== 0) assert.equal(tree.keyAt(at), name);
  }
  for (let from = 0; from < expected.length; from += 997) {
    // Starts and ends that are in the tree, and ones that are not.
    for (const [start, end, first, last] of [
      [expected[from]!, expected[from + 300] ?? '\xff', from, from + 300],
      [`${expected[from]!}\0`, `${expected[from + 200] ?? '\xff'}\0`, from + 1, from + 201],
    ] as const) {
      const found = tree.range(start, end, 250).map((at) => tree.keyAt(at));
      assert.deepEqual(found, expected.slice(first, Math.min(last, first + 250)));
    }
  }
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a, 'latin1'), Buffer.from(b, 'latin1'));
}

/** The same each time: a linear congruence that visits every index once. */
function shuffled<T>(list: readonly T[]): T[] {
  return list.map((_, index) => list[(index * 7919 + 13) % list.length]!);
}

function shuffledRuns<T>(list: readonly T[]): T[] {
  const runs = Array.from({ length: list.length / 100 }, (_, run) => list.slice(run * 100, (run + 1) * 100));
  return shuffled(runs).flat();
}
