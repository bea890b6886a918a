/**
 * The nodes of a key tree, as blocks of an arena.
 *
 *   leaf    count i32 | next leaf i32 | places of keys i32 × 126, in order
 *   inner   count i32 | −1 | separators i32 × 63 | nodes i32 × 63
 *
 * Separator i is the place of a key: node i holds what is at or behind it, node i − 1 what is before; the first one is not
 * looked at.
 */
import { chunkShift, unitMask, type Chunk, type ChunkArena } from './chunk-arena.ts';

/** Where in a node, in numbers of 32 bits, its keys begin; in an inner one also its nodes. */
export const slots = 2;
const leafKeysMax = 126;
const innerNodesMax = 63;
export const innerNodes = slots + innerNodesMax;
export const notLeaf = -1;
const nodeBytes = 4 * (slots + leafKeysMax);

export class TreeNodes {
  readonly #arena: ChunkArena;
  readonly #chunks: readonly Chunk[];

  constructor(arena: ChunkArena) {
    this.#arena = arena;
    this.#chunks = arena.chunks;
  }

  /**
   * Puts the place of a key into a leaf.
   * @returns the new leaf behind it when it was full, otherwise 0
   */
  putIntoLeaf(leaf: number, index: number, key: number): number {
    const ints = this.#intsOf(leaf);
    const base = (leaf & unitMask) * 2;
    const count = ints[base]!;
    if (count < leafKeysMax) {
      insertInto(ints, base + slots, count, index, key);
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
      insertInto(ints, base + slots, kept, index, key);
      ints[base] = kept + 1;
    } else {
      insertInto(rightInts, rightBase + slots, count - kept, index - kept, key);
      rightInts[rightBase] = count - kept + 1;
    }
    return right;
  }

  /**
   * Makes a new node known to the inner nodes on the path from the root to the leaf before it.
   * @param ways which of its nodes was taken in each
   * @returns the root, which is a new one when the old one was full
   */
  putIntoInner(root: number, path: readonly number[], ways: readonly number[], firstKey: number, node: number): number {
    let separator = firstKey;
    let right = node;
    for (let level = path.length - 1; level >= 0; level -= 1) {
      const inner = path[level]!;
      const ints = this.#intsOf(inner);
      const base = (inner & unitMask) * 2;
      const count = ints[base]!;
      const index = ways[level]! + 1;
      if (count < innerNodesMax) {
        insertInto(ints, base + slots, count, index, separator);
        insertInto(ints, base + innerNodes, count, index, right);
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
      insertInto(target, targetBase + slots, target[targetBase]!, targetIndex, separator);
      insertInto(target, targetBase + innerNodes, target[targetBase]!, targetIndex, right);
      target[targetBase] = target[targetBase]! + 1;
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

  /** @param next the leaf behind it, 0 = none; `notLeaf` for an inner node */
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

/** Moves what is behind by one, for a list of `count` numbers at `start`. */
function insertInto(ints: Int32Array, start: number, count: number, index: number, value: number): void {
  ints.copyWithin(start + index + 1, start + index, start + count);
  ints[start + index] = value;
}
