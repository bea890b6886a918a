/**
 * The log that a restored directory goes on with: one new segment, with an id of its own.
 *
 *   frame 1   all numbers jump (journal/file/leap.ts), and what is lost is noted (protocol/restored.ts)
 *   further   sequences that are moved ahead (`--skip-sequences`), as commits of the revisions after it
 *
 * They are commits, not changes of the store: a copy from before the restore and this log lead to the same state.
 */
import { bootKey } from '../../protocol/epochs.ts';
import { revision, type AccountId, type Revision } from '../../protocol/ids.ts';
import { kinds, RecordWriter, type Effect } from '../../protocol/record.ts';
import { graceFor, parseRestored, restoredEffect, restoredKey, restoredRangesMax } from '../../protocol/restored.ts';
import { frameOf, frameOfLeap, leap, type SealedFrame } from '../../journal/file/leap.ts';
import { createSegment } from '../../journal/file/segment.ts';
import { realDisk } from '../../shared/disk.ts';
import type { GivenBefore, RestoredSequence } from './what-was-given.ts';

export interface NewLogOptions {
  /** It exists, and is empty. */
  readonly journalDirectory: string;
  /** The restored state, which the new log follows. */
  readonly after: number;
  readonly given: GivenBefore;
  /** An entry of the restored state, of the server's own account. */
  readonly get: (key: string) => string | undefined;
  readonly graceMs: number;
  /** Ahead of the highest known revision; absent: a billion. */
  readonly jump?: number | undefined;
  /** By how much sequences are moved ahead; 0: they go back. */
  readonly skipSequences: number;
  readonly randomBytes: (count: number) => Uint8Array;
}

export interface NewLog {
  /** 16 hex digits. */
  readonly logId: string;
  /** The first revision of the log. */
  readonly continuesWith: Revision;
  readonly epoch: number;
  readonly graceMs: number;
  readonly locksWithLongerGrace: number;
  readonly sequencesMoved: number;
}

const segmentBytesMin = 1024 * 1024;
const segmentHeaderRoom = 4096;
const effectsPerRecord = 1000;
const recordsPerFrame = 16;

export async function writeNewLog(options: NewLogOptions): Promise<NewLog> {
  const { journalDirectory, after, given, get, jump, skipSequences, randomBytes } = options;
  const { sequenceValues } = given;
  const newId = Buffer.from(randomBytes(8)).readBigUInt64LE(0);
  const before = parseRestored(get(restoredKey));
  const committedAt = Math.max(given.latestAt, given.at);
  const leapt = leap({ revision: revision(given.highest), epoch: Number(get(bootKey) ?? 0), committedAt });
  const to = jump === undefined ? leapt : { ...leapt, revision: revision(given.highest + jump) };
  const grace = graceFor(options.graceMs, given.leases);
  const ranges = [...(before?.ranges ?? []), [after, to.revision] as const].slice(-restoredRangesMax);
  const frames = [frameOfLeap(to, { logId: newId, chain: 0 }, [restoredEffect({ ranges, ...grace })])];
  const moved = skipSequences === 0 ? [] : movedAhead(sequenceValues, skipSequences);
  addCommits(frames, moved, { logId: newId, at: to.committedAt });
  const frame = Buffer.concat(frames.map(({ bytes }) => bytes));
  await createSegment(realDisk, journalDirectory, {
    header: { logId: newId, first: to.revision, after: revision(after), chain: 0, at: to.committedAt },
    bytes: Math.max(segmentBytesMin, frame.length + segmentHeaderRoom),
    frame,
  });
  return {
    logId: newId.toString(16).padStart(16, '0'),
    continuesWith: to.revision,
    epoch: to.epoch,
    graceMs: grace.graceMs,
    locksWithLongerGrace: grace.longer.length,
    sequencesMoved: moved.reduce((sum, { effects }) => sum + effects.length, 0),
  };
}

interface Commit {
  readonly account: AccountId;
  readonly effects: readonly Effect[];
}

/** One that would leave its range stops at its end: then it is used up, and repeats nothing. */
function movedAhead(sequences: readonly RestoredSequence[], by: number): Commit[] {
  const commits: Commit[] = [];
  for (const [account, own] of Map.groupBy(sequences, (one) => one.account)) {
    const effects = own.map(({ name, value }): Effect => {
      const ahead = Math.min(value + by, Number.MAX_SAFE_INTEGER);
      return { kind: kinds.sequence, key: name, till: 0, value: String(ahead) };
    });
    for (let at = 0; at < effects.length; at += effectsPerRecord)
      commits.push({ account, effects: effects.slice(at, at + effectsPerRecord) });
  }
  return commits;
}

function addCommits(
  frames: SealedFrame[],
  commits: readonly Commit[],
  { logId, at }: { readonly logId: bigint; readonly at: number },
): void {
  for (let next = 0; next < commits.length; next += recordsPerFrame) {
    const before = frames.at(-1)!;
    const records = new RecordWriter();
    for (const [index, { account, effects }] of commits.slice(next, next + recordsPerFrame).entries())
      records.append({ rev: revision(before.last + 1 + index), account, effects });
    frames.push(frameOf(records.take(), { logId, chain: before.crc, at }));
  }
}
