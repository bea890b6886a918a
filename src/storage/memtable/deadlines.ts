/**
 * The deadline keys of one memtable: deadline key → true, or undefined for "the one below is gone". memtable.ts says
 * how they change.
 *
 * A till that moves to later leaves the deadline key where it is: the entry is *filed* under an earlier time. When that
 * comes, the entry is filed under its till. So a lock that is taken and given back, or a TTL that is renewed, costs no
 * work in the tree. Before the memtable is frozen, every entry is filed under its till: the layers below know no other.
 */
import sortedBTree from 'sorted-btree';
import { assert } from '../../shared/assert.ts';
import type { Rows } from '../checkpoint-store.ts';
import { deadlineKey, type StorageKey } from '../storage-key.ts';

/** The place of a key in a memtable. */
type Slot = number;

const overheadBytes = 96;
// Measured with 200 k keys: wider nodes than the default of 32 make `get` a quarter cheaper.
const nodeSize = 128;
/** Up to this many entries are filed under an earlier time than their till. */
const filedEarlyMax = 128 * 1024;

export class Deadlines {
  readonly #rows = new sortedBTree.default<StorageKey, true | undefined>(undefined, byteOrder, nodeSize);
  /** The time under which an entry is filed, where that is before its till. */
  readonly #filedEarly = new Map<Slot, number>();
  #bytes = 0;

  get size(): number {
    return this.#rows.size;
  }

  /** Estimated use of memory. */
  get bytes(): number {
    return this.#bytes;
  }

  entries(): Iterable<[StorageKey, true | undefined]> {
    return this.#rows.entries();
  }

  /** (`getRange` returns one row more than its limit.) */
  read(start: StorageKey, end: StorageKey, limit: number): Rows<true | undefined> {
    const rows = this.#rows.getRange(start, end, false, limit);
    return { rows, more: rows.length >= limit };
  }

  /** Takes the deadline key of an entry away. */
  remove(till: number, key: StorageKey, belowTill: number): StorageKey {
    const deadline = deadlineKey(till, key);
    if (belowTill === till) this.#set(deadline, undefined);
    else this.#delete(deadline);
    return deadline;
  }

  add(till: number, key: StorageKey, belowTill: number): StorageKey {
    const deadline = deadlineKey(till, key);
    if (belowTill === till) this.#delete(deadline);
    else this.#set(deadline, true);
    return deadline;
  }

  /** The time under which the slot's entry is filed. @param till the entry's, 0 = none */
  filedUnder(slot: Slot, till: number): number {
    return this.#filedEarly.size === 0 ? till : (this.#filedEarly.get(slot) ?? till);
  }

  /** Notes that the slot's entry stays filed under an earlier time. @returns false if there is no room for that */
  fileEarly(slot: Slot, filed: number): boolean {
    if (this.#filedEarly.size >= filedEarlyMax && !this.#filedEarly.has(slot)) return false;
    this.#filedEarly.set(slot, filed);
    return true;
  }

  fileExactly(slot: Slot): void {
    if (this.#filedEarly.size > 0) this.#filedEarly.delete(slot);
  }

  get areExact(): boolean {
    return this.#filedEarly.size === 0;
  }

  /** Slots whose entries are filed under an earlier time than their till. */
  filedEarly(): Iterable<Slot> {
    return this.#filedEarly.keys();
  }

  #set(deadline: StorageKey, live: true | undefined): void {
    if (this.#rows.set(deadline, live)) this.#bytes += deadline.length + overheadBytes;
  }

  #delete(deadline: StorageKey): void {
    const removed = this.#rows.delete(deadline);
    assert(removed, 'a deadline key is where its entry says');
    this.#bytes -= deadline.length + overheadBytes;
  }
}

function byteOrder(a: StorageKey, b: StorageKey): number {
  return a < b ? -1 : a === b ? 0 : 1;
}
