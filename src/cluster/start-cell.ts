/**
 * From a cell without an owner to one that this node can serve:
 *
 *   mirror ─► take ─► the engine knows the mirror's end? ─► the rest of the log, into the mirror ─► checkpoint + mirror
 *     ─► the first frame of the epoch, which takes the mutexes' fences ─► acknowledged: the cell is this node's
 *
 * A node that has a checkpoint and no mirror (a power cut leaves doubtful ones) reads on from the frame that holds the
 * checkpoint's last revision. One that has neither reads the whole log, if it is whole.
 */
import type { Boot } from '../shard-worker/core/state/state.ts';
import { openShard, takeFirstEpoch } from '../shard-worker/open-shard.ts';
import { afterJournal } from '../shard-worker/checkpoint-schedule.ts';
import type { CheckpointStore } from '../storage/checkpoint-store.ts';
import type { Checkpointer, CheckpointWriter } from '../storage/checkpoint/checkpointer.ts';
import type { AccountUsages } from '../storage/account-usage.ts';
import type { ShardStore } from '../storage/shard-store.ts';
import { FileJournalSource } from '../journal/file/file-journal-source.ts';
import type { JournalLog } from '../journal/file/journal-options.ts';
import { revision, shardId, type Revision } from '../protocol/ids.ts';
import type { Revisions } from '../protocol/journal.ts';
import type { Clock } from '../shared/clock.ts';
import { assert } from '../shared/assert.ts';
import type { Disk } from '../shared/disk.ts';
import type { Limits } from '../shared/limits.ts';
import { cellFrame, readCellFrame } from './cell-frames.ts';
import { EngineJournal, type CellLoss } from './engine-journal.ts';
import { logStart, type CellRow, type LogFrame, type LogPlace, type Owned, type Session } from './engine.ts';
import { definite, type FencedLog, type FencedLogDependencies } from './fenced-log.ts';
import { Mirror } from './mirror.ts';
import { openCell, type OpenResult } from './open-cell.ts';

export interface StartCellOptions extends FencedLogDependencies {
  readonly seen: CellRow;
  readonly session: Session;
  readonly handedOver: boolean;
  readonly logId: bigint;
  readonly limits: Limits;
  /** See `ShardStoreOptions`. */
  readonly usages?: AccountUsages;
  readonly disk: Disk;
  readonly mirrorDirectory: string;
  readonly mirrorSegmentBytes?: number;
  readonly mirrorKeepBytes?: number;
  /** Of this cell, on this node. */
  readonly checkpoint: CheckpointStore;
  readonly writer: CheckpointWriter;
  /** Makes the revisions of the cell, which is at this one. */
  readonly revisionsAt: (last: Revision) => Revisions;
  /** Cluster time. */
  readonly clock: Clock;
  readonly elapsedMs: () => number;
  readonly yieldTurn: () => Promise<void>;
  readonly log: JournalLog;
  readonly onLost: (loss: CellLoss) => void;
}

/** A cell of this node: its log, what it holds, and the epoch of its mutexes. */
export interface StartedCell {
  readonly log: FencedLog;
  readonly journal: EngineJournal;
  readonly revisions: Revisions;
  readonly store: ShardStore;
  readonly checkpointer: Checkpointer;
  readonly boot: Boot;
  readonly replayed: number;
}

export type StartCellResult =
  | { readonly kind: 'started'; readonly cell: StartedCell }
  | Exclude<OpenResult, { kind: 'open' }>;

/** @throws errors of the disk, JournalCorruption */
export async function startCell(options: StartCellOptions): Promise<StartCellResult> {
  const { seen, session, handedOver, logId, disk, checkpoint, clock, log } = options;
  const mirror = new Mirror(disk, options.mirrorDirectory, {
    logId,
    watermark: checkpoint.watermark(),
    log,
    ...(options.mirrorSegmentBytes !== undefined && { segmentBytes: options.mirrorSegmentBytes }),
    ...(options.mirrorKeepBytes !== undefined && { keepBytes: options.mirrorKeepBytes }),
  });
  const opening = new OpeningCell(options, mirror);
  try {
    const opened = await openCell(
      {
        seen,
        session,
        handedOver,
        from: (row, owner) => opening.locate(row, owner),
        // The mirror's end is the furthest that this node has seen, and the search for it has shown that it is there.
        remembered: undefined,
        check: (frame) => opening.check(frame),
        apply: (frame) => opening.apply(frame),
        endAt: () => opening.endAt,
        now: () => clock.now(),
        bootFrame: (first, previous, epoch) => opening.boot({ first, previous, epoch }),
      },
      options,
    );
    if (opened.kind !== 'open') {
      mirror.close();
      return opened;
    }
    return { kind: 'started', cell: opening.started(opened.log) };
  } catch (error) {
    mirror.close();
    throw error;
  }
}

interface BootPlace {
  readonly first: Revision;
  readonly previous: LogPlace;
  readonly epoch: number;
}

class OpeningCell {
  readonly #options: StartCellOptions;
  readonly #mirror: Mirror;
  #epoch = 0;
  /** The time of the frame that was checked last. */
  #at = 0;
  #revisions: Revisions | undefined;
  #journal: EngineJournal | undefined;
  #opened: { readonly store: ShardStore; readonly checkpointer: Checkpointer; readonly replayed: number } | undefined;
  #boot: Boot | undefined;

  constructor(options: StartCellOptions, mirror: Mirror) {
    this.#options = options;
    this.#mirror = mirror;
  }

  get endAt(): number {
    return this.#at;
  }

  /** Finds where the log goes on behind what this node has. @returns a text if the log does not go on there */
  async locate({ trimmed }: CellRow, { cell, epoch }: Owned): Promise<LogPlace | string> {
    const { engine, pause, checkpoint } = this.#options;
    this.#epoch = epoch;
    const mirrored = this.#mirror.end;
    const known = mirrored?.last ?? checkpoint.watermark();
    if (known === 0) return trimmed === 0 ? logStart : needsSnapshot(trimmed, known);
    const found = await definite(() => engine.read(cell, revision(known - 1), 1), pause);
    const frame = found === 'refused' ? undefined : found[0];
    if (frame === undefined || frame.first > known) {
      if (frame !== undefined && trimmed >= known) return needsSnapshot(trimmed, known);
      return `the log ends before revision ${known}, which this node has`;
    }
    if (mirrored !== undefined) {
      const { first, last, chain } = frame;
      if (last === mirrored.last && chain === mirrored.chain) return this.check(frame) ?? { first, last, chain };
      return `the frame at ${first} is another one than this node has`;
    }
    // The checkpoint may end within the frame; what it has already is applied once more.
    const place = { first: frame.first, last: revision(frame.first - 1), chain: frame.previous };
    this.#mirror.restart(place);
    return place;
  }

  check(frame: LogFrame): string | undefined {
    const read = readCellFrame(frame, this.#options.logId);
    if (typeof read === 'string') return read;
    this.#at = read.at;
    return undefined;
  }

  /** A frame of a later epoch shows that the cell is lost: it may not be durable, and nothing is served with it. */
  apply(frame: LogFrame): void {
    if (frame.epoch <= this.#epoch) this.#mirror.append({ ...frame, at: this.#at });
  }

  /** Replays everything, and makes the first frame of the epoch. */
  async boot({ first, previous, epoch }: BootPlace): Promise<LogFrame> {
    const { logId, limits, disk, checkpoint, writer, clock, log, revisionsAt, yieldTurn } = this.#options;
    const last = this.#mirror.end!.last;
    this.#revisions = revisionsAt(last);
    const { store, checkpointer, replayed } = await openShard({
      shard: shardId(0),
      shards: 1,
      limits,
      ...(this.#options.usages && { usages: this.#options.usages }),
      checkpoint,
      // While it is replayed everything is durable; afterwards the journal is there.
      writer: afterJournal(
        writer,
        { whenDurable: (rev, reached) => this.#journal!.whenDurable(rev, reached) },
        { current: () => this.#revisions!.current(), durable: () => this.#revisions!.durable() },
      ),
      source: new FileJournalSource(disk, this.#mirror.directory),
      last,
      yieldTurn,
      log: (level, message, details) => log(level, message, details),
    });
    this.#opened = { store, checkpointer, replayed };
    const now = clock.now();
    const { boot, chunk } = takeFirstEpoch(store, first, now);
    this.#boot = boot;
    this.#at = Math.max(Math.floor(now), this.#mirror.at);
    return cellFrame(chunk, { logId, epoch, previous, at: this.#at });
  }

  started(log: FencedLog): StartedCell {
    const { logId, clock, elapsedMs, pause, revisionsAt, onLost } = this.#options;
    assert(this.#opened !== undefined && this.#boot !== undefined, 'a cell that is open was replayed');
    const mirror = this.#mirror;
    const revisions = revisionsAt(log.end.last);
    this.#revisions = revisions;
    this.#journal = new EngineJournal({ log, mirror, logId, revisions, clock, elapsedMs, pause, onLost });
    return { log, journal: this.#journal, revisions, boot: this.#boot, ...this.#opened };
  }
}

function needsSnapshot(trimmed: Revision, known: Revision): string {
  return `the log up to revision ${trimmed} was removed, and this node has it up to ${known}: it needs a snapshot`;
}
