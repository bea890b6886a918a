/** What a look-up of a shard's content has found, kept for the write that often follows. */
import type { Entry } from '../protocol/entries.ts';
import type { ValueSize } from './checkpoint-store.ts';
import type { Slot } from './memtable/memtable.ts';
import type { StorageKey } from './storage-key.ts';

/** The result of a look-up. */
export interface Found extends ValueSize {
  key: StorageKey | undefined;
  /** In the active memtable; 0: the key is not there. */
  slot: Slot;
  /** The slot's entry, or the one below if there is no slot. */
  entry: Entry | undefined;
  /** Of the entry below, if there is no slot. */
  valueBytes: number;
  /** A slot's entry is read on demand: a blind write does not need it. */
  isRead: boolean;
}

export function forget(found: Found): void {
  found.key = undefined;
  found.entry = undefined;
}
