/**
 * Reads whole frames, byte for byte, while another thread writes: `journal-reader.ts` says why that needs no lock. It
 * returns frames of one segment at a time, so all of them have one version.
 */
import { isOutOfFiles } from '../../shared/reserved-disk.ts';
import { assert } from '../../shared/assert.ts';
import type { DiskFile } from '../../shared/disk.ts';
import { revision, type Revision } from '../../protocol/ids.ts';
import type { Frames, FramesRead, FrameTail } from '../../protocol/journal.ts';
import type { Frame } from './frame.ts';
import type { JournalDirectory } from './journal-directory.ts';
import { headerOrFault } from './log-heads.ts';
import {
  isSystemError,
  readSegmentHeader,
  UnsupportedFormat,
  type SegmentHeader,
  type SegmentName,
} from './segment.ts';
import { SegmentWindow } from './segment-window.ts';

interface OpenSegment {
  readonly segment: SegmentName;
  readonly header: SegmentHeader;
  readonly file: DiskFile;
  readonly window: SegmentWindow;
}

export class FileFrameTail implements FrameTail {
  readonly #directory: JournalDirectory;
  #after: Revision;
  #open: OpenSegment | undefined;
  #offset = 0;
  /** The last revision before `#offset`. */
  #passed = revision(0);

  constructor(directory: JournalDirectory, after: Revision) {
    this.#directory = directory;
    this.#after = after;
  }

  get position(): Revision {
    return this.#after;
  }

  read(durable: Revision, bytesMax: number): FramesRead {
    if (this.#after >= durable) return { kind: 'idle' };
    try {
      return this.#read(durable, bytesMax);
    } catch (error) {
      if (isOutOfFiles(error)) return { kind: 'busy' };
      if (!isSystemError(error)) throw error;
      return this.#lost();
    }
  }

  close(): void {
    this.#open?.file.close();
    this.#open = undefined;
  }

  #read(durable: Revision, bytesMax: number): FramesRead {
    if (this.#open === undefined && !this.#position()) return this.#lost();
    this.#open?.window.forget();
    for (;;) {
      const current = this.#open;
      assert(current !== undefined, 'a tail that reads has a segment open');
      const frames = this.#collect(current, durable, bytesMax);
      if (frames !== undefined) return { kind: 'frames', frames };
      if (this.#passed >= durable) return { kind: 'idle' };
      if (!this.#enterNext(current)) return this.#lost();
    }
  }

  /** Takes frames from `#offset` on. @returns undefined if there is none */
  #collect({ segment, header, window }: OpenSegment, durable: Revision, bytesMax: number): Frames | undefined {
    const parts: Buffer[] = [];
    let bytes = 0;
    let first: Frame | undefined;
    let last: Frame | undefined;
    let follows = this.#after;
    for (;;) {
      const frame = window.frameAt(this.#offset);
      if (typeof frame === 'string' || frame.last > durable) break;
      if (frame.first !== this.#passed + 1 || (bytes > 0 && bytes + frame.length > bytesMax)) break;
      this.#directory.mark(segment, frame.first, this.#offset);
      if (frame.last > this.#after) {
        if (first === undefined) {
          first = frame;
          // What was asked for may begin within the frame; before a segment there may be a gap that a salvage left.
          follows = revision(Math.min(this.#after, frame.first - 1));
        }
        last = frame;
        bytes += frame.length;
        parts.push(Buffer.from(window.buffer.subarray(window.at, window.at + frame.length)));
        this.#after = frame.last;
      }
      this.#passed = frame.last;
      this.#offset += frame.length;
    }
    if (first === undefined || last === undefined) return undefined;
    return {
      bytes: Buffer.concat(parts),
      version: header.version,
      logId: header.logId,
      after: follows,
      first: first.first,
      last: last.last,
      chain: first.previous,
      crc: last.crc,
      atFirst: first.at,
      atLast: last.at,
    };
  }

  /** Opens the segment that holds the next revision. */
  #position(): boolean {
    const next = revision(this.#after + 1);
    for (let attempt = 0; attempt < 2; attempt += 1) {
      this.#directory.refresh();
      const segment = this.#directory.holding(next);
      if (segment !== undefined && this.#enter(segment, this.#directory.nearest(segment, next))) return true;
      // The log may begin with a gap in the revisions, which a restore leaves.
      const oldest = this.#directory.next(revision(0));
      if (segment !== undefined || oldest === undefined) continue;
      if (this.#enter(oldest, this.#directory.nearest(oldest, oldest.first)))
        return (this.#open?.header.after ?? Infinity) <= this.#after;
    }
    return false;
  }

  #enterNext({ segment }: OpenSegment): boolean {
    if (this.#directory.next(segment.first) === undefined) this.#directory.refresh();
    const next = this.#directory.next(segment.first);
    const passed = this.#passed;
    if (next === undefined || !this.#enter(next, this.#directory.nearest(next, next.first))) return false;
    return this.#open?.header.after === passed;
  }

  #enter(segment: SegmentName, mark: { readonly first: Revision; readonly offset: number }): boolean {
    const file = this.#directory.open(segment);
    if (file === undefined) return false;
    const header = headerOrFault(() => readSegmentHeader(file, segment));
    if (typeof header === 'string' || header instanceof UnsupportedFormat) {
      file.close();
      return false;
    }
    const buffer = this.#open?.window.buffer;
    this.close();
    this.#open = { segment, header, file, window: new SegmentWindow(file, header, buffer) };
    this.#offset = mark.offset;
    this.#passed = revision(mark.first - 1);
    return true;
  }

  /** The oldest revision above the place that can be read, as far as the list of segments tells. */
  #lost(): FramesRead {
    this.close();
    this.#directory.refresh();
    const next = this.#directory.next(revision(this.#after + 1));
    const isInOne = this.#directory.holding(revision(this.#after + 1)) !== undefined;
    return { kind: 'lost', oldest: isInOne ? (next?.first ?? revision(this.#after + 1)) : this.#directory.oldest };
  }
}

/** The revision that the oldest frame follows. */
export function oldestAfterIn(directory: JournalDirectory): Revision {
  directory.refresh();
  const oldest = directory.next(revision(0));
  const file = oldest && directory.open(oldest);
  if (oldest === undefined || file === undefined) return revision(directory.oldest - 1);
  try {
    const header = headerOrFault(() => readSegmentHeader(file, oldest));
    return typeof header === 'string' || header instanceof UnsupportedFormat
      ? revision(oldest.first - 1)
      : header.after;
  } finally {
    file.close();
  }
}

/** The checksum of the frame that ends with `last`. */
export function checksumOfFrameAt(directory: JournalDirectory, last: Revision): number | undefined {
  const tail = new FileFrameTail(directory, revision(last - 1));
  try {
    const read = tail.read(last, 1);
    return read.kind === 'frames' && read.frames.last === last ? read.frames.crc : undefined;
  } finally {
    tail.close();
  }
}
