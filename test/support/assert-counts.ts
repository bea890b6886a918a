/** A shard's counts against a walk over its content. */
import assert from 'node:assert/strict';
import type { Amounts } from '../../src/protocol/quotas.ts';
import { kinds } from '../../src/protocol/record.ts';
import type { EntryCount } from '../../src/storage/checkpoint-store.ts';
import type { ShardStore } from '../../src/storage/shard-store.ts';

type Counted = Pick<ShardStore, 'counts' | 'countOf' | 'messagesOf' | 'stored' | 'recount'>;

export function assertCounts(store: Counted, where = 'the shard'): void {
  const expected = store.recount();
  assert.deepEqual(inOrder(store.counts()), inOrder(expected), `${where}: counts are those of the content`);
  for (const count of expected) {
    if (count.part === '') assert.deepEqual(store.countOf(count.account, count.kind), count);
  }
  const all = { bytes: 0, entries: 0, messages: 0, tasks: 0 };
  for (const account of new Set(expected.map((count) => count.account))) {
    const { bytes, entries, messages, tasks } = usageIn(expected.filter((count) => count.account === account));
    assert.equal(store.messagesOf(account), messages, `${where}: messages of ${account}`);
    all.bytes += bytes;
    all.entries += entries;
    all.messages += messages;
    all.tasks += tasks;
  }
  assert.deepEqual({ ...store.stored }, all, `${where}: usage is that of the content`);
}

/** Parts of locks and queues, and ids. */
const onlyBytes: ReadonlySet<number> = new Set([kinds.queue, kinds.share, kinds.idempotency, kinds.taskState]);

/** What these counts come to as quotas count. */
function usageIn(counts: readonly EntryCount[]): Amounts {
  const usage = { bytes: 0, entries: 0, messages: 0, tasks: 0 };
  for (const { kind, part, entries, bytes } of counts) {
    if (kind === kinds.audit || kind === kinds.deletion) continue;
    const isMessage = part !== '' && /^[^\0]*\0[mdgz]/.test(part);
    if (part === '') usage.bytes += bytes;
    if (isMessage) usage.messages += entries;
    if (part === '' && kind === kinds.task) usage.tasks += entries;
    if (isMessage || (part === '' && !onlyBytes.has(kind))) usage.entries += entries;
  }
  return usage;
}

export function inOrder(counts: Iterable<EntryCount>): string[] {
  return Array.from(counts, ({ account, kind, part, entries, bytes }) =>
    JSON.stringify([account, kind, part, entries, bytes]),
  ).toSorted();
}
