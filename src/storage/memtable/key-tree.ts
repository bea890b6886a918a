/**
 * An ordered set of keys: a B+ tree whose nodes and keys are blocks of an arena.
 *
 *   key     12 bytes of the owner (memtable.ts) | key length u16 | flags u16 | key, one byte a character
 *   nodes   see tree-nodes.ts
 *
 * A key's place never changes. Deletes never merge nodes: separators and empty leaves stay until the owner clears the
 * arena. A memtable lives a minute at most, so this is cheaper than rebalancing.
 *
 * A search skips the bytes that cannot differ: all keys between two neighbours begin with the prefix that the two
 * share.
 */
import { assert } from '../../shared/assert.ts';
import { chunkShift, unitMask, type Chunk, type ChunkArena } from './chunk-arena.ts';
import type { StorageKey } from '../storage-key.ts';
import { innerNodes, notLeaf, slots, TreeNodes } from './tree-nodes.ts';

/** Before a key's bytes: 12 bytes of the owner, length and flags. */
export const keyHeaderBytes = 16;

export const keyLengthMask = 0xffff;
const isSeparator = 0x10000;
/** Above this length a call into native code is faster than a loop. */
const loopCharsMax = 24;

export class KeyTree {
  readonly #arena: ChunkArena;
  readonly #chunks: readonly Chunk[];
  readonly #nodes: TreeNodes;
  #root = 0;
  #size = 0;

  // The last key looked for, and where its search ended: a key is first found missing, then added.
  #sought: StorageKey | undefined;
  #isHere = false;
  #soughtBytes = Buffer.allocUnsafeSlow(1024);
  #soughtLength = 0;
  #leaf = 0;
  #index = 0;
  /** Inner nodes from the root down, and the index of the node that the search took in each. */
  readonly #path: number[] = [];
  readonly #ways: number[] = [];

  constructor(arena: ChunkArena) {
    this.#arena = arena;
    this.#chunks = arena.chunks;
    this.#nodes = new TreeNodes(arena);
  }

  get size(): number {
    return this.#size;
  }

  /** The place of the key, 0 = it is not here. */
  find(key: StorageKey): number {
    return this.#seek(key) ? this.#slotAt(this.#leaf, this.#index) : 0;
  }

  /** The place of a new key. It must not be here yet. */
  add(key: StorageKey): number {
    assert(!this.#seek(key), 'a key is added once');
    assert(this.#soughtLength <= keyLengthMask, 'a key has at most 65535 bytes');
    this.#sought = undefined;
    const length = this.#soughtLength;
    const at = this.#arena.allocate(keyHeaderBytes + length);
    const { bytes, ints } = this.#chunks[at >>> chunkShift]!;
    ints[(at & unitMask) * 2 + 3] = length;
    const start = (at & unitMask) * 8 + keyHeaderBytes;
    const soughtBytes = this.#soughtBytes;
    if (length > loopCharsMax) soughtBytes.copy(bytes, start, 0, length);
    else for (let i = 0; i < length; i += 1) bytes[start + i] = soughtBytes[i]!;
    if (this.#root === 0) this.#root = this.#leaf = this.#nodes.add(0);
    const split = this.#nodes.putIntoLeaf(this.#leaf, this.#index, at);
    if (split !== 0) {
      const separator = this.#slotAt(split, 0);
      this.#markSeparator(separator);
      const descent = { root: this.#root, path: this.#path, ways: this.#ways };
      this.#root = this.#nodes.putIntoInner(descent, separator, split);
    }
    this.#size += 1;
    return at;
  }

  /** Frees the key's memory too, unless the key is a separator. */
  delete(key: StorageKey): void {
    assert(this.#seek(key), 'a key that is deleted is here');
    this.#sought = undefined;
    const node = this.#intsOf(this.#leaf);
    const base = (this.#leaf & unitMask) * 2;
    const at = node[base + slots + this.#index]!;
    const count = node[base]! - 1;
    node[base] = count;
    node.copyWithin(base + slots + this.#index, base + slots + this.#index + 1, base + slots + count + 1);
    if ((this.#keyWord(at) & isSeparator) === 0) this.#arena.free(at, keyHeaderBytes + this.#soughtLength);
    this.#size -= 1;
  }

  /** To be called after the arena was cleared. */
  clear(): void {
    this.#root = 0;
    this.#size = 0;
    this.#sought = undefined;
  }

  keyAt(at: number): StorageKey {
    const start = (at & unitMask) * 8 + keyHeaderBytes;
    return this.#chunks[at >>> chunkShift]!.bytes.toString('latin1', start, start + this.keyLength(at));
  }

  keyLength(at: number): number {
    return this.#keyWord(at) & keyLengthMask;
  }

  /** @returns the offset after the key */
  copyKey(at: number, target: Buffer, offset: number): number {
    const start = (at & unitMask) * 8 + keyHeaderBytes;
    return offset + this.#chunks[at >>> chunkShift]!.bytes.copy(target, offset, start, start + this.keyLength(at));
  }

  /** Up to `limit` places of keys with start ≤ key < end, in order. */
  range(start: StorageKey, end: StorageKey, limit: number): number[] {
    const found: number[] = [];
    if (this.#root === 0) return found;
    this.#seek(start);
    let leaf = this.#leaf;
    let index = this.#index;
    this.#setSought(end);
    this.#sought = undefined;
    while (leaf !== 0) {
      const node = this.#intsOf(leaf);
      const base = (leaf & unitMask) * 2;
      for (; index < node[base]!; index += 1) {
        if (found.length >= limit) return found;
        const at = node[base + slots + index]!;
        if (this.#compare(at) <= 0) return found;
        found.push(at);
      }
      leaf = node[base + 1]!;
      index = 0;
    }
    return found;
  }

  /** All places in the order of their keys. Nothing may change meanwhile. */
  *places(): Generator<number, void, undefined> {
    let leaf = this.#root;
    while (leaf !== 0 && this.#intsOf(leaf)[(leaf & unitMask) * 2 + 1] === notLeaf) leaf = this.#nodeAt(leaf, 0);
    while (leaf !== 0) {
      const node = this.#intsOf(leaf);
      const base = (leaf & unitMask) * 2;
      for (let index = 0; index < node[base]!; index += 1) yield node[base + slots + index]!;
      leaf = node[base + 1]!;
    }
  }

  /** Moves to the first place at or after the key. @returns whether the key is there */
  #seek(key: StorageKey): boolean {
    if (key !== this.#sought) this.#isHere = this.#search(key);
    this.#sought = key;
    return this.#isHere;
  }

  #search(key: StorageKey): boolean {
    this.#setSought(key);
    this.#path.length = 0;
    this.#ways.length = 0;
    this.#index = 0;
    this.#leaf = this.#root;
    if (this.#root === 0) return false;
    const chunks = this.#chunks;
    const soughtBytes = this.#soughtBytes;
    const soughtLength = this.#soughtLength;
    let node = this.#root;
    // How much the key shares with the nearest keys before and after it that the search has met.
    let commonLow = 0;
    let commonHigh = 0;
    for (;;) {
      const { ints } = chunks[node >>> chunkShift]!;
      const base = (node & unitMask) * 2;
      const isLeaf = ints[base + 1] !== notLeaf;
      // In a leaf: finds the first key at or after the sought one. In an inner node: the first separator after it.
      let low = isLeaf ? 0 : 1;
      let high = ints[base]!;
      let isHere = false;
      while (low < high) {
        const middle = (low + high) >>> 1;
        // Inlined `#compare`: the call took half of the search's time.
        const at = ints[base + slots + middle]!;
        const chunk = chunks[at >>> chunkShift]!;
        const unit = at & unitMask;
        const length = chunk.ints[unit * 2 + 3]! & keyLengthMask;
        const start = unit * 8 + keyHeaderBytes;
        const { bytes } = chunk;
        const shorter = length < soughtLength ? length : soughtLength;
        let common = commonLow < commonHigh ? commonLow : commonHigh;
        while (common < shorter && soughtBytes[common] === bytes[start + common]) common += 1;
        const order = common < shorter ? soughtBytes[common]! - bytes[start + common]! : soughtLength - length;
        if (order > 0) {
          low = middle + 1;
          commonLow = common;
        } else if (order < 0) {
          high = middle;
          commonHigh = common;
        } else {
          // No other key in the node is as near.
          isHere = isLeaf;
          low = isLeaf ? middle : middle + 1;
          commonLow = common;
          break;
        }
      }
      if (isLeaf) {
        this.#leaf = node;
        this.#index = low;
        return isHere;
      }
      this.#path.push(node);
      this.#ways.push(low - 1);
      node = ints[base + innerNodes + low - 1]!;
    }
  }

  #setSought(key: StorageKey): void {
    const { length } = key;
    if (length > this.#soughtBytes.length) this.#soughtBytes = Buffer.allocUnsafeSlow(length * 2);
    this.#soughtLength = length;
    const soughtBytes = this.#soughtBytes;
    if (length > loopCharsMax) soughtBytes.write(key, 0, 'latin1');
    else for (let i = 0; i < length; i += 1) soughtBytes[i] = key.charCodeAt(i);
  }

  /** Above 0 when the sought key is after the one at `at`. */
  #compare(at: number): number {
    const { bytes } = this.#chunks[at >>> chunkShift]!;
    const start = (at & unitMask) * 8 + keyHeaderBytes;
    return this.#soughtBytes.compare(bytes, start, start + this.keyLength(at), 0, this.#soughtLength);
  }

  #intsOf(at: number): Int32Array {
    return this.#chunks[at >>> chunkShift]!.ints;
  }

  #slotAt(node: number, index: number): number {
    return this.#intsOf(node)[(node & unitMask) * 2 + slots + index]!;
  }

  #nodeAt(inner: number, index: number): number {
    return this.#intsOf(inner)[(inner & unitMask) * 2 + innerNodes + index]!;
  }

  #keyWord(at: number): number {
    return this.#intsOf(at)[(at & unitMask) * 2 + 3]!;
  }

  #markSeparator(at: number): void {
    const ints = this.#intsOf(at);
    const word = (at & unitMask) * 2 + 3;
    ints[word] = ints[word]! | isSeparator;
  }
}
