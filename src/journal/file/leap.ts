/**
 * What the server has given out and must never give out again, whatever a salvage or a restore loses. All of it is here,
 * and all of it jumps together: a number that is added to the server and lives in the log belongs into `GivenOut`.
 *
 *   revision      versions, fencing tokens of locks, cursors of watches. A revision that was lost has been seen by
 *                 clients; the log continues a billion revisions after the highest one that there is any trace of.
 *   epoch         fencing tokens of mutexes come from epochs (protocol/epochs.ts). Those whose record is lost are not
 *                 known, so it jumps by more starts and millions of grants than a lost part of the log can hold.
 *   committedAt   the time of a frame, which never falls within a log. It does not have to jump, only not to fall behind
 *                 any frame that there is a trace of.
 *
 * What is not in the log repeats without this: `Dragonlock-Boot` and the ids of requests are random for each start. The
 * id of the log stays: a revision is never used twice, so no block of the part that was cut off passes for a later one.
 * Values of counters and sequences do not jump: they are data, and go back with the log to what was kept.
 */
import { epochEffect, nextEpoch } from '../../protocol/epochs.ts';
import { RecordWriter, type Effect, type RecordChunk } from '../../protocol/record.ts';
import { revision, serverAccount, type Revision } from '../../protocol/ids.ts';
import { frameHeaderBytes, journalVersion, sealFrame } from './frame.ts';

/** The highest of each. */
export interface GivenOut {
  readonly revision: Revision;
  readonly epoch: number;
  /** Wall-clock milliseconds. */
  readonly committedAt: number;
}

export const revisionJump = 1_000_000_000;
/** Of 2^33 epochs: room for eight thousand salvages. */
export const epochJump = 2 ** 20;

/** From what was given out to what may be given out next. */
export function leap(seen: GivenOut): GivenOut {
  return {
    revision: revision(seen.revision + revisionJump),
    // The entry may hold a number of starts still.
    epoch: nextEpoch(seen.epoch) + epochJump,
    committedAt: seen.committedAt,
  };
}

interface LogBefore {
  readonly logId: bigint;
  /** The crc of the frame before it. */
  readonly chain: number;
}

/**
 * The first frame after the cut: the one commit that makes a replay know what must not come again.
 * @param more effects of the same commit, of the server's own account
 */
export function frameOfLeap(to: GivenOut, before: LogBefore, more: readonly Effect[] = []): SealedFrame {
  const records = new RecordWriter();
  records.append({
    rev: to.revision,
    account: serverAccount,
    effects: [epochEffect(to.epoch), ...more],
  });
  return frameOf(records.take(), { ...before, at: to.committedAt });
}

export interface SealedFrame {
  readonly bytes: Buffer;
  readonly last: Revision;
  readonly crc: number;
}

/** One frame of records that nobody has written yet. @param before where it goes, and its time */
export function frameOf(
  { bytes, first, last, count }: RecordChunk,
  { logId, chain, at }: LogBefore & { readonly at: number },
): SealedFrame {
  const frame = Buffer.concat([Buffer.alloc(frameHeaderBytes), bytes]);
  const durable = revision(first - 1);
  const crc = sealFrame(frame, { version: journalVersion, previous: chain, logId, first, last, durable, count, at });
  return { bytes: frame, last, crc };
}
