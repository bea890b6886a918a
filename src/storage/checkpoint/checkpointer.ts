/**
 * Checkpoints: how a memtable gets into LMDB without the shard waiting for it.
 *
 * LMDB makes a commit durable by writing every page that it touches: far too slow for each write, and fine for
 * thousands at once, now and then. The journal already holds everything durably; a checkpoint makes replay short, lets
 * journal segments go and empties the memtable.
 *
 *            due                      all slices handed over              committed
 *   idle ───────────► freeze, slices ───────────────────────► committing ───────────► drop the frozen memtable, idle
 *                        ▲                                        │
 *                        └──────── next start ◄── no-space ◄───────┘  ENOSPC, map full
 *
 *   freeze     The active memtable becomes the frozen one, with the watermark that belongs to it: every record up to
 *              and including it has been applied to what is frozen or lies below. Both are in memory only.
 *   slices     The frozen memtable is encoded a little at a time, the changed counts after it (counts.ts), and the
 *              shard's turns go on in between. New writes go
 *              to the new active memtable; reads go through active, frozen, LMDB in this order.
 *   committing The writer puts all slices and the watermark into the shard's sub-database in ONE durable transaction.
 *              So LMDB always holds the shard as of exactly one watermark, never half a memtable.
 *   drop       The frozen memtable goes, and with it the shard's LMDB snapshot: an old one would show the past.
 *
 * In between, LMDB may already hold the new content while the shard still has the frozen memtable above it: both say
 * the same, no reader can tell.
 *
 * A crash before the commit leaves the previous checkpoint and its watermark; after it, the new one. Replay starts
 * behind the watermark in either case. It may meet effects that are already in the checkpoint (the watermark stays low
 * while a batch over several shards is under way): effects are whole values and come in order, so that applying them
 * again ends in the same state, deadline index included.
 *
 * No room: nothing was written. The frozen memtable stays, readable as before, together with ITS watermark; what came
 * later is in the active one and must not be covered by it. The next start sends the same slices again. Until then the
 * active memtable may fill up (`memtableFull`), and then writes are refused. Every other error is fatal.
 */
import type { Revision, ShardId } from '../../protocol/ids.ts';
import { assert } from '../../shared/assert.ts';
import { NoSpaceError } from '../checkpoint-store.ts';
import type { ShardStore } from '../shard-store.ts';

/** Where one shard's slices go. One checkpoint at a time. */
export interface CheckpointWriter {
  /** Starts anew; slices that were not committed are forgotten. */
  begin(shard: ShardId): void;
  /** The memory of `bytes` is the writer's from now on. */
  slice(bytes: Uint8Array<ArrayBuffer>): void;
  /** Resolves when everything is durable. Rejects with `NoSpaceError` when nothing was written for want of space. */
  commit(watermark: Revision): Promise<void>;
}

export interface CheckpointerOptions {
  readonly shard: ShardId;
  readonly store: ShardStore;
  readonly writer: CheckpointWriter;
  /** limits.memtable_bytes_max */
  readonly memtableBytesMax: number;
  /** Of the last checkpoint, as read from the store at start. */
  readonly watermark: Revision;
  /** Lets the shard take its turns; called between two slices. */
  readonly yieldTurn: () => Promise<void>;
  /** How long a change may stay out of the checkpoint. */
  readonly ageMsMax?: number;
  /** How many bytes of this shard's records a replay may find behind the checkpoint. */
  readonly journalBytesMax?: number;
  /** How long to wait after there was no room. */
  readonly retryMs?: number;
}

/**
 * Between two turns one slice is sent, and more when writers have been quick: one for so many bytes that are new in the
 * active memtable. A slice stands for four or five times as many, so that all of them are on their way before a quarter
 * or so is full again, and the rest of the time is the commit's.
 */
const newBytesPerSlice = 12 * 1024;

export const checkpointAgeMsMax = 60 * 1000;
export const checkpointJournalBytesMax = 256 * 1024 * 1024;
export const checkpointRetryMs = 5 * 1000;

export class Checkpointer {
  readonly #options: CheckpointerOptions;
  readonly #store: ShardStore;
  #running = false;
  #committed: Revision;
  /** Belongs to the frozen memtable. */
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

  /** Everything up to and including this revision is in the checkpoint: what the journal may be told. */
  get watermark(): Revision {
    return this.#committed;
  }

  get running(): boolean {
    return this.#running;
  }

  /** Records of so many bytes have been written. Keys that are written again and again fill the log, not the memtable. */
  journalled(bytes: number): void {
    this.#journalled += bytes;
  }

  /** Whether to `start` one. Cheap, to be asked in every turn. */
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

  /** A checkpoint is pending and there is no memory for more: writes must be refused. */
  memtableFull(): boolean {
    return this.#store.frozen !== undefined && this.#store.memtableBytes >= this.#options.memtableBytesMax;
  }

  /**
   * Makes one checkpoint. Also without a change since the last one: then only the watermark moves, which frees journal
   * segments of an idle shard.
   * @param watermark every record up to and including it has been applied, and everything applied is durable in the
   *   journal. Not used when a frozen memtable is still pending: that one keeps its own.
   */
  async start(watermark: Revision): Promise<'done' | 'no-space'> {
    assert(!this.#running, 'a shard makes one checkpoint at a time');
    const { shard, writer, yieldTurn } = this.#options;
    this.#running = true;
    if (this.#store.frozen === undefined) {
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
      // Anything else leaves `running` set: nothing starts again in a process that is going down.
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
