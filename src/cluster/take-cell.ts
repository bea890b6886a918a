/**
 * Becoming the owner of a cell. The take comes first, then the log is read: an acknowledged take means that no frame of an
 * older epoch can follow, and that all before it is durable. Whoever reads first may miss the last frame of the one before.
 */
import { revision, type Revision } from '../protocol/ids.ts';
import type { Cell, CellRow, LogFrame, LogPlace, Owned, Session } from './engine.ts';
import { definite, type FencedLogDependencies } from './fenced-log.ts';

/** Ahead of the log's end, in case the engine has lost a tail that nobody has noticed: no token comes a second time. */
export const takeJump = 2 ** 20;
/** After an operator has accepted that acknowledged commits are lost. */
export const acceptLossJump = 1_000_000_000;

/** 2026-01-01. With 64 revisions a millisecond, 2^47 of them last for seventy years. */
const timeFloorFromMs = 1_767_225_600_000;
const revisionsPerMs = 64;

export interface TakeRequest {
  readonly cell: Cell;
  /** The owner that was seen: another take in between wins. */
  readonly seen: CellRow;
  readonly session: Session;
}

/** @returns undefined: another session was faster */
export async function takeCell(
  { cell, seen, session }: TakeRequest,
  { engine, pause }: FencedLogDependencies,
): Promise<{ readonly owner: Owned; readonly row: CellRow } | undefined> {
  if (seen.session === session) {
    // It was handed over, or an earlier take of ours had no answer. A row that is seen proves nothing: a commit does.
    const owner = { cell, epoch: seen.epoch, session };
    const isOwner = await definite(() => engine.barrier(owner), pause);
    if (isOwner === 'refused') return undefined;
    // What was seen may be old: its log may have been trimmed since.
    const row = await definite(() => engine.look(cell), pause);
    return row === 'refused' || row.epoch !== seen.epoch ? undefined : { owner, row };
  }
  const row = await definite(() => engine.take(cell, seen.epoch, session), pause);
  return row === 'refused' ? undefined : { owner: { cell, epoch: row.epoch, session }, row };
}

export type LogRead =
  | { readonly kind: 'read'; readonly end: LogPlace }
  /** A frame is missing or damaged, or the log is shorter than somebody has seen it: the cell stays closed. */
  | { readonly kind: 'gone-back'; readonly reason: string; readonly after: Revision };

export interface ReadRequest {
  readonly owner: Owned;
  /** Where what is known already ends. */
  readonly from: LogPlace;
  /** The furthest end of this log that this node has ever seen; the log must have it still. */
  readonly remembered: LogPlace | undefined;
  /** @returns what is wrong with the frame itself. Absent: nothing is looked for */
  readonly check?: (frame: LogFrame) => string | undefined;
  readonly apply: (frame: LogFrame) => void;
}

const framesMax = 64;

/** Reads the log behind a take to its end, and checks that each frame follows the one before it. */
export async function readToEnd(
  { owner: { cell }, from, remembered, check, apply }: ReadRequest,
  { engine, pause }: FencedLogDependencies,
): Promise<LogRead> {
  let end = from;
  let isRemembered = remembered === undefined || remembered.last <= from.last;
  for (;;) {
    const frames = await definite(() => engine.read(cell, end.last, framesMax), pause);
    if (frames === 'refused' || frames.length === 0) break;
    for (const frame of frames) {
      const { first, last, chain, previous } = frame;
      if (previous !== end.chain || first <= end.last)
        return {
          kind: 'gone-back',
          reason: `the frame at ${first} does not follow the one before it`,
          after: end.last,
        };
      const fault = check?.(frame);
      if (fault !== undefined) return { kind: 'gone-back', reason: fault, after: end.last };
      apply(frame);
      end = { first, last, chain };
      if (remembered?.last === last) {
        if (remembered.chain !== chain)
          return { kind: 'gone-back', reason: `the frame at ${first} is another one than before`, after: end.last };
        isRemembered = true;
      }
    }
  }
  if (isRemembered) return { kind: 'read', end };
  const reason = `the log ends at ${end.last}, and has been seen to end at ${remembered?.last}`;
  return { kind: 'gone-back', reason, after: end.last };
}

export interface EpochStart {
  readonly end: LogPlace;
  /** When the last frame of the log was made, in cluster time; 0: there is none. */
  readonly endAt: number;
  readonly how: 'taken' | 'handed-over' | 'loss-accepted';
  /** Cluster time, in milliseconds since the Unix epoch. */
  readonly now: number;
}

/**
 * The first revision of an epoch. A cell that was handed over goes on where it was: nothing can be lost between. One that
 * was taken jumps, and to a place that no earlier take can have jumped to: should an engine lose a take with all that
 * followed it, the next one starts from the same end. So the time since that end moves it on as well. Cells that are taken
 * often run ahead of the time, so the time alone would not.
 */
export function firstOfEpoch({ end, endAt, how, now }: EpochStart): Revision {
  const next = end.last + 1;
  if (how === 'handed-over') return revision(next);
  const sinceEnd = Math.max(0, Math.floor(now - Math.max(endAt, timeFloorFromMs)));
  return revision(next + (how === 'taken' ? takeJump : acceptLossJump) + sinceEnd * revisionsPerMs);
}
