/**
 * When a shard makes a checkpoint, and which watermark the checkpoint gets.
 *
 * The watermark is the revision counter at the freeze. While transactions hold keys here, it is the counter as of the
 * oldest hold, because the effects of that transaction come later. A checkpoint is committed only after the journal
 * holds everything in it durably; otherwise a crash could leave a commit in the store that is not in the log.
 */
import { BucketCounter, checkpointSecondsBounds } from '../protocol/bucket-counter.ts';
import { revision, type Revision } from '../protocol/ids.ts';
import type { Journal } from '../protocol/journal.ts';
import type { WritePressure } from './held-writes.ts';
import type { CheckpointSchedule } from './shard-actor.ts';
import type { ShardState } from './core/state/state.ts';
import type { Checkpointer, CheckpointWriter } from '../storage/checkpoint/checkpointer.ts';
import type { ShardStore } from '../storage/shard-store.ts';

/** An idle shard moves its watermark this often, so that the journal can remove segments with other shards' records. */
const idleMs = 60 * 1000;
/** While the store is over its quota, deletions are checkpointed after this time, to see whether they were enough. */
const quotaRetryMs = 1000;

export interface ShardCheckpointsOptions {
  readonly state: ShardState;
  readonly store: ShardStore;
  readonly checkpointer: Checkpointer;
  readonly journal: Journal;
  /** Bytes of the whole store on disk. */
  readonly storeBytes: () => number;
  /** Wall-clock milliseconds. */
  readonly now: () => number;
}

export class ShardCheckpoints implements CheckpointSchedule {
  readonly #options: ShardCheckpointsOptions;
  #running: Promise<void> | undefined;
  #finishing: Promise<void> | undefined;
  #lastStart = 0;
  #count = 0;
  readonly #seconds = new BucketCounter(checkpointSecondsBounds);
  #outOfSpace = false;
  #storeBytes: number;

  constructor(options: ShardCheckpointsOptions) {
    this.#options = options;
    this.#storeBytes = options.storeBytes();
  }

  afterTurn(now: number): void {
    if (this.#running === undefined && this.#finishing === undefined && this.#isDue(now)) this.#start(now);
  }

  journalled(bytes: number): void {
    this.#options.checkpointer.journalled(bytes);
  }

  /** Runs once, although every front end calls it. No turn starts another checkpoint meanwhile. */
  finish(): Promise<void> {
    this.#finishing ??= this.#finish();
    return this.#finishing;
  }

  async #finish(): Promise<void> {
    await this.#running;
    const { store } = this.#options;
    // A pending frozen memtable comes first, then the active one.
    for (let left = 2; left > 0; left -= 1) {
      this.#start(this.#lastStart);
      await this.#running;
      if (this.#outOfSpace || store.isClean) return;
    }
  }

  full(): 'disk_full' | 'quota_exceeded' | undefined {
    const { checkpointer, state } = this.#options;
    if (this.#outOfSpace && checkpointer.memtableFull()) return 'disk_full';
    return this.#storeBytes > state.limits.store_bytes_max ? 'quota_exceeded' : undefined;
  }

  pressure(): WritePressure {
    const { checkpointer } = this.#options;
    // Without disk space there is nothing to wait for.
    if (this.#outOfSpace || !checkpointer.memtableNearlyFull()) return 'none';
    return checkpointer.memtableFull() ? 'all' : 'large';
  }

  stats(): ReturnType<CheckpointSchedule['stats']> {
    const { store, checkpointer } = this.#options;
    return {
      memtableEntries: store.memtableSize,
      memtableBytes: store.memtableBytes,
      stored: { ...store.stored },
      checkpoints: this.#count,
      checkpointSeconds: this.#seconds.snapshot(),
      watermark: checkpointer.watermark,
    };
  }

  #isDue(now: number): boolean {
    const { checkpointer, state, store } = this.#options;
    if (checkpointer.due(now)) return true;
    if (store.frozen !== undefined) return false;
    const waited = now - this.#lastStart;
    if (!store.isClean) return waited >= quotaRetryMs && this.full() === 'quota_exceeded';
    return waited >= idleMs && checkpointer.watermark < this.#watermark(state);
  }

  #start(now: number): void {
    const { checkpointer, state } = this.#options;
    this.#lastStart = now;
    const started = this.#options.now();
    // Leaves a rejection unhandled on purpose: it takes the process down.
    this.#running = checkpointer.start(this.#watermark(state)).then((outcome) => {
      const { journal, storeBytes, now: time } = this.#options;
      this.#running = undefined;
      this.#outOfSpace = outcome === 'no-space';
      if (this.#outOfSpace) return;
      this.#count += 1;
      this.#seconds.observe((time() - started) / 1000);
      this.#storeBytes = storeBytes();
      journal.checkpointed(state.shard, checkpointer.watermark);
    });
  }

  #watermark(state: ShardState): Revision {
    return state.holds.oldest() ?? state.revisions.current();
  }
}

/** Wraps a writer: commits only after the journal holds durably everything that the checkpoint may hold. */
export function afterJournal(
  writer: CheckpointWriter,
  journal: Pick<Journal, 'whenDurable'>,
  revisions: Pick<ShardState['revisions'], 'current' | 'durable'>,
): CheckpointWriter {
  let upTo = revision(0);
  return {
    begin(shard) {
      // Called right after the freeze: nothing frozen is newer than this.
      upTo = revisions.current();
      writer.begin(shard);
    },
    slice: (bytes) => writer.slice(bytes),
    async commit(watermark) {
      if (revisions.durable() < upTo) await new Promise<void>((resolve) => journal.whenDurable(upTo, resolve));
      await writer.commit(watermark);
    },
  };
}
