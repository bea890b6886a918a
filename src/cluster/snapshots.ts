/**
 * Snapshots of cells in the engine, so that logs can be trimmed: whoever opens a cell without having its log reads the
 * snapshot and the frames behind it.
 *
 *     parts ── all of them durable ──► publish ── the row names them ──► trim, up to the snapshot's end at most
 *
 * Each step checks in its own statement that the owner still is the owner: what one that was replaced still sends removes
 * nothing.
 */
import { revision, type Revision } from '../protocol/ids.ts';
import type { Cell, CellRow, LogPlace, Owned, Snapshot } from './engine.ts';
import { definite, type FencedLogDependencies } from './fenced-log.ts';

export const partBytesMax = 1024 * 1024;
const dueBytesMin = 64 * 1024 * 1024;

/**
 * Whether a new one is worth it: the engine writes each byte at most twice, and an opening reads at most as much log as
 * snapshot.
 *
 * @param logBytes of frames behind the last snapshot
 */
export function isSnapshotDue(logBytes: number, snapshotBytes: number): boolean {
  return logBytes > Math.max(dueBytesMin, snapshotBytes);
}

export interface SnapshotRequest {
  readonly owner: Owned;
  /** The acknowledged frame that it ends with. */
  readonly place: LogPlace;
  /** Of at most `partBytesMax` each. */
  readonly parts: Iterable<Buffer> | AsyncIterable<Buffer>;
}

export type SnapshotResult =
  | { readonly kind: 'published'; readonly snapshot: Snapshot }
  /** Not the owner any more, or there is one as new as this. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'full' };

/** Whatever goes wrong leaves parts behind that nobody reads; the next snapshot removes them. */
export async function writeSnapshot(
  { owner, place: { first, last, chain }, parts }: SnapshotRequest,
  { engine, pause }: FencedLogDependencies,
): Promise<SnapshotResult> {
  let count = 0;
  for await (const bytes of parts) {
    const put = await orFull(() => engine.putPart(owner, last, count, bytes), pause);
    if (put !== 'done') return { kind: put };
    count += 1;
  }
  const snapshot: Snapshot = { epoch: owner.epoch, first, last, chain, parts: count };
  const published = await orFull(() => engine.publish(owner, snapshot), pause);
  return published === 'done' ? { kind: 'published', snapshot } : { kind: published };
}

/** What takes the parts of a snapshot, in order. */
export interface SnapshotReader {
  /** Forgets everything that is there. Undefined: there is no snapshot, and the log begins at its start. */
  begin(snapshot: Snapshot | undefined): void;
  part(bytes: Buffer): void;
}

/** @returns whether all parts were there: they go when a newer snapshot is published */
export async function readSnapshot(
  { cell, snapshot, reader }: { readonly cell: Cell; readonly snapshot: Snapshot; readonly reader: SnapshotReader },
  { engine, pause }: FencedLogDependencies,
): Promise<boolean> {
  reader.begin(snapshot);
  for (let part = 0; part < snapshot.parts; part += 1) {
    const bytes = await definite(() => engine.readPart(cell, snapshot, part), pause);
    if (bytes === undefined || bytes === 'refused') return false;
    reader.part(bytes);
  }
  return true;
}

/**
 * Where the log goes on behind what this node has, after a take: reads the snapshot if frames behind it are gone.
 *
 * @returns a text: the cell has to stay closed
 */
export async function placeBehindTake(
  { row, local, reader }: { readonly row: CellRow; readonly local: LogPlace; readonly reader: SnapshotReader },
  dependencies: FencedLogDependencies,
): Promise<LogPlace | string> {
  const { cell, trimmed, snapshot } = row;
  if (trimmed <= local.last) return local;
  if (snapshot === undefined || snapshot.last < trimmed)
    return `the log is trimmed up to ${trimmed}, and no snapshot reaches so far`;
  if (!(await readSnapshot({ cell, snapshot, reader }, dependencies)))
    return `a part of the snapshot at ${snapshot.last} is missing`;
  const { first, last, chain } = snapshot;
  return { first, last, chain };
}

/**
 * Removes frames that end at or before `upTo`, if the snapshot has them.
 *
 * @param snapshot one that is the cell's by an acknowledgement, or by the row behind a take
 */
export async function trimLog(
  { owner, snapshot, upTo }: { readonly owner: Owned; readonly snapshot: Snapshot; readonly upTo: Revision },
  { engine, pause }: FencedLogDependencies,
): Promise<'trimmed' | 'refused'> {
  const end = revision(Math.min(snapshot.last, upTo));
  for (;;) {
    const trimmed = await definite(() => engine.trim(owner, end), pause);
    if (trimmed === 'refused') return 'refused';
    // An engine removes a number of them at a time.
    const left = await definite(() => engine.read(owner.cell, revision(0), 2), pause);
    if (left === 'refused' || left.length < 2 || left[0]!.last > end) return 'trimmed';
  }
}

async function orFull(
  ask: () => ReturnType<FencedLogDependencies['engine']['barrier']>,
  pause: () => Promise<void>,
): Promise<'done' | 'refused' | 'full'> {
  for (;;) {
    const { kind } = await ask();
    if (kind === 'done' || kind === 'refused' || kind === 'full') return kind;
    await pause();
  }
}
