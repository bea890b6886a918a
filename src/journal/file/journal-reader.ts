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
 *
 * Damage ends a tail, and not the process: what the server serves does not come from here. The tail looks for the next
 * valid frame, a step at a time, and the directory remembers the place, so that it is searched and told of once. A tail
 * whose next record is after the place passes over it; any other one has ended, with `damaged`.
 */
import { isOutOfFiles } from '../../shared/reserved-disk.ts';
import { assert } from '../../shared/assert.ts';
import type { Disk, DiskFile } from '../../shared/disk.ts';
import { revision, type Revision } from '../../protocol/ids.ts';
import type { CommitTime, JournalRecord, JournalTail, TailRead } from '../../protocol/journal.ts';
import { peekRecord } from '../../protocol/record.ts';
import { frameFaults, type FrameFault } from './frame.ts';
import { runOf } from './frame-run.ts';
import { JournalCorruption } from './journal-corruption.ts';
import type { JournalDirectory } from './journal-directory.ts';
import { searchStep, type Place } from './damage-search.ts';
import { headerOrFault, readHeads, replayStart } from './log-heads.ts';
import { walkLog } from './log-walk.ts';
import { isSystemError, listSegments, readSegmentHeader, UnsupportedFormat, type SegmentName } from './segment.ts';
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
  const heads = readHeads(disk, directory, listSegments(disk, directory));
  const walk = walkLog(disk, directory, heads, { start: replayStart(directory, heads, from), from });
  const record: Mutable<JournalRecord> = { buffer: Buffer.alloc(0), at: 0, rev: from, committedAt: 0 };
  for (;;) {
    const step = walk.next();
    if (step.done) {
      const { last, position } = step.value;
      if (to === undefined || last >= to) return;
      const reason = `the log ends at revision ${last}, but it ended at ${to} when it was recovered`;
      throw new JournalCorruption(heads.at(-1)?.name ?? directory, position, reason);
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
  /** Where the search for the end of a damaged place goes on. */
  #searchFrom: number | undefined;

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
    try {
      return this.#read(durable);
    } catch (error) {
      if (isOutOfFiles(error)) return { kind: 'busy' };
      // An error without such a code is a bug.
      if (!isSystemError(error)) throw error;
      return this.#unreadable(error, durable);
    }
  }

  #read(durable: Revision): TailRead {
    if (this.#open === undefined) {
      const ended = this.#position(durable);
      if (ended !== undefined) return ended;
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
        const ended = this.#afterFault(current, typeof frame === 'string' ? frame : 'revisions', durable);
        if (ended !== undefined) return ended;
        continue;
      }
      this.#directory.mark(current.segment, frame.first, this.#offset);
      if (frame.last > this.#after) {
        const limit = { after: this.#after, durable, bytes: windowBytes - length, atLeastOne: count === 0 };
        const run = runOf(current.window, frame, limit);
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
  #position(durable: Revision): TailRead | undefined {
    const next = revision(this.#after + 1);
    // Twice, because a segment may be trimmed after it was listed and before it is opened.
    for (let attempt = 0; attempt < 2; attempt += 1) {
      this.#directory.refresh();
      const segment = this.#directory.holding(next);
      if (segment === undefined) continue;
      const entered = this.#enter(segment, this.#directory.nearest(segment, next));
      if (entered === 'entered') return undefined;
      if (entered !== 'gone')
        return this.#passOver({ segment, offset: 0, first: segment.first, reason: entered }, durable);
    }
    return { kind: 'compacted', oldest: this.#directory.oldest };
  }

  /** Continues where no valid frame follows: in the next segment, or after a damaged place. */
  #afterFault(current: OpenSegment, fault: FrameFault, durable: Revision): TailRead | undefined {
    const { segment } = current;
    const passed = this.#passed;
    if (this.#directory.next(segment.first) === undefined) this.#directory.refresh();
    const next = this.#directory.next(segment.first);
    const entered = next && this.#enter(next, this.#directory.nearest(next, next.first), passed);
    if (next !== undefined && entered === 'entered') {
      if (this.#directory.gaps === 'never-given-out') return undefined;
      // A salvage lost what was between the two. A reader must not pass over that: some of it may be in checkpoints.
      return this.#passed > passed ? { kind: 'compacted', oldest: next.first } : undefined;
    }
    this.#directory.refresh();
    if (!this.#directory.has(segment)) return { kind: 'compacted', oldest: this.#directory.oldest };
    const first = revision(passed + 1);
    if (next?.first === first && entered !== 'other' && entered !== 'gone' && entered !== undefined) {
      return this.#passOver({ segment: next, offset: 0, first, reason: entered }, durable);
    }
    const reason = `${frameFaults[fault]}, although it is durable`;
    return this.#passOver({ segment, offset: this.#offset, first, reason, window: current.window }, durable);
  }

  /** Goes on after a damaged place, if nothing in it is due; otherwise the tail has ended. */
  #passOver(place: Place, durable: Revision): TailRead | undefined {
    const { segment, offset, first, reason } = place;
    const next = this.#directory.next(segment.first);
    let known = this.#directory.damageAt(segment.name, offset);
    if (known === undefined || (known.resume === undefined && next === undefined && known.searchedAt < durable)) {
      const from = this.#searchFrom ?? offset;
      const isLast = next === undefined;
      const found = place.window && searchStep(place.window, { from, passed: this.#passed, durable, isLast });
      this.#searchFrom = typeof found === 'number' ? found : undefined;
      if (typeof found === 'number') return { kind: 'seeking' };
      known = { searchedAt: durable, ...(found && { resume: found }) };
      const last = revision((known.resume?.first ?? next?.first ?? durable + 1) - 1);
      this.#directory.noteDamage({ file: segment.name, offset, reason, first, last }, known);
    }
    const oldest = revision(known.resume?.first ?? next?.first ?? durable + 1);
    if (this.#after < oldest - 1) return { kind: 'damaged', oldest };
    if (known.resume !== undefined) {
      this.#passed = revision(known.resume.first - 1);
      this.#offset = known.resume.offset;
      return undefined;
    }
    if (next === undefined) return { kind: 'damaged', oldest };
    const entered = this.#enter(next, this.#directory.nearest(next, revision(this.#after + 1)));
    if (entered === 'entered') return undefined;
    if (entered === 'gone') return { kind: 'compacted', oldest: this.#directory.oldest };
    return this.#passOver({ segment: next, offset: 0, first: next.first, reason: entered }, durable);
  }

  /** The directory or a file of it cannot be read at all. */
  #unreadable(error: Error, durable: Revision): TailRead {
    const file =
      this.#open?.segment.name ?? this.#directory.holding(revision(this.#after + 1))?.name ?? this.#directory.path;
    const place = {
      file,
      offset: this.#offset,
      reason: error.message,
      first: revision(this.#after + 1),
      last: durable,
    };
    this.#directory.noteDamage(place, { searchedAt: durable });
    return { kind: 'damaged', oldest: revision(durable + 1) };
  }

  /**
   * @param passed the last revision that the segment must follow; absent: the tail starts in this segment
   * @returns `other` if the segment does not follow, `gone` if it was trimmed, or what is wrong with its header
   */
  #enter(segment: SegmentName, mark: { first: Revision; offset: number }, passed?: Revision): string {
    const file = this.#directory.open(segment);
    if (file === undefined) return 'gone';
    let keepOpen = false;
    try {
      const header = headerOrFault(() => readSegmentHeader(file, segment));
      if (typeof header === 'string' || header instanceof UnsupportedFormat) {
        this.#directory.refresh();
        return this.#directory.has(segment) ? (typeof header === 'string' ? header : header.message) : 'gone';
      }
      if (passed !== undefined && header.after !== passed) return 'other';
      this.#windowBuffer = this.#open?.window.buffer ?? this.#windowBuffer;
      const window = new SegmentWindow(file, header, this.#windowBuffer);
      this.close();
      this.#open = { segment, file, window };
      keepOpen = true;
    } finally {
      if (!keepOpen) file.close();
    }
    this.#offset = mark.offset;
    this.#passed = revision(mark.first - 1);
    this.#searchFrom = undefined;
    return 'entered';
  }
}
