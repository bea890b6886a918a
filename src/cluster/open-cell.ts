/**
 * From a cell that somebody else had to one that this node serves: take it, read its log, and write a frame of one's own
 * before anything is answered. That frame proves that the log was read to its end: nobody can have written behind it.
 */
import type { Revision } from '../protocol/ids.ts';
import type { CellRow, LogFrame, LogPlace, Owned, Session } from './engine.ts';
import { definite, FencedLog, type FencedLogDependencies } from './fenced-log.ts';
import { firstOfEpoch, readToEnd, takeCell } from './take-cell.ts';

export interface OpenRequest {
  readonly seen: CellRow;
  readonly session: Session;
  /** The owner before has given it to this session, behind its last frame. */
  readonly handedOver: boolean;
  /** Where what this node has of the log ends. A function asks the engine, behind the take; a text says why it cannot. */
  readonly from: LogPlace | ((row: CellRow, owner: Owned) => Promise<LogPlace | string>);
  readonly remembered: LogPlace | undefined;
  /** See `ReadRequest`. */
  readonly check?: (frame: LogFrame) => string | undefined;
  readonly apply: (frame: LogFrame) => void;
  /** When the last frame was made that is applied, in cluster time; 0: there is none. */
  readonly endAt: () => number;
  /** Cluster time, in milliseconds since the Unix epoch. */
  readonly now: () => number;
  /** Makes the first frame of the epoch, when all before it has been applied. */
  readonly bootFrame: (first: Revision, previous: LogPlace, epoch: number) => LogFrame | Promise<LogFrame>;
}

export type OpenResult =
  | { readonly kind: 'open'; readonly log: FencedLog }
  /** Another session has it. */
  | { readonly kind: 'lost' }
  /** There is no room to begin. */
  | { readonly kind: 'full' }
  | { readonly kind: 'gone-back'; readonly reason: string };

export async function openCell(request: OpenRequest, dependencies: FencedLogDependencies): Promise<OpenResult> {
  const { seen, session, handedOver, remembered, check, apply, bootFrame, endAt, now } = request;
  const taken = await takeCell({ cell: seen.cell, seen, session }, dependencies);
  if (taken === undefined) return { kind: 'lost' };
  const { owner, row } = taken;
  const from = typeof request.from === 'function' ? await request.from(row, owner) : request.from;
  if (typeof from === 'string') return goneBack(from, owner, dependencies);
  const read = await readToEnd({ owner, from, remembered, apply, ...(check && { check }) }, dependencies);
  if (read.kind === 'gone-back') return goneBack(read.reason, owner, dependencies);
  const log = new FencedLog(owner, read.end, dependencies);
  const boot = await bootFrame(
    firstOfEpoch({ end: read.end, endAt: endAt(), how: handedOver ? 'handed-over' : 'taken', now: now() }),
    read.end,
    owner.epoch,
  );
  const written = await log.append(boot);
  if (written === 'done') {
    apply(boot);
    return { kind: 'open', log };
  }
  if (written === 'gone-back') return { kind: 'gone-back', reason: 'the first frame of the epoch met another one' };
  return { kind: written === 'full' ? 'full' : 'lost' };
}

/** Something is missing. Another owner may have removed it meanwhile: only who still owns the cell knows that it is lost. */
async function goneBack(
  reason: string,
  owner: Owned,
  { engine, pause }: FencedLogDependencies,
): Promise<Exclude<OpenResult, { kind: 'open' }>> {
  const isOwner = await definite(() => engine.barrier(owner), pause);
  return isOwner === 'refused' ? { kind: 'lost' } : { kind: 'gone-back', reason };
}
