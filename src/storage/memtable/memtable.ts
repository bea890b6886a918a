/**
 * The memtable: an ordered map of everything that is newer than the layer below it, deletions included.
 *
 * Each key has the till of the entry below it (`belowTill`), looked up once, when the key enters the memtable. From
 * then on it says whether a deletion needs a tombstone, and whether a deadline key does. It stays true for the
 * memtable's whole life, because a checkpoint only moves content between the layers below.
 *
 * Deadlines have a tree of their own: deadline key → true, or undefined for "the one below is gone". For an entry whose
 * till changes from `from` to `to`, with `below` = belowTill:
 *
 *   leaving `from`:  below = from → tombstone    otherwise → the key is only here: remove it
 *   entering `to`:   below = to   → remove our tombstone, the one below shows again    otherwise → put it here
 *
 * So over all layers exactly the live entries with a till have exactly one deadline key.
 *
 * Keys and entries are blocks of an arena (chunk-arena.ts): a few hundred thousand of them take half the memory and
 * cost the garbage collector nothing. A slot is the place of a key in the arena:
 *
 *   slot    belowTill f64 | place of the entry i32, 0 = a tombstone | key (key-tree.ts)
 *   entry   see value-blocks.ts
 */
import { assert } from '../../shared/assert.ts';
import type { Entry } from '../../protocol/entries.ts';
import type { AccountId } from '../../protocol/ids.ts';
import type { Kind } from '../../protocol/record.ts';
import type { Rows } from '../checkpoint-store.ts';
import { ChunkArena, chunkShift, unitMask, type Chunk, type ChunkPool } from './chunk-arena.ts';
import { Deadlines } from './deadlines.ts';
import { HotKeys } from './hot-keys.ts';
import { KeyTree } from './key-tree.ts';
import type { StorageKey } from '../storage-key.ts';
import { ValueBlocks } from './value-blocks.ts';

/** In place of a till: there is no entry. */
export const noEntry = -1;

/** In place of a difference in bytes: `count` will tell it, until then it is 0. */
export const notCounted = -2_147_483_648;

/** One key in a memtable. Its entry changes until the memtable is frozen. No key has slot 0. */
export type Slot = number;

/**
 * What a key costs besides its own and its value's characters: 60 to 90 bytes here. A checkpoint costs as much again
 * for the half-filled pages that LMDB keeps in memory until its commit.
 */
const slotOverheadBytes = 192;

/** Up to this many keys that are written a second time are found without the tree and written without copying. */
const hotKeysMax = 128 * 1024;

export class Memtable {
  readonly deadlines = new Deadlines();
  readonly #arena: ChunkArena;
  readonly #chunks: readonly Chunk[];
  readonly #keys: KeyTree;
  readonly #values: ValueBlocks;
  readonly #hot: HotKeys;
  /** Keys whose values have changed since their bytes were counted. Some of the keys may be gone. */
  #uncounted: StorageKey[] = [];
  #bytes = 0;
  #frozen = false;

  constructor(pool: ChunkPool) {
    this.#arena = new ChunkArena(pool);
    this.#chunks = this.#arena.chunks;
    this.#keys = new KeyTree(this.#arena);
    this.#values = new ValueBlocks(this.#arena);
    this.#hot = new HotKeys(this.#chunks, hotKeysMax);
  }

  /** Estimated use of memory. */
  get bytes(): number {
    // The arena does not shrink before all keys are gone.
    return Math.max(this.#bytes + this.deadlines.bytes, this.#arena.used);
  }

  /** Keys, tombstones included, deadline keys not. */
  get size(): number {
    return this.#keys.size;
  }

  get isEmpty(): boolean {
    return this.#keys.size === 0 && this.deadlines.size === 0;
  }

  /** 0: the key is not here. */
  find(key: StorageKey): Slot {
    return this.#keys.find(key);
  }

  /** Faster than `find`. 0: the key is not among those that are written often. */
  findHot(kind: Kind, account: AccountId, key: string): Slot {
    return this.#hot.find(kind, account, key);
  }

  /** Adds a slot for a key that is not here yet. `write` must follow. */
  add(key: StorageKey, belowTill: number): Slot {
    assert(!this.#frozen, 'a frozen memtable does not change');
    const slot = this.#keys.add(key);
    this.#chunks[slot >>> chunkShift]!.doubles[slot & unitMask] = belowTill;
    this.#setPlace(slot, 0);
    this.#bytes += key.length + slotOverheadBytes;
    return slot;
  }

  /** The till of the entry below; 0: it has none; `noEntry`: there is no entry below. */
  belowTill(slot: Slot): number {
    return this.#chunks[slot >>> chunkShift]!.doubles[slot & unitMask]!;
  }

  /** undefined: a tombstone. */
  entry(slot: Slot): Entry | undefined {
    const place = this.#placeOf(slot);
    return place === 0 ? undefined : this.#values.get(place);
  }

  /** The till of the slot's entry; 0: it has none; `noEntry`: the slot is a tombstone. */
  till(slot: Slot): number {
    const place = this.#placeOf(slot);
    return place === 0 ? noEntry : this.#values.till(place);
  }

  /**
   * Puts `entry` (undefined: a tombstone) into a slot that `find` or `add` returned. A tombstone over nothing is not
   * kept: then the slot is gone.
   * @param countNow count the bytes of a value that is kept as a string too
   * @returns the difference in bytes between this value and the one before it, or `notCounted`
   */
  write(slot: Slot, entry: Entry | undefined, countNow = false): number {
    assert(!this.#frozen, 'a frozen memtable does not change');
    const old = this.#placeOf(slot);
    const oldLength = old === 0 ? 0 : this.#values.textLength(old);
    this.#bytes -= oldLength;
    if (entry !== undefined) {
      const isHot = old > 0 && this.#hot.add(slot);
      const place = this.#values.replace(old, entry, isHot || old < 0);
      if (place !== old) this.#setPlace(slot, place);
      const length = this.#values.textLength(place);
      this.#bytes += length;
      if (place > 0) return length - oldLength;
      if (countNow) return this.#values.count(place);
      if (!this.#values.markUncounted(place)) return 0;
      this.#uncounted.push(this.#keys.keyAt(slot));
      return notCounted;
    }
    const counted = old === 0 ? 0 : this.#values.countedBytes(old);
    this.#values.free(old);
    this.#setPlace(slot, 0);
    if (this.belowTill(slot) !== noEntry) return 0 - counted;
    this.#bytes -= this.#keys.keyLength(slot) + slotOverheadBytes;
    this.#hot.delete(slot);
    this.#keys.delete(this.#keys.keyAt(slot));
    if (this.#keys.size === 0) this.#clear();
    return 0 - counted;
  }

  /** How many keys `count` has to look at. */
  get uncounted(): number {
    return this.#uncounted.length;
  }

  /** Counts the bytes of up to `limit` changed values. Calls `changed` with each difference to the count before. */
  count(limit: number, changed: (key: StorageKey, bytes: number) => void): void {
    for (let left = Math.min(limit, this.#uncounted.length); left > 0; left -= 1) {
      const key = this.#uncounted.pop()!;
      const slot = this.find(key);
      const bytes = slot === 0 ? 0 : this.#values.count(this.#placeOf(slot));
      if (bytes !== 0) changed(key, bytes);
    }
  }

  /** Every entry must be filed under its till. */
  freeze(): void {
    assert(this.deadlines.areExact, 'the layers below find a deadline by the till of its entry');
    this.#frozen = true;
  }

  /** Returns its memory to the pool. Nothing may read it afterwards. */
  release(): void {
    this.#arena.release();
    this.#keys.clear();
    this.#values.clear();
    this.#hot.clear();
    this.#forgetUncounted();
  }

  /** Rows with start ≤ key < end; undefined = tombstone. */
  readEntries(start: StorageKey, end: StorageKey, limit: number): Rows<Entry | undefined> {
    const slots = this.#keys.range(start, end, limit);
    const rows = slots.map((slot) => [this.#keys.keyAt(slot), this.entry(slot)] as const);
    return { rows, more: rows.length >= limit };
  }

  /** As `readEntries`, without the entries. */
  readKeys(start: StorageKey, end: StorageKey, limit: number): Rows<true | undefined> {
    const slots = this.#keys.range(start, end, limit);
    const rows = slots.map((slot) => [this.#keys.keyAt(slot), this.#placeOf(slot) === 0 ? undefined : true] as const);
    return { rows, more: rows.length >= limit };
  }

  /** All slots in the order of their keys. The memtable is frozen. */
  slots(): Generator<Slot, void, undefined> {
    assert(this.#frozen, 'a memtable is frozen before all of it is read');
    return this.#keys.places();
  }

  keyAt(slot: Slot): StorageKey {
    return this.#keys.keyAt(slot);
  }

  keyLength(slot: Slot): number {
    return this.#keys.keyLength(slot);
  }

  /** @returns the offset after the key */
  copyKey(slot: Slot, target: Buffer, at: number): number {
    return this.#keys.copyKey(slot, target, at);
  }

  /** Upper bound of what `copyEntry` writes. */
  entryBytesMax(slot: Slot): number {
    const place = this.#placeOf(slot);
    return place === 0 ? 0 : this.#values.storedBytesMax(place);
  }

  /** Writes the entry as it is stored. @returns the offset after it; undefined for a tombstone */
  copyEntry(slot: Slot, target: Buffer, at: number): number | undefined {
    const place = this.#placeOf(slot);
    return place === 0 ? undefined : this.#values.copy(place, target, at);
  }

  #clear(): void {
    this.#arena.clear();
    this.#keys.clear();
    this.#values.clear();
    this.#hot.clear();
    this.#forgetUncounted();
  }

  #forgetUncounted(): void {
    if (this.#uncounted.length > 0) this.#uncounted = [];
  }

  #placeOf(slot: Slot): number {
    return this.#chunks[slot >>> chunkShift]!.ints[(slot & unitMask) * 2 + 2]!;
  }

  #setPlace(slot: Slot, place: number): void {
    this.#chunks[slot >>> chunkShift]!.ints[(slot & unitMask) * 2 + 2] = place;
  }
}
