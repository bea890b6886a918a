/**
 * Writes the journal: one frame and one fdatasync for everything that has arrived meanwhile (group commit).
 *
 * It does not know which thread it runs in and calls nothing back but its listeners. A frame goes
 *
 *   enqueue … ─► seal ─► [rotate] ─► write ─► fdatasync ─► setDurable ─► listeners (replies leave) ─► next frame
 *
 * and nothing else happens in between. What a crash leaves: before the fdatasync returns, any part of the frame. No
 * client was answered yet, so recovery may drop it, or keep it if it is whole. Afterwards, the whole frame.
 *
 * After the first error of a write, sync, rename or close the content of the disk is unknown: the kernel marks a page
 * clean although it was not written, so a second fsync would lie. The writer throws the error, every later call throws
 * too, and the caller ends the process. Recovery rewrites what it finds, see `recovery.ts`.
 *
 * Without disk space for another segment, frames wait: `space-left.ts`.
 */
import { assert } from '../../shared/assert.ts';
import { joinPath, type Disk, type DiskFile } from '../../shared/disk.ts';
import { failpoint } from '../../shared/failpoints.ts';
import { revision, type Revision, type ShardId } from '../../protocol/ids.ts';
import { BucketCounter, groupRecordsBounds, syncSecondsBounds } from '../../protocol/bucket-counter.ts';
import type { JournalSpace, Revisions } from '../../protocol/journal.ts';
import type { RecordChunk } from '../../protocol/record.ts';
import { frameHeaderBytes, frameHeaderBytesOf, journalVersion, sealFrame, type JournalVersion } from './frame.ts';
import { FinishedSegments } from './finished-segments.ts';
import { completeOptions, type CompleteOptions, type JournalOptions } from './journal-options.ts';
import type { JournalStats } from '../../protocol/stats.ts';
import { NextSegment } from './next-segment.ts';
import { RecordQueue } from './record-queue.ts';
import type { RecoveredJournal } from './recovery.ts';
import { segmentHeaderBytes, segmentName, useSpare } from './segment.ts';
import { SpaceLeft } from './space-left.ts';
import { SpareSegment } from './spare-segment.ts';

export interface JournalWriterOptions extends JournalOptions {
  readonly recovered: RecoveredJournal;
  /** Of all shards; they start at the end of the recovered log. */
  readonly revisions: Revisions;
}

export class JournalWriter {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #revisions: Revisions;
  readonly #options: CompleteOptions;
  readonly #logId: bigint;
  readonly #queue: RecordQueue;
  readonly #spare: SpareSegment;
  readonly #next: NextSegment;
  readonly #finished: FinishedSegments;
  readonly #left: SpaceLeft;
  readonly #listeners: ((durable: Revision) => void)[] = [];
  readonly #groupRecords = new BucketCounter(groupRecordsBounds);
  readonly #syncSeconds = new BucketCounter(syncSecondsBounds);
  #bytesWritten = 0;
  #file: DiskFile;
  #fileBytes: number;
  #first: Revision;
  #last: Revision;
  #chain: number;
  /** The time of the last frame. */
  #at: number;
  /** Of the active segment. */
  #version: JournalVersion;
  #position: number;
  #failure: unknown;
  #dead = false;

  constructor(disk: Disk, directory: string, options: JournalWriterOptions) {
    const { recovered, revisions } = options;
    this.#disk = disk;
    this.#directory = directory;
    this.#revisions = revisions;
    this.#options = completeOptions(options);
    this.#logId = recovered.logId;
    this.#last = recovered.last;
    this.#chain = recovered.chain;
    this.#at = recovered.at;
    this.#version = recovered.version;
    this.#position = recovered.position;
    this.#queue = new RecordQueue(recovered.last);
    const active = recovered.segments.at(-1);
    assert(active !== undefined, 'a recovered journal has a segment');
    assert(revisions.durable() === recovered.last, 'revisions start at the end of the log');
    this.#first = active.first;
    this.#file = disk.open(joinPath(directory, active.name), 'write');
    this.#fileBytes = this.#file.size();
    const { segmentBytes, retryMs, schedule, log } = this.#options;
    this.#spare = new SpareSegment(disk, directory, {
      segmentBytes,
      retryMs,
      schedule,
      log,
      onChange: () => this.#spareChanged(),
      onFailure: (error) => {
        this.#poison(error);
        this.#options.onFailure(error);
      },
    });
    const spare = this.#spare;
    this.#left = new SpaceLeft({ ...this.#options, spare });
    this.#next = new NextSegment(disk, directory, {
      ...this.#options,
      spare,
      onRetry: () => this.#spareChanged(),
    });
    this.#finished = new FinishedSegments(disk, directory, { ...this.#options, recovered, spare });
    spare.start();
    this.#trim();
  }

  /** What may be written. A shard asks before it takes a revision; reading it costs nothing. */
  get space(): JournalSpace {
    return this.#left.space;
  }

  /** Whether every record that was enqueued is durable. The others wait for a lower revision, a flush or disk space. */
  get idle(): boolean {
    return this.#queue.count === 0 && this.#queue.waiting === 0;
  }

  onDurable(listener: (durable: Revision) => void): void {
    this.#listeners.push(listener);
  }

  /**
   * Takes records into the next frame, or keeps them until every lower revision has arrived.
   * @param owned the bytes do not change after this call; otherwise they are copied if they have to wait
   */
  enqueue(chunk: RecordChunk, owned = false): void {
    this.#assertAlive();
    this.#queue.add(chunk, owned, this.#frameLimit());
  }

  /**
   * Writes one frame and waits until it is on disk.
   * @returns false if there is nothing to write, or no space for it until a spare exists
   */
  flush(): boolean {
    this.#assertAlive();
    this.#queue.fill(this.#frameLimit());
    if (this.#queue.count === 0) return false;
    try {
      if (this.#position + this.#queue.length > this.#fileBytes && !this.#rotate()) {
        this.#left.blocked = true;
        this.#updateSpace();
        return false;
      }
      this.#writeFrame();
    } catch (error) {
      this.#poison(error);
      throw error;
    }
    for (const listener of this.#listeners) listener(this.#last);
    return true;
  }

  /** The checkpoint of this shard holds everything up to `watermark`. */
  checkpointed(shard: ShardId, watermark: Revision): void {
    this.#assertAlive();
    assert(watermark <= this.#revisions.durable(), 'a checkpoint holds only what is durable in the journal');
    if (this.#finished.checkpointed(shard, watermark)) this.#trim();
  }

  /** The first revision that can still be read. */
  oldestRevision(): Revision {
    return this.#finished.oldest?.first ?? this.#first;
  }

  stats(): JournalStats {
    return {
      groupRecords: this.#groupRecords.snapshot(),
      syncSeconds: this.#syncSeconds.snapshot(),
      bytesWritten: this.#bytesWritten,
      segments: this.#finished.count + 1,
      space: this.#left.space,
      oldestRevision: this.oldestRevision(),
    };
  }

  /** Ends the writer; records that were not flushed are lost. Resolves when nothing touches the directory any more. */
  async close(): Promise<void> {
    const wasDead = this.#dead;
    this.#poison(new Error('The journal is closed'));
    const settled = this.#spare.close();
    if (!wasDead) this.#file.close();
    await settled;
  }

  #writeFrame(): void {
    const { count, first, last } = this.#queue;
    const version = this.#version;
    // The queue leaves space for a header of the newest version.
    const frame = this.#queue.buffer.subarray(frameHeaderBytes - frameHeaderBytesOf(version), this.#queue.length);
    this.#at = Math.max(this.#options.clock.now(), this.#at);
    this.#chain = sealFrame(frame, {
      version,
      previous: this.#chain,
      logId: this.#logId,
      first,
      last,
      durable: this.#last,
      count,
      at: this.#at,
    });
    failpoint('journal.before-write');
    this.#file.write(frame, 0, frame.length, this.#position);
    failpoint('journal.written');
    const before = this.#options.elapsedMs();
    this.#file.datasync();
    this.#syncSeconds.observe((this.#options.elapsedMs() - before) / 1000);
    failpoint('journal.synced');
    this.#position += frame.length;
    this.#bytesWritten += frame.length;
    this.#groupRecords.observe(count);
    this.#last = last;
    this.#queue.clear();
    this.#updateSpace();
    this.#revisions.setDurable(last);
  }

  /** A whole frame if there is a segment to put it in, otherwise what is left of the active one. */
  #frameLimit(): number {
    const { frameBytesMax } = this.#options;
    if (this.#spare.state === 'ready' || this.#spare.state === 'preparing') return frameBytesMax;
    return Math.min(frameBytesMax, this.#fileBytes - this.#position);
  }

  /** Makes the spare the active segment. Returns false if there is none, for lack of disk space. */
  #rotate(): boolean {
    const { segmentBytes } = this.#options;
    assert(this.#queue.length <= segmentBytes - segmentHeaderBytes, 'a frame fits into a segment');
    const opened = this.#next.open();
    if (opened === undefined) return false;
    const first = revision(this.#last + 1);
    // The segment that ends here was synced with its last frame.
    const finished = { name: segmentName(this.#first), first: this.#first, last: this.#last, bytes: this.#fileBytes };
    const next = useSpare(this.#disk, this.#directory, opened, {
      logId: this.#logId,
      first,
      after: this.#last,
      chain: this.#chain,
      at: this.#at,
    });
    this.#file.close();
    this.#file = next;
    this.#fileBytes = next.size();
    this.#finished.add(finished);
    this.#first = first;
    this.#version = journalVersion;
    this.#position = segmentHeaderBytes;
    this.#next.used(opened);
    this.#trim();
    return true;
  }

  #trim(): void {
    try {
      this.#finished.trim();
    } catch (error) {
      this.#poison(error);
      throw error;
    }
  }

  #spareChanged(): void {
    if (this.#dead) return;
    if (this.#left.blocked && this.#spare.state === 'ready') {
      this.#left.blocked = false;
      while (this.flush());
    }
    this.#updateSpace();
  }

  #updateSpace(): void {
    this.#left.update(this.#fileBytes - this.#position);
  }

  #poison(error: unknown): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#failure = error;
  }

  #assertAlive(): void {
    if (!this.#dead) return;
    const reason = this.#failure instanceof Error ? this.#failure.message : String(this.#failure);
    throw new Error(`The journal takes nothing more: ${reason}`, { cause: this.#failure });
  }
}
