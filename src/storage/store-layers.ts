import type { AccountUsages } from './account-usage.ts';
import type { Rows } from './checkpoint-store.ts';
import type { Layer } from './layer-merge.ts';
import type { Memtable } from './memtable/memtable.ts';
import type { StorageKey } from './storage-key.ts';

export interface ShardStoreOptions {
  /** Called with the entries counted so far, while a store without counts is opened. */
  readonly onCounted?: (entries: number) => void;
  /** Absent: no account has a quota. */
  readonly usages?: AccountUsages;
}

/** The memtables of a store as they are now, and what changes with them. */
export interface Tables {
  readonly active: () => Memtable;
  readonly frozen: () => Memtable | undefined;
  readonly writes: () => number;
  readonly moves: () => number;
}

const noRows = { rows: [], more: false };

/** Returns the layers of a store, newest first: both memtables over its checkpoint. */
export function storeLayers<Value>(
  { active, frozen, writes, moves }: Tables,
  ofTable: (table: Memtable, start: StorageKey, end: StorageKey, limit: number) => Rows<Value | undefined>,
  below: (start: StorageKey, end: StorageKey, limit: number) => Rows<Value>,
): Layer<Value>[] {
  const ofFrozen = (start: StorageKey, end: StorageKey, limit: number): Rows<Value | undefined> => {
    const table = frozen();
    return table === undefined ? noRows : ofTable(table, start, end, limit);
  };
  return [
    { read: (start, end, limit) => ofTable(active(), start, end, limit), stamp: writes },
    { read: ofFrozen, stamp: moves },
    { read: below, stamp: moves },
  ];
}
