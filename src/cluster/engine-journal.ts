/**
 * The journal of a cell: its log is in the engine. One frame is on its way at a time, and everything that is committed
 * meanwhile shares the next one (group commit):
 *
 *   append … ─► the frame that is filled ─► sealed ─► FencedLog ─ done ─► mirror ─► setDurable ─► listeners
 *                        ▲                                │                                          │
 *                        └──── more was committed ────────┼──────────────────────────────────────────┘
 *                                                         ├─ full: there is no `space`, the same frame again
 *                                                         └─ deposed, gone back: `onLost`, once; nothing more is sent
 *
 * After it is lost nothing that is appended is ever durable, nor is the frame that was on its way known to be: whoever
 * waits for either is told by the owner of the cell, which closes it.
 */
import { DurabilityWaiters } from '../journal/durability-waiters.ts';
import { frameHeaderBytes, journalVersion, sealFrame } from '../journal/file/frame.ts';
import { RecordQueue } from '../journal/file/record-queue.ts';
import { BucketCounter, groupRecordsBounds, syncSecondsBounds } from '../protocol/bucket-counter.ts';
import { revision, type Revision, type ShardId } from '../protocol/ids.ts';
import type { Journal, JournalSpace, Revisions } from '../protocol/journal.ts';
import type { RecordChunk } from '../protocol/record.ts';
import type { JournalStats } from '../protocol/stats.ts';
import type { Clock } from '../shared/clock.ts';
import type { AppendResult, FencedLog } from './fenced-log.ts';
import type { LogFrame } from './engine.ts';
import type { Mirror } from './mirror.ts';

/** Of one frame. Only a single record that is larger makes a larger one. */
const frameBytesMax = 1024 * 1024;
/** What may wait while the engine does not answer. Beyond that, writes that add wait, and far beyond, nothing is written. */
export const backlogBytesMax = 16 * 1024 * 1024;

export type CellLoss =
  /** Another node is the owner. */
  | { readonly kind: 'deposed' }
  /** The engine does not have what it has acknowledged. */
  | { readonly kind: 'gone-back' }
  /** This node's disk failed. */
  | { readonly kind: 'mirror'; readonly error: unknown };

export interface EngineJournalOptions {
  readonly log: FencedLog;
  readonly mirror: Mirror;
  readonly logId: bigint;
  /** Those of the cell, at the end of the log. */
  readonly revisions: Revisions;
  /** Cluster time, which each frame holds. */
  readonly clock: Clock;
  /** A monotonic clock in milliseconds, with fractions. */
  readonly elapsedMs: () => number;
  /** Waits before a frame for which there was no room is sent again. */
  readonly pause: () => Promise<void>;
  readonly onLost: (loss: CellLoss) => void;
}

export class EngineJournal implements Journal {
  readonly #options: EngineJournalOptions;
  readonly #queue: RecordQueue;
  readonly #awaited = new DurabilityWaiters();
  readonly #listeners: ((durable: Revision) => void)[] = [];
  readonly #groupRecords = new BucketCounter(groupRecordsBounds);
  readonly #appendSeconds = new BucketCounter(syncSecondsBounds);
  #at: number;
  #bytesWritten = 0;
  #backlogBytes = 0;
  #space: JournalSpace = 'open';
  #isSending = false;
  #isClosed = false;

  constructor(options: EngineJournalOptions) {
    this.#options = options;
    this.#queue = new RecordQueue(options.log.end.last);
    this.#at = options.mirror.at;
  }

  append(chunk: RecordChunk): void {
    if (this.#isClosed) return;
    this.#backlogBytes += chunk.bytes.length;
    this.#queue.add(chunk, false, frameBytesMax);
    if (!this.#isSending) void this.#send();
  }

  /** Calls `listener` each time more is durable. */
  onDurable(listener: (durable: Revision) => void): void {
    this.#listeners.push(listener);
  }

  whenDurable(rev: Revision, reached: () => void): void {
    this.#awaited.add(rev, reached);
  }

  space(): JournalSpace {
    return this.#backlogBytes > 4 * backlogBytesMax ? 'full' : this.#space;
  }

  checkpointed(_shard: ShardId, watermark: Revision): void {
    if (!this.#isClosed) this.#options.mirror.checkpointed(watermark);
  }

  /** Bytes of records that are committed and not durable. */
  get backlogBytes(): number {
    return this.#backlogBytes;
  }

  stats(): JournalStats {
    const { mirror } = this.#options;
    return {
      groupRecords: this.#groupRecords.snapshot(),
      syncSeconds: this.#appendSeconds.snapshot(),
      bytesWritten: this.#bytesWritten,
      segments: mirror.segments,
      space: this.#space,
      oldestRevision: mirror.oldest,
    };
  }

  /** Nothing is sent after the frame that is on its way, and nothing is durable any more. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.mirror.close();
  }

  async #send(): Promise<void> {
    const { mirror, revisions, onLost } = this.#options;
    this.#isSending = true;
    for (;;) {
      this.#queue.fill(frameBytesMax);
      if (this.#queue.count === 0) break;
      const { count } = this.#queue;
      const frame = this.#seal();
      const result = await this.#put(frame);
      if (this.#isClosed) return;
      if (result !== 'done') {
        this.close();
        return onLost({ kind: result });
      }
      try {
        mirror.append({ ...frame, at: this.#at });
      } catch (error) {
        // It is durable, and it cannot be shown: watches read the mirror.
        this.close();
        return onLost({ kind: 'mirror', error });
      }
      this.#groupRecords.observe(count);
      this.#bytesWritten += frame.bytes.length;
      this.#backlogBytes -= frame.bytes.length - frameHeaderBytes;
      revisions.setDurable(frame.last);
      for (const listener of this.#listeners) listener(frame.last);
      this.#awaited.reached(frame.last);
    }
    this.#isSending = false;
  }

  async #put(frame: LogFrame): Promise<Exclude<AppendResult, 'full'>> {
    const { log, elapsedMs, pause } = this.#options;
    const before = elapsedMs();
    for (;;) {
      const result = await log.append(frame);
      if (result !== 'full') {
        this.#space = 'open';
        this.#appendSeconds.observe((elapsedMs() - before) / 1000);
        return result;
      }
      this.#space = 'full';
      await pause();
    }
  }

  /** Takes what the queue has. The bytes are a copy: the queue fills the next frame while this one is on its way. */
  #seal(): LogFrame {
    const { log, logId, clock } = this.#options;
    const { first, last, count, buffer, length } = this.#queue;
    const bytes = Buffer.from(buffer.subarray(0, length));
    const previous = log.end.chain;
    this.#at = Math.max(Math.floor(clock.now()), this.#at);
    const durable = revision(first - 1);
    const header = { version: journalVersion, previous, logId, first, last, durable, count, at: this.#at } as const;
    const chain = sealFrame(bytes, header);
    this.#queue.clear();
    return { first, last, chain, previous, epoch: log.owner.epoch, bytes };
  }
}
