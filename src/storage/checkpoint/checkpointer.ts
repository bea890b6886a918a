/**
 * Checkpoints: how a memtable gets into LMDB without the shard waiting for it.
 *
 * LMDB makes a commit durable by writing every page that it touches: too slow for each write, fast enough for thousands
 * at once. The journal already holds everything durably; a checkpoint makes replay short, lets the journal remove
 * segments and empties the memtable.
 *
 *            due                      all slices handed over              committed
 *   idle ───────────► freeze, slices ───────────────────────► committing ───────────► drop the frozen memtable, idle
 *                        ▲                                        │
 *                        └──────── next start ◄── no-space ◄───────┘  ENOSPC, map full
 *
 *   freeze     The active memtable becomes the frozen one, with its watermark: every record up to and including it has
 *              been applied to the frozen memtable or the layers below. Both are in memory only.
 *   slices     The shard encodes the frozen memtable a little at a time, then the changed counts (counts.ts), and takes
 *              turns in between. New writes go to the new active memtable; reads go through active, frozen, LMDB in this
 *              order.
 *   committing The writer puts all slices and the watermark into the shard's sub-database in ONE durable transaction.
 *              So LMDB always holds the shard as of exactly one watermark, never half a memtable.
 *   drop       The shard drops the frozen memtable and its LMDB snapshot: an old snapshot would show the past.
 *
 * Before the drop, LMDB may already hold the new content while the shard still has the frozen memtable above it. Both
 * say the same, so readers see no difference.
 *
 * A crash before the commit leaves the previous checkpoint and its watermark; after it, the new one. Replay starts
 * after the watermark in either case. It may meet effects that are already in the checkpoint (the watermark stays low
 * during a batch over several shards). Effects are whole values and come in order, so applying them again ends in the
 * same state, deadline index and counts included.
 *
 * No space: nothing was written. The frozen memtable stays readable and keeps ITS watermark, which must not cover the
 * later writes in the active one. The next start sends the same slices again. If the active memtable fills up until
 * then (`memtableFull`), the shard refuses writes. Every other error is fatal.
 */
import type { Revision, ShardId } from '../../protocol/ids.ts';
import { assert } from '../../shared/assert.ts';
import { NoSpaceError } from '../checkpoint-store.ts';
import type { ShardStore } from '../shard-store.ts';

/** Takes one shard's slices. One checkpoint at a time. */
export interface CheckpointWriter {
  /** Begins a checkpoint and forgets slices that were not committed. */
  begin(shard: ShardId): void;
  /** Takes over the memory of `bytes`. */
  slice(bytes: Uint8Array<ArrayBuffer>): void;
  /** Resolves when everything is durable. Rejects with `NoSpaceError` if nothing was written for lack of disk space. */
  commit(watermark: Revision): Promise<void>;
}

export interface CheckpointerOptions {
  readonly shard: ShardId;
  readonly store: ShardStore;
  readonly writer: CheckpointWriter;
  /** limits.memtable_bytes_max */
  readonly memtableBytesMax: number;
  /** The last checkpoint's, as read from the store at start. */
  readonly watermark: Revision;
  /** Lets the shard take its turns. Called between two slices. */
  readonly yieldTurn: () => Promise<void>;
  /** How long a change may stay out of the checkpoint. */
  readonly ageMsMax?: number;
  /** How many bytes of this shard's records a replay may find after the checkpoint. */
  readonly journalBytesMax?: number;
  /** How long to wait after a commit found no space. */
  readonly retryMs?: number;
}

/**
 * The checkpointer sends one slice between two turns, and more if clients write fast: one for this many new bytes in
 * the active memtable. A slice covers four or five times as many bytes, so all slices are sent before the active
 * memtable is a quarter full again, and the rest of the time is left for the commit.
 */
const newBytesPerSlice = 12 * 1024;
/** So many deadlines that have moved are filed between two turns, before the freeze: about 3 ms. */
const filedPerTurn = 1024;

export const checkpointAgeMsMax = 60 * 1000;
export const checkpointJournalBytesMax = 256 * 1024 * 1024;
export const checkpointRetryMs = 5 * 1000;

export class Checkpointer {
  readonly #options: CheckpointerOptions;
  readonly #store: ShardStore;
  #running = false;
  #committed: Revision;
  /** The frozen memtable's. */
  #frozenWatermark: Revision | undefined;
  #now = 0;
  #dirtySince: number | undefined;
  /** Bytes of records since the last freeze. */
  #journalled = 0;
  #retryAt = 0;

  constructor(options: CheckpointerOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#committed = options.watermark;
  }

  /** Everything up to and including this revision is in the checkpoint. The journal may rely on it. */
  get watermark(): Revision {
    return this.#committed;
  }

  get running(): boolean {
    return this.#running;
  }

  /** Adds bytes of records written. Keys that are written repeatedly fill the log, not the memtable. */
  journalled(bytes: number): void {
    this.#journalled += bytes;
  }

  /** Whether to `start` one. Cheap enough for every turn. */
  due(now: number): boolean {
    this.#now = now;
    if (this.#running) return false;
    if (this.#store.frozen !== undefined) return now >= this.#retryAt;
    if (this.#store.isClean) {
      this.#dirtySince = undefined;
      return false;
    }
    this.#dirtySince ??= now;
    const {
      memtableBytesMax,
      ageMsMax = checkpointAgeMsMax,
      journalBytesMax = checkpointJournalBytesMax,
    } = this.#options;
    if (this.#store.activeBytes > memtableBytesMax / 2 || this.#journalled > journalBytesMax) return true;
    return now - this.#dirtySince >= ageMsMax;
  }

  /** A checkpoint is pending and there is no memory for more: writes must wait, or be refused. */
  memtableFull(): boolean {
    return this.#store.frozen !== undefined && this.#store.memtableBytes >= this.#options.memtableBytesMax;
  }

  /** A checkpoint is pending, and the last eighth of the memory has begun. */
  memtableNearlyFull(): boolean {
    return this.#store.frozen !== undefined && this.#store.memtableBytes >= this.#options.memtableBytesMax * 0.875;
  }

  /**
   * Makes one checkpoint. Without a change since the last one only the watermark moves, so that an idle shard lets the
   * journal remove segments.
   * @param watermark every record up to and including it has been applied, and everything applied is durable in the
   *   journal. Ignored while a frozen memtable is pending: that one keeps its own.
   */
  async start(watermark: Revision): Promise<'done' | 'no-space'> {
    assert(!this.#running, 'a shard makes one checkpoint at a time');
    const { shard, writer, yieldTurn, memtableBytesMax } = this.#options;
    this.#running = true;
    if (this.#store.frozen === undefined) {
      // Without memory for more, `freeze` files the rest at once.
      while (this.#store.activeBytes < memtableBytesMax && !this.#store.fileAll(filedPerTurn)) await yieldTurn();
      this.#store.freeze();
      this.#frozenWatermark = watermark;
      this.#dirtySince = undefined;
      this.#journalled = 0;
    }
    const covered = this.#frozenWatermark;
    assert(covered !== undefined, 'a frozen memtable has a watermark');
    assert(covered >= this.#committed, 'watermarks do not go back');
    writer.begin(shard);
    const before = this.#store.activeBytes;
    let sent = 0;
    for (const slice of this.#store.frozenSlices()) {
      writer.slice(slice);
      sent += 1;
      if (sent * newBytesPerSlice > this.#store.activeBytes - before) await yieldTurn();
    }
    try {
      await writer.commit(covered);
    } catch (error) {
      // Any other error leaves `running` set: a process that goes down starts no other checkpoint.
      if (!(error instanceof NoSpaceError)) throw error;
      this.#retryAt = this.#now + (this.#options.retryMs ?? checkpointRetryMs);
      this.#running = false;
      return 'no-space';
    }
    this.#store.dropFrozen();
    this.#frozenWatermark = undefined;
    this.#committed = covered;
    this.#running = false;
    return 'done';
  }
}
