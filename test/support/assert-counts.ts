/** A shard's counts against a walk over its content. */
import assert from 'node:assert/strict';
import type { EntryCount } from '../../src/storage/checkpoint-store.ts';
import type { ShardStore } from '../../src/storage/shard-store.ts';

type Counted = Pick<ShardStore, 'counts' | 'countOf' | 'recount'>;

export function assertCounts(store: Counted, where = 'the shard'): void {
  const expected = store.recount();
  assert.deepEqual(inOrder(store.counts()), inOrder(expected), `${where}: counts are those of the content`);
  for (const count of expected) {
    if (count.part === '') assert.deepEqual(store.countOf(count.account, count.kind), count);
  }
}

export function inOrder(counts: Iterable<EntryCount>): string[] {
  return Array.from(counts, ({ account, kind, part, entries, bytes }) =>
    JSON.stringify([account, kind, part, entries, bytes]),
  ).toSorted();
}
