/**
 * Opens the journal at start.
 *
 *   list ─► read headers ─► walk the frames from the lowest watermark on ─► remove leftovers ─► copy the tail ─► serve
 *           └─────────── damage: throw, nothing was changed ────────────┘
 *
 * These refuse the start, because something that a replay needs was durable once: a damaged frame or a hole with a valid
 * frame after it, in this or a later segment; a missing segment; a segment or frame of another log; a log that begins
 * after, or ends before, what the checkpoints need. A bad last frame is a torn tail and was never acknowledged: recovery
 * drops it. Damage to what every checkpoint holds costs nothing but history: the start logs it and goes on, and readers
 * of watches that come to it are answered `compacted` (see `journal-reader.ts`).
 *
 * Why the tail is copied. After a failed fsync the kernel may keep pages as clean that the disk never got. A process
 * that restarts would read them back, take them for durable, and lose them with the next power cut. So recovery writes
 * the valid part of the last segment again, to a fresh zero-filled file that replaces it. This also removes the rest of
 * a torn frame, which a later start could mistake for something. The copy is byte for byte, header included, so a
 * segment keeps its version (see `segment.ts`).
 *
 * On a full disk the server must still start, or no client could delete anything. Then recovery rewrites the tail in
 * place: the same bytes over themselves, and zeros after them.
 *
 * What a crash leaves at each step:
 *   after making the directory           no directory, or an empty one: no segment is in it before its name is durable
 *   first start, before the rename       a .tmp and no segment: the next start begins anew
 *   after removing leftovers             nothing that recovery reads was touched
 *   while copying to journal-N.log.tmp   the old tail, and a .tmp that is removed
 *   after the rename, before the sync    the old tail or the new one, which hold the same valid frames
 *   while rewriting in place             every sector of the valid part holds the same bytes before and after; what
 *                                        stands after the valid part was not valid anyway
 * So recovery may be repeated any number of times, and gives the same log.
 */
import path from 'node:path';
import { assert } from '../../shared/assert.ts';
import { joinPath, type Disk, type DiskFile } from '../../shared/disk.ts';
import { failpoint } from '../../shared/failpoints.ts';
import { revision, type Revision } from '../../protocol/ids.ts';
import type { JournalVersion } from './frame.ts';
import { JournalCorruption } from './journal-corruption.ts';
import type { JournalLog } from './journal-options.ts';
import { damagedBefore, readHeads, replayStart, type DamagedHistory, type SegmentHead } from './log-heads.ts';
import { walkLog, type LogEnd } from './log-walk.ts';
import {
  createSegment,
  isOutOfRoom,
  listSegments,
  segmentBytesDefault,
  spareName,
  unlinkIfPresent,
  type SegmentName,
} from './segment.ts';

interface RecoverOptions {
  /** The lowest watermark of all shards: the checkpoints hold everything up to it. */
  readonly from: Revision;
  /** A log that does not exist yet begins after this revision. A restore jumps ahead with it. */
  readonly createAfter?: Revision;
  readonly segmentBytes?: number;
  /** Eight random bytes: the id of a new log. */
  readonly randomBytes: (count: number) => Uint8Array;
  readonly log: JournalLog;
  /** Called now and then while the log is read, so that the process may be told to stop. */
  readonly yieldTurn?: () => Promise<void>;
}

interface RecoveredSegment extends SegmentName {
  /** For the last segment: the last revision of the log. */
  readonly last: Revision;
  readonly bytes: number;
}

/** Plain data, so that it can be sent to the journal's thread. */
export interface RecoveredJournal {
  readonly logId: bigint;
  readonly from: Revision;
  /** The last durable revision. */
  readonly last: Revision;
  readonly chain: number;
  /** The time of the last frame: no later frame may have an earlier one. 0: unknown. */
  readonly at: number;
  /** Of the active segment: the writer continues it in this version. */
  readonly version: JournalVersion;
  /** Oldest first; the last one is the active one. */
  readonly segments: readonly RecoveredSegment[];
  /** The byte of the active segment where the next frame goes. */
  readonly position: number;
  /** The first revision that can be read. */
  readonly oldest: Revision;
}

const copyStepBytes = 1024 * 1024;
const framesPerTurn = 64;

/** @throws JournalCorruption, UnsupportedFormat, and errors of the disk */
export async function recoverJournal(
  disk: Disk,
  directory: string,
  options: RecoverOptions,
): Promise<RecoveredJournal> {
  disk.mkdir(directory);
  // At every start: the process that made the directory may have died before this.
  disk.syncDirectory(path.dirname(directory));
  const names = listSegments(disk, directory);
  if (names.length === 0) await createFirstSegment(disk, directory, options);
  const segments = names.length === 0 ? listSegments(disk, directory) : names;
  const { from, log } = options;
  const heads = readHeads(disk, directory, segments);
  const inspection = inspectingLog(disk, directory, heads, from);
  let step = inspection.next();
  for (let frames = 1; step.done !== true; frames += 1) {
    if (frames % framesPerTurn === 0) await options.yieldTurn?.();
    step = inspection.next();
  }
  const { end, damaged } = step.value;
  for (const { file, offset, reason, first, last } of damaged) {
    log('warn', 'History is damaged that no replay needs; watches that come to it are answered 410', {
      file,
      offset,
      reason,
      first,
      last,
    });
  }
  for (const name of disk.list(directory)) {
    if (name === spareName || name.endsWith('.tmp')) unlinkIfPresent(disk, directory, name);
  }
  const active = segments.at(-1);
  assert(active !== undefined, 'a log has a segment');
  if (end.fault !== 'nothing-written') {
    log('warn', 'Dropped an incomplete write at the end of the journal; it was never acknowledged', {
      file: active.name,
      offset: end.position,
      reason: end.fault,
    });
  }
  if (names.length > 0) await renewTail(disk, directory, { name: active.name, bytes: end.position, log });
  const recovered = heads.map(({ name, first, bytes }, index) => {
    const next = heads[index + 1];
    const last = next === undefined ? end.last : (next.header?.after ?? revision(next.first - 1));
    return { name, first, last, bytes };
  });
  const oldest = segments[0]?.first ?? revision(1);
  return {
    logId: end.logId,
    from,
    last: end.last,
    chain: end.chain,
    at: end.at,
    version: end.version,
    segments: recovered,
    position: end.position,
    oldest,
  };
}

async function createFirstSegment(disk: Disk, directory: string, options: RecoverOptions): Promise<void> {
  const last = options.createAfter ?? revision(0);
  if (options.from > last) {
    const reason = `there is no journal, but a checkpoint holds revision ${options.from}`;
    throw new JournalCorruption(directory, 0, reason);
  }
  if (disk.list(directory).some((name) => name.endsWith('.damaged')) && options.createAfter === undefined) {
    throw new JournalCorruption(directory, 0, 'all segments were set aside as damaged; revisions must not start again');
  }
  const header = {
    logId: Buffer.from(options.randomBytes(8)).readBigUInt64LE(0),
    first: revision(last + 1),
    // The checkpoints hold everything up to here, and no revision between here and the first one ever existed.
    after: options.from,
    chain: 0,
    at: 0,
  };
  await createSegment(disk, directory, { header, bytes: options.segmentBytes ?? segmentBytesDefault });
}

export interface InspectedLog {
  readonly end: LogEnd;
  /** What no replay needs and cannot be read, as far as it was met. */
  readonly damaged: readonly DamagedHistory[];
}

/**
 * Reads everything that a replay after `from` needs, and changes nothing.
 * @throws JournalCorruption, UnsupportedFormat if not all of it is there: then no server may start with this log
 */
export function inspectLog(disk: Disk, directory: string, heads: readonly SegmentHead[], from: Revision): InspectedLog {
  const inspection = inspectingLog(disk, directory, heads, from);
  for (;;) {
    const step = inspection.next();
    if (step.done === true) return step.value;
  }
}

/** As `inspectLog`; yields after each frame. */
function* inspectingLog(
  disk: Disk,
  directory: string,
  heads: readonly SegmentHead[],
  from: Revision,
): Generator<void, InspectedLog, undefined> {
  const start = replayStart(directory, heads, from);
  const damaged = damagedBefore(heads, start);
  const walk = walkLog(disk, directory, heads, { start, from, onSkipped: (damage) => damaged.push(damage) });
  for (;;) {
    const step = walk.next();
    if (step.done !== true) {
      yield;
      continue;
    }
    const end = step.value;
    if (end.last >= from) return { end, damaged };
    const reason = `the log ends at revision ${end.last}, but a checkpoint holds revision ${from}`;
    const { logId, last, chain, at, position } = end;
    const intact = { segments: heads.length, logId, last, chain, at };
    throw new JournalCorruption(heads.at(-1)?.name ?? directory, position, reason, intact);
  }
}

interface RenewTailOptions {
  readonly name: string;
  readonly bytes: number;
  readonly log: JournalLog;
}

/** Replaces a segment by a fresh copy of its first `bytes` bytes with zeros after them. */
async function renewTail(disk: Disk, directory: string, { name, bytes, log }: RenewTailOptions): Promise<void> {
  const target = joinPath(directory, name);
  const tmp = `${target}.tmp`;
  const source = disk.open(target, 'write');
  try {
    try {
      await disk.writeZeros(tmp, source.size());
    } catch (error) {
      if (!isOutOfRoom(error)) throw error;
      unlinkIfPresent(disk, directory, `${name}.tmp`);
      log('warn', 'No room for another file: the end of the journal is rewritten in place', { file: name });
      copyBytes(source, source, bytes);
      zeroBytes(source, bytes);
      source.sync();
      return;
    }
    const copy = disk.open(tmp, 'write');
    try {
      copyBytes(source, copy, bytes);
      copy.sync();
    } finally {
      copy.close();
    }
  } finally {
    source.close();
  }
  disk.rename(tmp, target);
  disk.syncDirectory(directory);
  failpoint('recovery.tail-copied');
}

function copyBytes(from: DiskFile, to: DiskFile, bytes: number): void {
  const buffer = Buffer.allocUnsafeSlow(Math.min(copyStepBytes, bytes));
  for (let at = 0; at < bytes; at += buffer.length) {
    const step = Math.min(buffer.length, bytes - at);
    if (from.read(buffer, 0, step, at) !== step) throw new Error('The journal became shorter while it was copied');
    to.write(buffer, 0, step, at);
  }
}

function zeroBytes(file: DiskFile, start: number): void {
  const size = file.size();
  const zeros = Buffer.alloc(Math.min(copyStepBytes, size - start));
  for (let at = start; at < size; at += zeros.length) file.write(zeros, 0, Math.min(zeros.length, size - at), at);
}
