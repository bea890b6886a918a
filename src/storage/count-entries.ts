import { partOf, type Entry } from '../protocol/entries.ts';
import { kinds } from '../protocol/record.ts';
import type { EntryCount } from './checkpoint-store.ts';
import { Counts } from './counts.ts';
import { entryHeaderBytes } from './entry-codec.ts';
import { mergeLayers, type Layer } from './layer-merge.ts';
import { entryRanges, parseStorageKey } from './storage-key.ts';

/** A walk reports its progress after this many entries. */
const entriesPerProgress = 1_000_000;

/** Counts by walking all entries. Calls `onProgress` now and then with the number so far. */
export function countEntries(layers: readonly Layer<Entry>[], onProgress?: (entries: number) => void): EntryCount[] {
  const counted = new Counts();
  let entries = 0;
  for (const [start, end] of entryRanges) {
    for (const [key, { value }] of mergeLayers(layers, start, end)) {
      const { account, kind, key: name } = parseStorageKey(key);
      const bytes = key.length + entryHeaderBytes + Buffer.byteLength(value);
      counted.add(account, kind, 1, bytes);
      if (kind === kinds.queue) counted.addPart(account, kind, partOf(name, value), 1, bytes);
      entries += 1;
      if (entries % entriesPerProgress === 0) onProgress?.(entries);
    }
  }
  return [...counted.all()];
}
