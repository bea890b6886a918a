import type { DiskFile } from '../../shared/disk.ts';
import {
  decodeFrame,
  frameHeaderBytesOf,
  frameMagic,
  peekFrameLength,
  type Frame,
  type FrameContext,
  type FrameFault,
} from './frame.ts';
import { isUnreadable } from './segment.ts';

export const windowBytes = 1024 * 1024;
/** A disk that cannot read a byte cannot read its page. */
const pageBytes = 4096;

/**
 * Reads a segment through one buffer, a step at a time. The buffer grows only for a frame that is larger than a step. A
 * frame that it returns stands at byte `at` of `buffer` until the next call.
 */
export class SegmentWindow {
  readonly #file: DiskFile;
  readonly #context: FrameContext;
  /** Of a frame in this segment. */
  readonly headerBytes: number;
  readonly size: number;
  buffer: Buffer;
  /** Where in `buffer` the last frame that `frameAt` returned starts. */
  at = 0;
  #start = 0;
  #length = 0;

  constructor(file: DiskFile, context: FrameContext, buffer?: Buffer) {
    this.#file = file;
    this.#context = context;
    this.headerBytes = frameHeaderBytesOf(context.version);
    this.size = file.size();
    // A short file needs no larger buffer than its own size.
    this.buffer = buffer ?? Buffer.allocUnsafeSlow(Math.min(windowBytes, this.size));
  }

  /** Drops what was read: the writer may have written more since then. */
  forget(): void {
    this.#length = 0;
  }

  /** Returns the valid frame at a byte of the file, or why there is none. */
  frameAt(offset: number): Frame | FrameFault {
    try {
      return this.#frameAt(offset);
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      return 'unreadable';
    }
  }

  #frameAt(offset: number): Frame | FrameFault {
    if (!this.#load(offset, this.headerBytes)) return 'nothing-written';
    const length = peekFrameLength(this.buffer, this.at, this.#context.version);
    if (typeof length === 'string') return length;
    if (offset + length > this.size || !this.#load(offset, length)) return 'cut-off';
    return decodeFrame(this.buffer, this.at, this.#context);
  }

  /** Returns the bytes at `offset`, valid until the next call; undefined if the file is too short. */
  bytesAt(offset: number, length: number): Buffer | undefined {
    return this.#load(offset, length) ? this.buffer.subarray(this.at, this.at + length) : undefined;
  }

  /**
   * Finds the first valid frame of this log that starts at any byte from `offset` on, with revisions above `last`.
   * @param end the search gives up there
   */
  findLater(offset: number, last: number, end = Infinity): { offset: number; frame: Frame } | undefined {
    for (let from = offset; from < end; ) {
      try {
        if (!this.#load(from, this.headerBytes)) return undefined;
      } catch (error) {
        if (!isUnreadable(error)) throw error;
        from = from - (from % pageBytes) + pageBytes;
        continue;
      }
      const bytes = this.#start + this.#length - from;
      const hit = this.buffer.indexOf(frameMagic, this.at);
      if (hit < 0 || hit >= this.#length) {
        // A magic may straddle two steps.
        from += bytes - this.headerBytes + 1;
        continue;
      }
      const place = this.#start + hit;
      const frame = this.frameAt(place);
      if (typeof frame !== 'string' && frame.last > last) return { offset: place, frame };
      from = place + 1;
    }
    return undefined;
  }

  /** Whether only zeros stand in the file from `offset` on, for so many bytes or to its end. */
  isZero(offset: number, bytes: number): boolean {
    const found = this.bytesAt(offset, Math.min(bytes, this.size - offset));
    return found === undefined || found.every((byte) => byte === 0);
  }

  #load(offset: number, bytes: number): boolean {
    if (offset < this.#start || offset + bytes > this.#start + this.#length) {
      if (offset + bytes > this.size) return false;
      if (bytes > this.buffer.length) this.buffer = Buffer.allocUnsafeSlow(bytes);
      this.#length = 0;
      this.#length = this.#read(offset, bytes);
      this.#start = offset;
      if (bytes > this.#length) return false;
    }
    this.at = offset - this.#start;
    return true;
  }

  /** Reads a whole step; if the disk cannot, only what is needed: the bad place may be behind it. */
  #read(offset: number, bytes: number): number {
    try {
      return this.#file.read(this.buffer, 0, this.buffer.length, offset);
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      return this.#file.read(this.buffer, 0, bytes, offset);
    }
  }
}
