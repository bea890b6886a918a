/**
 * The nodes of a key tree, as blocks of an arena.
 *
 *   leaf    count i32 | next leaf i32 | places of keys i32 × 126, in order
 *   inner   count i32 | −1 | separators i32 × 63 | nodes i32 × 63
 *
 * Separator i is the place of a key: node i holds the keys from it on, node i − 1 those before it. The first separator
 * is never read.
 */
import { chunkShift, unitMask, type Chunk, type ChunkArena } from './chunk-arena.ts';

/** Index in a node, in 32-bit numbers, at which its keys begin. */
export const slots = 2;
const leafKeysMax = 126;
const innerNodesMax = 63;
/** Index in an inner node at which its nodes begin. */
export const innerNodes = slots + innerNodesMax;
export const notLeaf = -1;
const nodeBytes = 4 * (slots + leafKeysMax);

/** How a search came from the root to the leaf before a new node. */
export interface Descent {
  readonly root: number;
  /** The inner nodes on the way. */
  readonly path: readonly number[];
  /** For each of them, the index of the node that the search took. */
  readonly ways: readonly number[];
}

export class TreeNodes {
  readonly #arena: ChunkArena;
  readonly #chunks: readonly Chunk[];

  constructor(arena: ChunkArena) {
    this.#arena = arena;
    this.#chunks = arena.chunks;
  }

  /**
   * Puts the place of a key into a leaf.
   * @returns the new leaf after it if it was full, otherwise 0
   */
  putIntoLeaf(leaf: number, index: number, key: number): number {
    const ints = this.#intsOf(leaf);
    const base = (leaf & unitMask) * 2;
    const count = ints[base]!;
    if (count < leafKeysMax) {
      insertInto(ints, base + slots + index, base + slots + count, key);
      ints[base] = count + 1;
      return 0;
    }
    // Keys often arrive in order: then the full leaf stays full, and the next one begins.
    const kept = index === count ? count : count >>> 1;
    const right = this.add(ints[base + 1]!);
    const rightInts = this.#intsOf(right);
    const rightBase = (right & unitMask) * 2;
    rightInts.set(ints.subarray(base + slots + kept, base + slots + count), rightBase + slots);
    rightInts[rightBase] = count - kept;
    ints[base] = kept;
    ints[base + 1] = right;
    if (index <= kept && kept < count) {
      insertInto(ints, base + slots + index, base + slots + kept, key);
      ints[base] = kept + 1;
    } else {
      const first = rightBase + slots;
      insertInto(rightInts, first + index - kept, first + count - kept, key);
      rightInts[rightBase] = count - kept + 1;
    }
    return right;
  }

  /**
   * Adds a new node to the inner nodes above it.
   * @returns the root, which is a new one when the old one was full
   */
  putIntoInner({ root, path, ways }: Descent, firstKey: number, node: number): number {
    let separator = firstKey;
    let right = node;
    for (let level = path.length - 1; level >= 0; level -= 1) {
      const inner = path[level]!;
      const ints = this.#intsOf(inner);
      const base = (inner & unitMask) * 2;
      const count = ints[base]!;
      const index = ways[level]! + 1;
      if (count < innerNodesMax) {
        insertInto(ints, base + slots + index, base + slots + count, separator);
        insertInto(ints, base + innerNodes + index, base + innerNodes + count, right);
        ints[base] = count + 1;
        return root;
      }
      const kept = index === count ? count : count >>> 1;
      const split = this.add(notLeaf);
      const splitInts = this.#intsOf(split);
      const splitBase = (split & unitMask) * 2;
      const moved = count - kept;
      splitInts.set(ints.subarray(base + slots + kept, base + slots + count), splitBase + slots);
      splitInts.set(ints.subarray(base + innerNodes + kept, base + innerNodes + count), splitBase + innerNodes);
      splitInts[splitBase] = moved;
      ints[base] = kept;
      const [target, targetBase, targetIndex] =
        index <= kept && kept < count ? [ints, base, index] : [splitInts, splitBase, index - kept];
      const targetCount = target[targetBase]!;
      for (const [list, value] of [
        [targetBase + slots, separator],
        [targetBase + innerNodes, right],
      ] as const) {
        insertInto(target, list + targetIndex, list + targetCount, value);
      }
      target[targetBase] = targetCount + 1;
      separator = splitInts[splitBase + slots]!;
      right = split;
    }
    const above = this.add(notLeaf);
    const ints = this.#intsOf(above);
    const base = (above & unitMask) * 2;
    ints[base] = 2;
    ints[base + slots] = 0;
    ints[base + slots + 1] = separator;
    ints[base + innerNodes] = root;
    ints[base + innerNodes + 1] = right;
    return above;
  }

  /** @param next the leaf after it, 0 = none; `notLeaf` for an inner node */
  add(next: number): number {
    const node = this.#arena.allocate(nodeBytes);
    const ints = this.#intsOf(node);
    const base = (node & unitMask) * 2;
    ints[base] = 0;
    ints[base + 1] = next;
    return node;
  }

  #intsOf(at: number): Int32Array {
    return this.#chunks[at >>> chunkShift]!.ints;
  }
}

/** Inserts a number into a list that ends before `end`, and moves the numbers from `at` on by one. */
function insertInto(ints: Int32Array, at: number, end: number, value: number): void {
  ints.copyWithin(at + 1, at, end);
  ints[at] = value;
}
