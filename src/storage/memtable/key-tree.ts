/**
 * An ordered set of keys: a B+ tree whose nodes and keys are blocks of an arena.
 *
 *   key     16 bytes of the owner's (see memtable.ts) of which the last four are these:
 *           key length u16 | flags u16 | key, one byte a character
 *   nodes   see tree-nodes.ts
 *
 * A key's place never changes. A key that has become a separator stays in memory when it is deleted. Leaves that have become empty stay, until the owner clears the arena: a memtable lives for a minute at most.
 *
 * A search compares the bytes of each key only from where it can differ: all keys between two neighbours begin with what
 * the two have in common.
 */
import { assert } from '../../shared/assert.ts';
import { chunkShift, unitMask, type Chunk, type ChunkArena } from './chunk-arena.ts';
import type { StorageKey } from '../storage-key.ts';
import { innerNodes, notLeaf, slots, TreeNodes } from './tree-nodes.ts';

/** In front of a key's bytes; all but the last four are the owner's. */
const keyHeaderBytes = 16;

const keyLengthMask = 0xffff;
const isSeparator = 0x10000;
/** From how many characters on a call into native code is faster than a loop. */
const loopCharsMax = 24;

export class KeyTree {
  readonly #arena: ChunkArena;
  readonly #chunks: readonly Chunk[];
  readonly #nodes: TreeNodes;
  #root = 0;
  #size = 0;

  // The key that is looked for, and where the search for it has ended. A key is found to be missing and then added.
  #sought: StorageKey | undefined;
  #isHere = false;
  #wanted = Buffer.allocUnsafeSlow(1024);
  #wantedLength = 0;
  #leaf = 0;
  #index = 0;
  /** Inner nodes from the root down, and which way was taken in each. */
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
    assert(this.#wantedLength <= keyLengthMask, 'a key has at most 65535 bytes');
    this.#sought = undefined;
    const length = this.#wantedLength;
    const at = this.#arena.allocate(keyHeaderBytes + length);
    const { bytes, ints } = this.#chunks[at >>> chunkShift]!;
    ints[(at & unitMask) * 2 + 3] = length;
    const start = (at & unitMask) * 8 + keyHeaderBytes;
    const wanted = this.#wanted;
    if (length > loopCharsMax) wanted.copy(bytes, start, 0, length);
    else for (let i = 0; i < length; i += 1) bytes[start + i] = wanted[i]!;
    if (this.#root === 0) this.#root = this.#leaf = this.#nodes.add(0);
    const split = this.#nodes.putIntoLeaf(this.#leaf, this.#index, at);
    if (split !== 0) {
      const separator = this.#slotAt(split, 0);
      this.#markSeparator(separator);
      this.#root = this.#nodes.putIntoInner(this.#root, this.#path, this.#ways, separator, split);
    }
    this.#size += 1;
    return at;
  }

  /** The memory is given back too, unless the tree still needs the key to find its way. */
  delete(key: StorageKey): void {
    assert(this.#seek(key), 'a key that is deleted is here');
    this.#sought = undefined;
    const node = this.#intsOf(this.#leaf);
    const base = (this.#leaf & unitMask) * 2;
    const at = node[base + slots + this.#index]!;
    const count = node[base]! - 1;
    node[base] = count;
    node.copyWithin(base + slots + this.#index, base + slots + this.#index + 1, base + slots + count + 1);
    if ((this.#keyWord(at) & isSeparator) === 0) this.#arena.free(at, keyHeaderBytes + this.#wantedLength);
    this.#size -= 1;
  }

  /** After the arena was cleared. */
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

  /** @returns the offset behind the key */
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
    this.#want(end);
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

  /** Ends at the first place at or behind the key. @returns whether the key is there */
  #seek(key: StorageKey): boolean {
    if (key !== this.#sought) this.#isHere = this.#search(key);
    this.#sought = key;
    return this.#isHere;
  }

  #search(key: StorageKey): boolean {
    this.#want(key);
    this.#path.length = 0;
    this.#ways.length = 0;
    this.#index = 0;
    this.#leaf = this.#root;
    if (this.#root === 0) return false;
    const chunks = this.#chunks;
    const wanted = this.#wanted;
    const wantedLength = this.#wantedLength;
    let node = this.#root;
    // What the key has in common with the nearest key before and behind that were met on the way.
    let commonLow = 0;
    let commonHigh = 0;
    for (;;) {
      const { ints } = chunks[node >>> chunkShift]!;
      const base = (node & unitMask) * 2;
      const isLeaf = ints[base + 1] !== notLeaf;
      // Of a leaf: the first key at or behind the wanted one. Of an inner node: the first separator behind it.
      let low = isLeaf ? 0 : 1;
      let high = ints[base]!;
      let isHere = false;
      while (low < high) {
        const middle = (low + high) >>> 1;
        // As `#compare` does it, which as a call would take half of the time.
        const at = ints[base + slots + middle]!;
        const chunk = chunks[at >>> chunkShift]!;
        const unit = at & unitMask;
        const length = chunk.ints[unit * 2 + 3]! & keyLengthMask;
        const start = unit * 8 + keyHeaderBytes;
        const { bytes } = chunk;
        const shorter = length < wantedLength ? length : wantedLength;
        let common = commonLow < commonHigh ? commonLow : commonHigh;
        while (common < shorter && wanted[common] === bytes[start + common]) common += 1;
        const order = common < shorter ? wanted[common]! - bytes[start + common]! : wantedLength - length;
        if (order > 0) {
          low = middle + 1;
          commonLow = common;
        } else if (order < 0) {
          high = middle;
          commonHigh = common;
        } else {
          // Nothing else in the node is as near.
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

  #want(key: StorageKey): void {
    const { length } = key;
    if (length > this.#wanted.length) this.#wanted = Buffer.allocUnsafeSlow(length * 2);
    this.#wantedLength = length;
    const wanted = this.#wanted;
    if (length > loopCharsMax) wanted.write(key, 0, 'latin1');
    else for (let i = 0; i < length; i += 1) wanted[i] = key.charCodeAt(i);
  }

  /** Above 0 when the wanted key is behind the one at `at`. */
  #compare(at: number): number {
    const { bytes } = this.#chunks[at >>> chunkShift]!;
    const start = (at & unitMask) * 8 + keyHeaderBytes;
    return this.#wanted.compare(bytes, start, start + this.keyLength(at), 0, this.#wantedLength);
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
