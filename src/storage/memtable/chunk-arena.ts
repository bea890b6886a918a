/**
 * Memory for many small blocks that are released together, outside of the JavaScript heap.
 *
 * A memtable of objects and strings takes twice the memory of its content. After it is dropped, its memory stays until
 * V8 collects the old generation, and the larger that is, the longer V8 waits. Here a block is a few bytes of a 1 MiB
 * chunk. Chunks return to a pool, and the next memtable takes them from there: loading keys leaves no garbage.
 *
 * A block's place is its offset in units of 8 bytes, counted over all chunks: a number that fits into 31 bits. No block
 * has place 0. The arena keeps a freed block for the next block of its size.
 */
import { assert } from '../../shared/assert.ts';

export const unitBytes = 8;
export const chunkBytes = 1024 * 1024;
export const chunkShift = 17;
export const unitMask = 2 ** chunkShift - 1;

/** One piece of memory with three views. */
export interface Chunk {
  readonly bytes: Buffer<ArrayBuffer>;
  readonly ints: Int32Array;
  readonly doubles: Float64Array;
}

/** Chunks that no arena uses. */
export class ChunkPool {
  readonly #chunks: Chunk[] = [];

  get size(): number {
    return this.#chunks.length;
  }

  take(): Chunk {
    return this.#chunks.pop() ?? newChunk();
  }

  /** Keeps as many chunks as this call returns: a similar memtable will need them. Frees the rest. */
  giveBack(chunks: readonly Chunk[]): void {
    for (const chunk of chunks) this.#chunks.push(chunk);
    for (const { bytes } of this.#chunks.splice(Math.max(1, chunks.length))) bytes.buffer.transfer(0);
  }
}

export class ChunkArena {
  readonly chunks: Chunk[] = [];
  readonly #pool: ChunkPool;
  /** Places of freed blocks, by size in units. */
  #freeBlocks: (number[] | undefined)[] = [];
  #next = 0;
  #end = 0;
  #used = 0;

  constructor(pool: ChunkPool) {
    this.#pool = pool;
  }

  /** Bytes allocated since the last `clear`, freed blocks included. */
  get used(): number {
    return this.#used;
  }

  /** @returns the place of a block with undefined content */
  allocate(bytes: number): number {
    const units = unitsOf(bytes);
    const free = this.#freeBlocks[units]?.pop();
    if (free !== undefined) return free;
    if (this.#next + units > this.#end) this.#addChunk(units);
    const at = this.#next;
    this.#next += units;
    this.#used += units * unitBytes;
    return at;
  }

  /** @param bytes the size that was allocated */
  free(at: number, bytes: number): void {
    (this.#freeBlocks[unitsOf(bytes)] ??= []).push(at);
  }

  /** Drops all blocks and keeps the first chunk. */
  clear(): void {
    if (this.chunks.length > 1) this.#pool.giveBack(this.chunks.splice(1));
    this.#freeBlocks = [];
    this.#next = 1;
    this.#end = this.chunks.length << chunkShift;
    this.#used = 0;
  }

  /** Returns all chunks to the pool. Reading a block afterwards finds no chunk. */
  release(): void {
    this.#pool.giveBack(this.chunks.splice(0));
    this.clear();
  }

  #addChunk(units: number): void {
    assert(units < unitMask, 'a block fits into a chunk');
    this.#next = this.chunks.length << chunkShift;
    this.#end = this.#next + unitMask + 1;
    this.chunks.push(this.#pool.take());
    if (this.#next === 0) this.#next = 1;
  }
}

/** The size of the block for this many bytes. */
export function blockBytes(bytes: number): number {
  return unitsOf(bytes) * unitBytes;
}

/** Above 128 bytes sizes go in steps of an eighth, so that a growing value can reuse blocks of other values. */
function unitsOf(bytes: number): number {
  const units = (bytes + unitBytes - 1) >>> 3;
  const step = units < 16 ? 1 : 1 << (28 - Math.clz32(units));
  return (units + step - 1) & -step;
}

function newChunk(): Chunk {
  const bytes = Buffer.allocUnsafeSlow(chunkBytes);
  return { bytes, ints: new Int32Array(bytes.buffer), doubles: new Float64Array(bytes.buffer) };
}
