/**
 * The interfaces between the log and everything else: `Journal` writes it, `JournalSource` reads it. Neither says where
 * the log is: in the same thread, in another one or, some day, on another machine.
 */
import type { RecordChunk } from './record.ts';
import type { Revision, ShardId } from './ids.ts';

/** What may be written at the moment. `reserve`: only what frees space or returns a lock. `full`: nothing. */
export type JournalSpace = 'open' | 'reserve' | 'full';

export interface Journal {
  /** Hands over one turn's records, ascending. The journal writes them in revision order over all shards. */
  append(chunk: RecordChunk): void;
  /** Calls `reached` once everything up to `rev` is on disk, maybe within `append`. `rev` must not be durable yet. */
  whenDurable(rev: Revision, reached: () => void): void;
  space(): JournalSpace;
  /** Tells the journal that this shard's checkpoint holds everything up to `watermark`: older segments may go. */
  checkpointed(shard: ShardId, watermark: Revision): void;
}

export interface JournalSource {
  /**
   * Reads the records after `after` in order, while no thread writes.
   * @param last the last revision that recovery found: if the log ends before it, that is corruption
   */
  replay(after: Revision, last: Revision): Iterable<JournalRecord>;
  /** Reads the records after `after` while the journal is written. Tails of one source share their knowledge of it. */
  tail(after: Revision): JournalTail;
}

/** One record, for `decodeRecord`. The source reuses the object: use it before the next step. */
export interface JournalRecord {
  readonly buffer: Buffer;
  /** The offset of the record in `buffer`. */
  readonly at: number;
  readonly rev: Revision;
  /** The time of the write, in wall-clock milliseconds; 0: unknown. */
  readonly committedAt: number;
}

/** Reads the log as whole frames, for those who keep a copy of it. Its tails go on as the log grows. */
export interface FrameSource {
  /** Begins with the frame that has the revision after `after`. */
  frames(after: Revision): FrameTail;
  /** The checksum of the frame that ends with `last`; undefined: the log has no such frame, or not any more. */
  checksumAt(last: Revision): number | undefined;
  /** The revision that the oldest frame follows. */
  oldestAfter(): Revision;
}

export interface FrameTail {
  /** The last revision returned. */
  readonly position: Revision;
  /** Returns up to `bytesMax` bytes of frames, or one frame that is larger, none above `durable`. Synchronous. */
  read(durable: Revision, bytesMax: number): FramesRead;
  close(): void;
}

export type FramesRead =
  /** Frames of one version that follow each other. More may follow. */
  | { readonly kind: 'frames'; readonly frames: Frames }
  | { readonly kind: 'idle' }
  /** The next frame was trimmed, or is damaged. `oldest` is the first revision that can be read. The tail has ended. */
  | { readonly kind: 'lost'; readonly oldest: Revision }
  /** There are too many files open. */
  | { readonly kind: 'busy' };

export interface Frames {
  readonly bytes: Buffer;
  readonly version: 1 | 2;
  readonly logId: bigint;
  /** The revision that the first frame follows. */
  readonly after: Revision;
  /** Higher than `after` + 1 where a salvage or a restore has left out revisions. */
  readonly first: Revision;
  readonly last: Revision;
  /** The checksum of the frame before the first one, and of the last one. */
  readonly chain: number;
  readonly crc: number;
  /** Of the first and the last frame, in wall-clock milliseconds; 0: unknown. */
  readonly atFirst: number;
  readonly atLast: number;
}

/** Returns the records after a revision in bounded steps, and goes on as the log grows. */
export interface JournalTail {
  /** The last revision returned: a new tail that starts here continues this one. */
  readonly position: Revision;
  /** Returns up to 1 MiB of records, or one record that is larger, none above `durable`. Synchronous, bounded. */
  read(durable: Revision): TailRead;
  close(): void;
}

export type TailRead =
  /** Records, ascending; the bytes stay valid until the next `read`. More may follow. */
  | {
      readonly kind: 'records';
      readonly chunk: RecordChunk & { readonly bytes: Buffer };
      /** The times at which they were written: one element for each frame that they come from, ascending. */
      readonly times: readonly CommitTime[];
    }
  /** The tail has not reached the first requested record yet: call again. */
  | { readonly kind: 'seeking' }
  /** Everything up to the given durable revision has been returned. */
  | { readonly kind: 'idle' }
  /** The next record was trimmed, or a salvage lost it; the oldest that can be read is `oldest`. The tail has ended. */
  | { readonly kind: 'compacted'; readonly oldest: Revision }
  /** The next record cannot be read: its place is damaged. What comes after it can, from `oldest` on. The tail has ended. */
  | { readonly kind: 'damaged'; readonly oldest: Revision }
  /** There are too many files open. Nothing is lost: call again later. */
  | { readonly kind: 'busy' };

/** A place of the log that cannot be read: found once, by the first tail that comes to it. */
export interface DamagedPlace {
  readonly file: string;
  readonly offset: number;
  readonly reason: string;
  /** The revisions that cannot be read, as far as it is known. */
  readonly first: Revision;
  readonly last: Revision;
}

/** The time of the records of one frame: those after the preceding element, up to and including `last`. */
export interface CommitTime {
  readonly last: Revision;
  /** Wall-clock milliseconds; 0: unknown. */
  readonly committedAt: number;
}

/** The counter that gives every commit its revision, and the durable revision. All threads share both. */
export interface Revisions {
  /** Takes the next revision. The caller hands its record to the journal in the same turn. */
  next(): Revision;
  /** The highest revision taken so far. */
  current(): Revision;
  /** The highest revision on disk. */
  durable(): Revision;
  setDurable(revision: Revision): void;
}
