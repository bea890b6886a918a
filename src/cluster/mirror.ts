/**
 * What a node keeps of a cell's log: the acknowledged frames, in ordinary segments (`journal/file/segment.ts`), so that
 * replay and watches read them as they read a journal. The log itself is in the engine, so nothing here is ever synced, and
 * a mirror of which anything is doubtful is thrown away: that costs reading again, never data.
 *
 *   open ── intact, and not behind the checkpoint ──► it has an end; whether the engine knows that end, its owner asks
 *        └─ anything else ─► removed ─► `restart` begins behind a place of the log
 *
 * A segment begins where the revisions jump, which the first frame of an epoch may do: within a segment they are dense.
 * The file is as long as a segment from the start, and sparse: without a sync, zeros written in advance win nothing.
 */
import { joinPath, type Disk, type DiskFile } from '../shared/disk.ts';
import { JournalCorruption } from '../journal/file/journal-corruption.ts';
import type { JournalLog } from '../journal/file/journal-options.ts';
import { readHeads, replayStart, type SegmentHead } from '../journal/file/log-heads.ts';
import { walkLog, type LogEnd } from '../journal/file/log-walk.ts';
import {
  encodeSegmentHeader,
  listSegments,
  segmentHeaderBytes,
  segmentName,
  type SegmentHeader,
  UnsupportedFormat,
  unlinkIfPresent,
} from '../journal/file/segment.ts';
import { revision, type Revision } from '../protocol/ids.ts';
import { assert } from '../shared/assert.ts';
import { logStart, type LogFrame, type LogPlace } from './engine.ts';

export const mirrorSegmentBytesDefault = 4 * 1024 * 1024;
export const mirrorKeepBytesDefault = 16 * 1024 * 1024;

export interface MirrorOptions {
  readonly logId: bigint;
  /** What the node's checkpoint of the cell holds. */
  readonly watermark: Revision;
  readonly segmentBytes?: number;
  /** Of what a checkpoint holds already, this much stays for readers of watches. */
  readonly keepBytes?: number;
  readonly log: JournalLog;
}

/** A frame and its time. */
export interface MirroredFrame extends Pick<LogFrame, 'first' | 'last' | 'chain' | 'previous' | 'bytes'> {
  readonly at: number;
}

interface Segment {
  readonly name: string;
  readonly first: Revision;
  last: Revision;
  /** Of the frames in it. */
  bytes: number;
}

interface FoundMirror {
  readonly heads: readonly SegmentHead[];
  /** Of the last segment. */
  readonly end: LogEnd;
  readonly last: LogPlace;
}

function placeBefore({ after, chain }: SegmentHeader): LogPlace {
  return { first: after, last: after, chain };
}

export class Mirror {
  readonly directory: string;
  readonly #disk: Disk;
  readonly #options: MirrorOptions;
  #segments: Segment[] = [];
  #file: DiskFile | undefined;
  #fileBytes = 0;
  #position = 0;
  #end: LogPlace | undefined;
  #at = 0;
  #watermark: Revision;

  /** Opens what is there, or nothing. @throws errors of the disk */
  constructor(disk: Disk, directory: string, options: MirrorOptions) {
    this.directory = directory;
    this.#disk = disk;
    this.#options = options;
    this.#watermark = options.watermark;
    disk.mkdir(directory);
    const names = listSegments(disk, directory);
    for (const name of disk.list(directory)) if (name.endsWith('.tmp')) unlinkIfPresent(disk, directory, name);
    if (names.length === 0) {
      // A cell of which nothing is known begins where every log begins.
      if (options.watermark === 0) this.restart(logStart);
      return;
    }
    const found = this.#inspect();
    if (typeof found !== 'string') {
      this.#goOn(found);
      return;
    }
    options.log('info', 'What this node has of a cell is thrown away and read again', { directory, reason: found });
    this.#clear();
    if (options.watermark === 0) this.restart(logStart);
  }

  /** The last frame. Undefined: there is nothing to go on from, see `restart`. */
  get end(): LogPlace | undefined {
    return this.#end;
  }

  /** The time of the last frame, in milliseconds since the Unix epoch; 0: unknown. */
  get at(): number {
    return this.#at;
  }

  /** The first revision that can be read, or the one after the end. */
  get oldest(): Revision {
    return this.#segments[0]?.first ?? revision(1);
  }

  get segments(): number {
    return this.#segments.length;
  }

  /** Puts a frame behind the last one. @throws errors of the disk: then the mirror is of no more use */
  append({ first, last, chain, previous, bytes, at }: MirroredFrame): void {
    const end = this.#end;
    assert(end !== undefined && previous === end.chain && first > end.last, 'a frame follows the one before it');
    const isDense = first === end.last + 1;
    if (!isDense || this.#position + bytes.length > this.#fileBytes) this.#begin(first, bytes.length);
    assert(this.#file !== undefined, 'a mirror with an end has a segment');
    this.#file.write(bytes, 0, bytes.length, this.#position);
    this.#position += bytes.length;
    const segment = this.#segments.at(-1)!;
    segment.last = last;
    segment.bytes += bytes.length;
    this.#at = Math.max(this.#at, at);
    this.#end = { first, last, chain };
  }

  /** Forgets everything, and goes on behind a place of the log. */
  restart(place: LogPlace): void {
    this.#clear();
    this.#end = place;
    this.#at = 0;
    this.#begin(revision(place.last + 1), 0);
  }

  /** The node's checkpoint holds everything up to here. */
  checkpointed(watermark: Revision): void {
    this.#watermark = watermark;
    const { keepBytes = mirrorKeepBytesDefault } = this.#options;
    let kept = this.#segments.slice(0, -1).reduce((sum, { bytes }) => sum + bytes, 0);
    for (;;) {
      const oldest = this.#segments[0];
      if (this.#segments.length < 2 || oldest === undefined || oldest.last > this.#watermark) return;
      if (oldest.bytes > 0 && kept <= keepBytes) return;
      unlinkIfPresent(this.#disk, this.directory, oldest.name);
      this.#segments.shift();
      kept -= oldest.bytes;
    }
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  /** @returns why what is there is of no use */
  #inspect(): FoundMirror | string {
    const { logId, watermark } = this.#options;
    try {
      const heads = readHeads(this.#disk, this.directory, listSegments(this.#disk, this.directory));
      const start = replayStart(this.directory, heads, watermark);
      const walk = walkLog(this.#disk, this.directory, heads, { start, from: watermark });
      let last: LogPlace | undefined;
      for (;;) {
        const step = walk.next();
        if (step.done !== true) {
          const { frame } = step.value;
          last = { first: frame.first, last: frame.last, chain: frame.crc };
          continue;
        }
        const end = step.value;
        // Without a frame, the header names the end of the one before.
        last ??= placeBefore(heads.at(-1)!.header!);
        if (end.logId !== logId) return 'it belongs to another log';
        if (last.last < watermark) return `it ends at ${last.last}, and the checkpoint holds ${watermark}`;
        if (end.fault !== 'nothing-written') return `its last frame is cut off (${end.fault})`;
        return { heads, end, last };
      }
    } catch (error) {
      if (error instanceof JournalCorruption || error instanceof UnsupportedFormat) return error.message;
      throw error;
    }
  }

  #goOn({ heads, end, last }: FoundMirror): void {
    this.#segments = heads.map(({ name, first, bytes }, index) => {
      const next = heads[index + 1];
      return { name, first, last: next?.header?.after ?? last.last, bytes: next === undefined ? end.position : bytes };
    });
    const active = this.#segments.at(-1)!;
    this.#file = this.#disk.open(joinPath(this.directory, active.name), 'write');
    this.#fileBytes = this.#file.size();
    this.#position = end.position;
    this.#end = last;
    this.#at = end.at;
    if (end.position > segmentHeaderBytes || active.first === last.last + 1) return;
    // The process ended between the segment and its first frame, which jumped; the next one may go elsewhere.
    this.#segments.pop();
    unlinkIfPresent(this.#disk, this.directory, active.name);
    this.#begin(revision(last.last + 1), 0);
  }

  /** Begins a segment for a frame of so many bytes. */
  #begin(first: Revision, frameBytes: number): void {
    const { logId, segmentBytes = mirrorSegmentBytesDefault } = this.#options;
    const end = this.#end!;
    const bytes = Math.max(segmentBytes, segmentHeaderBytes + frameBytes);
    const name = segmentName(first);
    const tmp = joinPath(this.directory, `${name}.tmp`);
    const header = { logId, first, after: end.last, chain: end.chain, at: this.#at, bytes };
    unlinkIfPresent(this.#disk, this.directory, `${name}.tmp`);
    const file = this.#disk.open(tmp, 'create');
    file.write(encodeSegmentHeader(header), 0, segmentHeaderBytes, 0);
    file.write(Buffer.alloc(1), 0, 1, bytes - 1);
    this.close();
    this.#file = file;
    this.#disk.rename(tmp, joinPath(this.directory, name));
    this.#segments = this.#segments.filter((segment) => segment.name !== name);
    this.#segments.push({ name, first, last: end.last, bytes: 0 });
    this.#fileBytes = bytes;
    this.#position = segmentHeaderBytes;
  }

  #clear(): void {
    this.close();
    for (const { name } of listSegments(this.#disk, this.directory)) this.#disk.unlink(joinPath(this.directory, name));
    this.#segments = [];
    this.#end = undefined;
  }
}
