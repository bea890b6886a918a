/**
 * Puts the records of several shards into revision order, straight into the buffer of the next frame.
 *
 * A shard hands over a chunk: ascending revisions, with gaps where other shards took theirs. If the chunk's first
 * revision is the next one of the log, it goes into the frame at once. Every other chunk waits, filed under its next
 * revision, until the log gets there. A chunk without gaps is copied as a whole, and its records are not parsed.
 *
 *       shard 0:  5 6 . . 9          frame: 5 6            waiting: 9 → chunk of shard 0
 *       shard 1:      7 8            frame: 5 6 7 8 9      waiting: nothing
 *
 * The frame takes no more than its limit, unless a single record is larger.
 */
import { assert } from '../../shared/assert.ts';
import { peekRecord, type RecordChunk } from '../../protocol/record.ts';
import { revision, type Revision } from '../../protocol/ids.ts';
import { frameHeaderBytes } from './frame.ts';

interface Cursor {
  bytes: Buffer;
  at: number;
  next: number;
  readonly last: number;
  count: number;
}

export class RecordQueue {
  /** The frame being built: space for the longest header, then records. */
  buffer = Buffer.allocUnsafeSlow(16 * 1024);
  /** Bytes of the frame so far, header included. */
  length = frameHeaderBytes;
  count = 0;
  /** The last revision in the frame; while it is empty, the one before it. */
  #last: number;
  readonly #waiting = new Map<number, Cursor>();

  constructor(last: Revision) {
    this.#last = last;
  }

  get first(): Revision {
    return revision(this.#last - this.count + 1);
  }

  get last(): Revision {
    return revision(this.#last);
  }

  /** Chunks that wait for a lower revision or for the next frame. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** @param owned nobody changes the bytes after this call, so a chunk that has to wait need not be copied */
  add(chunk: RecordChunk, owned: boolean, limit: number): void {
    const { first, last, count, bytes } = chunk;
    assert(count > 0 && last - first + 1 >= count, 'a chunk holds ascending revisions');
    assert(first > this.#last && !this.#waiting.has(first), 'a revision is journalled once');
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const cursor: Cursor = { bytes: buffer, at: 0, next: first, last, count };
    this.#take(cursor, limit);
    if (cursor.count > 0) {
      if (!owned) {
        cursor.bytes = Buffer.from(cursor.bytes.subarray(cursor.at));
        cursor.at = 0;
      }
      this.#file(cursor);
    }
    this.fill(limit);
  }

  /** Moves waiting records into the frame as far as they continue it. */
  fill(limit: number): void {
    for (;;) {
      const cursor = this.#waiting.get(this.#last + 1);
      if (cursor === undefined) return;
      const before = cursor.count;
      this.#waiting.delete(cursor.next);
      this.#take(cursor, limit);
      if (cursor.count > 0) this.#file(cursor);
      if (cursor.count === before) return;
    }
  }

  /** Starts the next frame, after this one is on disk. */
  clear(): void {
    this.length = frameHeaderBytes;
    this.count = 0;
  }

  #file(cursor: Cursor): void {
    assert(!this.#waiting.has(cursor.next), 'a revision is journalled once');
    this.#waiting.set(cursor.next, cursor);
  }

  /** Moves records from the front of the cursor into the frame, as long as they continue it and fit. */
  #take(cursor: Cursor, limit: number): void {
    if (cursor.next !== this.#last + 1) return;
    const rest = cursor.bytes.length - cursor.at;
    if (cursor.count === cursor.last - cursor.next + 1 && this.#fits(rest, limit)) {
      assert(peekRecord(cursor.bytes, cursor.at).rev === cursor.next, 'a chunk begins with its first revision');
      this.#copy(cursor, rest, cursor.count);
      cursor.count = 0;
      return;
    }
    let run = 0;
    let runCount = 0;
    while (runCount < cursor.count) {
      const record = peekRecord(cursor.bytes, cursor.at + run);
      if (record.rev !== this.#last + 1 + runCount) {
        assert(record.rev > this.#last + runCount && record.rev <= cursor.last, 'a chunk holds ascending revisions');
        cursor.next = record.rev;
        break;
      }
      cursor.next = record.rev;
      if (!(this.#fits(run + record.length, limit) || (this.count === 0 && runCount === 0))) break;
      run += record.length;
      runCount += 1;
    }
    this.#copy(cursor, run, runCount);
    cursor.at += run;
    cursor.count -= runCount;
  }

  #fits(bytes: number, limit: number): boolean {
    return this.length + bytes <= limit;
  }

  #copy(cursor: Cursor, bytes: number, count: number): void {
    const needed = this.length + bytes;
    if (needed > this.buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
      this.buffer.copy(grown, 0, 0, this.length);
      this.buffer = grown;
    }
    cursor.bytes.copy(this.buffer, this.length, cursor.at, cursor.at + bytes);
    this.length = needed;
    this.count += count;
    this.#last += count;
  }
}
