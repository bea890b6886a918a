/**
 * Reading the journal: `readRecords` for a replay, while nobody writes, and `FileJournalTail` for watches, while
 * another thread writes.
 *
 * Why a tail needs no lock. The writer sets the durable revision in shared memory after its fdatasync, so a frame is
 * whole once the tail has seen its last revision as durable; and the writer never changes a byte before the end of that
 * frame. The tail returns nothing above the given durable revision, and drops everything else that its buffer holds.
 *
 * A segment that was trimmed may be filled with zeros and used again while a tail has it open. It loses its name before
 * that. So unexpected content is damage only if the segment is still in the directory; otherwise the records that the
 * tail was to read next are `compacted`.
 */
import { assert } from '../../shared/assert.ts';
import type { Disk, DiskFile } from '../../shared/disk.ts';
import { revision, type Revision } from '../../protocol/ids.ts';
import type { CommitTime, JournalRecord, JournalTail, TailRead } from '../../protocol/journal.ts';
import { peekRecord } from '../../protocol/record.ts';
import { frameFaults, type Frame, type FrameFault } from './frame.ts';
import { JournalCorruption } from './journal-corruption.ts';
import type { JournalDirectory } from './journal-directory.ts';
import { walkLog } from './log-walk.ts';
import { listSegments, readSegmentHeader, type SegmentName } from './segment.ts';
import { SegmentWindow, windowBytes } from './segment-window.ts';

/**
 * Yields every record above `from` of a log that has been recovered, in order.
 * @param to the log's last revision as recovery found it: if the log ends before it, that is corruption
 * @throws JournalCorruption
 */
export function* readRecords(
  disk: Disk,
  directory: string,
  from: Revision,
  to?: Revision,
): Generator<JournalRecord, void> {
  const segments = listSegments(disk, directory);
  const start = segments.findLastIndex((segment) => segment.first <= from + 1);
  const walk = walkLog(disk, directory, segments, Math.max(start, 0));
  const record: Mutable<JournalRecord> = { buffer: Buffer.alloc(0), at: 0, rev: from, committedAt: 0 };
  for (;;) {
    const step = walk.next();
    if (step.done) {
      const { last, position } = step.value;
      if (to === undefined || last >= to) return;
      const reason = `the log ends at revision ${last}, but it ended at ${to} when it was recovered`;
      throw new JournalCorruption(segments.at(-1)?.name ?? directory, position, reason);
    }
    const { frame, buffer, start } = step.value;
    if (frame.last <= from) continue;
    const end = start + frame.length;
    record.buffer = buffer;
    record.committedAt = frame.at;
    let rev: number = frame.first;
    for (let next = start + frame.headerBytes; next < end; rev += 1) {
      assert(buffer.readUIntLE(next + 4, 6) === rev, 'the records of a frame have the revisions that it names');
      record.at = next;
      record.rev = revision(rev);
      next += buffer.readUInt32LE(next);
      assert(next > record.at && next <= end, 'a record fits into its frame');
      if (rev > from) yield record;
    }
    assert(rev === frame.last + 1, 'a frame holds as many records as it names');
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface OpenSegment {
  readonly segment: SegmentName;
  readonly file: DiskFile;
  readonly window: SegmentWindow;
}

/** What one read may still take of a frame. */
interface RunLimit {
  readonly durable: Revision;
  readonly bytes: number;
  /** One record is taken even if it is larger than `bytes`. */
  readonly atLeastOne: boolean;
}

/** Records that follow each other in a window: bytes `start` to `end` of its buffer. */
interface Run {
  readonly start: number;
  readonly end: number;
  readonly count: number;
  readonly last: Revision;
}

/** Reads through one open segment at a time; `JournalTail` says what it returns. */
export class FileJournalTail implements JournalTail {
  readonly #directory: JournalDirectory;
  /** The last revision returned. */
  #after: Revision;
  #open: OpenSegment | undefined;
  /** Where the next frame begins, and the last revision before it. */
  #offset = 0;
  #passed: Revision;
  #out: Buffer = Buffer.alloc(0);
  #windowBuffer: Buffer | undefined;

  constructor(directory: JournalDirectory, after: Revision) {
    this.#directory = directory;
    this.#after = after;
    this.#passed = after;
  }

  get position(): Revision {
    return this.#after;
  }

  read(durable: Revision): TailRead {
    if (this.#after >= durable) return { kind: 'idle' };
    if (this.#open === undefined) {
      const gone = this.#position();
      if (gone !== undefined) return gone;
    }
    this.#open?.window.forget();
    const times: CommitTime[] = [];
    let length = 0;
    let count = 0;
    let stepped = 0;
    while (this.#after < durable && stepped < windowBytes) {
      const current = this.#open;
      assert(current !== undefined, 'a tail that reads has a segment open');
      const frame = current.window.frameAt(this.#offset);
      if (typeof frame === 'string' || frame.first !== this.#passed + 1) {
        if (count > 0) break;
        const gone = this.#nextSegment(current, typeof frame === 'string' ? frame : 'revisions');
        if (gone !== undefined) return gone;
        continue;
      }
      this.#directory.mark(current.segment, frame.first, this.#offset);
      if (frame.last > this.#after) {
        const limit = { durable, bytes: windowBytes - length, atLeastOne: count === 0 };
        const run = this.#run(current.window, frame, limit);
        if (run.count > 0) {
          this.#append(length, current.window.buffer.subarray(run.start, run.end));
          times.push({ last: run.last, committedAt: frame.at });
        }
        length += run.end - run.start;
        count += run.count;
        this.#after = run.last;
        if (run.last < frame.last) break;
      }
      this.#passed = frame.last;
      this.#offset += frame.length;
      stepped += frame.length;
    }
    if (count === 0) return { kind: this.#after < durable ? 'seeking' : 'idle' };
    const bytes = this.#out.subarray(0, length);
    const first = revision(peekRecord(bytes, 0).rev);
    return { kind: 'records', chunk: { first, last: this.#after, count, bytes }, times };
  }

  close(): void {
    this.#open?.file.close();
    this.#open = undefined;
  }

  /** The records of the frame that are due: those after `#after`, within the limit. */
  #run(window: SegmentWindow, frame: Frame, limit: RunLimit): Run {
    const { buffer, at } = window;
    const frameEnd = at + frame.length;
    let start = at + frame.headerBytes;
    if (frame.first > this.#after && frame.last <= limit.durable && frameEnd - start <= limit.bytes) {
      return { start, end: frameEnd, count: frame.count, last: frame.last };
    }
    let rev: number = frame.first;
    for (; rev <= this.#after; rev += 1) start += buffer.readUInt32LE(start);
    let end = start;
    let count = 0;
    for (; end < frameEnd && rev <= limit.durable; rev += 1) {
      const bytes = buffer.readUInt32LE(end);
      if (end + bytes - start > limit.bytes && !(limit.atLeastOne && count === 0)) break;
      end += bytes;
      count += 1;
    }
    return { start, end, count, last: count === 0 ? this.#after : revision(rev - 1) };
  }

  #append(length: number, records: Buffer): void {
    const needed = length + records.length;
    if (needed > this.#out.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(windowBytes, this.#out.length * 4), 64 * 1024));
      this.#out.copy(grown, 0, 0, length);
      this.#out = grown;
    }
    records.copy(this.#out, length);
  }

  /** Opens the segment that holds the next record, at the nearest known frame. */
  #position(): TailRead | undefined {
    const next = revision(this.#after + 1);
    // Twice, because a segment may be trimmed after it was listed and before it is opened.
    for (let attempt = 0; attempt < 2; attempt += 1) {
      this.#directory.refresh();
      const segment = this.#directory.holding(next);
      if (segment !== undefined && this.#enter(segment, this.#directory.nearest(segment, next))) return undefined;
    }
    return { kind: 'compacted', oldest: this.#directory.oldest };
  }

  /** Continues after the end of a segment. The next segment must follow what was read. */
  #nextSegment(current: OpenSegment, fault: FrameFault): TailRead | undefined {
    const passed = this.#passed;
    if (this.#directory.next(current.segment.first) === undefined) this.#directory.refresh();
    const next = this.#directory.next(current.segment.first);
    const offset = this.#offset;
    if (next !== undefined) {
      const entered = this.#enter(next, this.#directory.nearest(next, next.first), passed);
      if (entered) return undefined;
      this.#directory.refresh();
      if (this.#directory.oldest > passed + 1) return { kind: 'compacted', oldest: this.#directory.oldest };
    }
    throw new JournalCorruption(current.segment.name, offset, `${frameFaults[fault]}, although it is durable`);
  }

  /** @param passed the last revision that the segment must follow; absent: the tail starts in this segment */
  #enter(segment: SegmentName, mark: { first: Revision; offset: number }, passed?: Revision): boolean {
    const file = this.#directory.open(segment);
    if (file === undefined) return false;
    const header = readSegmentHeader(file, segment);
    if (typeof header === 'string') {
      file.close();
      this.#directory.refresh();
      if (this.#directory.oldest > segment.first) return false;
      throw new JournalCorruption(segment.name, 0, header);
    }
    if (passed !== undefined && header.after !== passed) {
      file.close();
      return false;
    }
    this.#windowBuffer = this.#open?.window.buffer ?? this.#windowBuffer;
    this.close();
    const window = new SegmentWindow(file, header, this.#windowBuffer);
    this.#open = { segment, file, window };
    this.#offset = mark.offset;
    this.#passed = revision(mark.first - 1);
    // Everything before the segment has been returned. Revisions that a salvage skipped never existed.
    if (passed !== undefined && this.#after < this.#passed) this.#after = this.#passed;
    return true;
  }
}
