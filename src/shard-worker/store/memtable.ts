/**
 * The memtable: an ordered map of everything that is newer than the layer below it, deletions included.
 *
 * Beside each key stands what lies below it (`belowTill`), looked up once, when the key enters the memtable. It answers
 * two questions for nothing afterwards: whether a deletion needs a tombstone, and whether a deadline key does. It stays
 * true for the memtable's whole life, because a checkpoint only moves content between the layers below.
 *
 * Deadlines have a tree of their own: deadline key → true, or undefined for "the one below is gone". For an entry whose
 * till changes from `from` to `to`, with `below` = belowTill:
 *
 *   leaving `from`:  below = from → tombstone    otherwise → the key is only here: remove it
 *   entering `to`:   below = to   → our tombstone goes, the one below shows again    otherwise → put it here
 *
 * so that over all layers exactly the live entries with a till have exactly one deadline key.
 */
import sortedBTree from 'sorted-btree';
import { assert } from '../../shared/assert.ts';
import type { Entry } from '../core/entries.ts';
import type { Chunk } from './checkpoint-store.ts';
import { deadlineKey, type StorageKey } from './storage-key.ts';

/** `belowTill` of a key that nothing lies below of. */
export const nothingBelow = -1;

/** One key in a memtable. Changed in place until the memtable is frozen. */
export class Slot {
  /** undefined: a tombstone. */
  entry: Entry | undefined;
  /** The till of the entry below, 0 = it has none, `nothingBelow` = there is no entry. */
  readonly belowTill: number;

  constructor(belowTill: number) {
    this.entry = undefined;
    this.belowTill = belowTill;
  }
}

/** What a key costs besides its own and its value's characters: measured 180 bytes, with 200 k short keys. */
const slotOverheadBytes = 192;
const deadlineOverheadBytes = 96;
// Measured with 200 k keys: wider nodes than the default of 32 make `get` a quarter cheaper.
const nodeSize = 128;

const BTree = sortedBTree.default;
type BTree<V> = sortedBTree.default<StorageKey, V>;

export class Memtable {
  readonly slots: BTree<Slot> = new BTree<StorageKey, Slot>(undefined, byteOrder, nodeSize);
  readonly deadlines: BTree<true | undefined> = new BTree<StorageKey, true | undefined>(undefined, byteOrder, nodeSize);
  #bytes = 0;
  #frozen = false;

  /** Estimated heap use. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Keys, tombstones included, deadline keys not. */
  get size(): number {
    return this.slots.size;
  }

  get isEmpty(): boolean {
    return this.slots.size === 0 && this.deadlines.size === 0;
  }

  /**
   * Puts `entry` (undefined: a tombstone) into a slot that `find` or `add` returned.
   * @returns false when the slot is gone, because a tombstone over nothing is not kept
   */
  write(key: StorageKey, slot: Slot, entry: Entry | undefined): boolean {
    assert(!this.#frozen, 'a frozen memtable does not change');
    this.#bytes += (entry?.value.length ?? 0) - (slot.entry?.value.length ?? 0);
    slot.entry = entry;
    if (entry !== undefined || slot.belowTill !== nothingBelow) return true;
    this.slots.delete(key);
    this.#bytes -= key.length + slotOverheadBytes;
    return false;
  }

  find(key: StorageKey): Slot | undefined {
    return this.slots.get(key);
  }

  /** An empty slot for a key that is not here yet; `write` must follow. */
  add(key: StorageKey, belowTill: number): Slot {
    assert(!this.#frozen, 'a frozen memtable does not change');
    const slot = new Slot(belowTill);
    this.slots.set(key, slot);
    this.#bytes += key.length + slotOverheadBytes;
    return slot;
  }

  removeDeadline(till: number, key: StorageKey, belowTill: number): StorageKey {
    const deadline = deadlineKey(till, key);
    if (belowTill === till) this.#setDeadline(deadline, undefined);
    else this.#deleteDeadline(deadline);
    return deadline;
  }

  addDeadline(till: number, key: StorageKey, belowTill: number): StorageKey {
    const deadline = deadlineKey(till, key);
    if (belowTill === till) this.#deleteDeadline(deadline);
    else this.#setDeadline(deadline, true);
    return deadline;
  }

  freeze(): void {
    this.#frozen = true;
  }

  /** Rows with start ≤ key < end; undefined = tombstone. (`getRange` returns one row more than its limit.) */
  readEntries(start: StorageKey, end: StorageKey, limit: number): Chunk<Entry | undefined> {
    const pairs = this.slots.getRange(start, end, false, limit);
    return { rows: pairs.map(([key, slot]) => [key, slot.entry] as const), more: pairs.length >= limit };
  }

  readDeadlines(start: StorageKey, end: StorageKey, limit: number): Chunk<true | undefined> {
    const rows = this.deadlines.getRange(start, end, false, limit);
    return { rows, more: rows.length >= limit };
  }

  #setDeadline(deadline: StorageKey, live: true | undefined): void {
    if (this.deadlines.set(deadline, live)) this.#bytes += deadline.length + deadlineOverheadBytes;
  }

  #deleteDeadline(deadline: StorageKey): void {
    const removed = this.deadlines.delete(deadline);
    assert(removed, 'a deadline key is where its entry says');
    this.#bytes -= deadline.length + deadlineOverheadBytes;
  }
}

function byteOrder(a: StorageKey, b: StorageKey): number {
  return a < b ? -1 : a === b ? 0 : 1;
}
