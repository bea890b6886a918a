/**
 * Makes a log that no server starts with one that a server starts with. It runs only when an operator asks for it, and
 * first says what it would do: `planSalvage` reads, `carryOut` writes.
 *
 * What it needs to know is what the checkpoints hold. A server replays only what is above the lowest watermark, so
 * damage below that costs nothing, and the server starts as it is: there is nothing to do. Otherwise, in this order:
 *
 *   1  A damaged header is made again, if everything in it is known from elsewhere (mend-header.ts). Nothing is lost.
 *   2  If what a replay needs is still not whole, the log is cut before the damage: everything before it is kept. The
 *      records after it were acknowledged and are given up, because they may build on those that are missing. If the
 *      damage reaches down to the watermarks, the checkpoints alone are kept.
 *
 * The cut is one new segment. Its header names the last revision and checksum before the damage, which proves to every
 * reader that the damaged segment ends there; the rest of that segment stays in the file. Segments after it are renamed
 * to `*.damaged`. Nothing is ever deleted. The new segment begins with what must never be given out again (leap.ts).
 *
 * What a crash leaves at each step:
 *   while headers are made again     old headers and new ones; the log is as damaged as before, or less
 *   before the new segment           a .tmp, which the next start or salvage removes
 *   before the last rename           a log that begins anew before its last segments; a start refuses it, or it does
 *                                    not need those. The next salvage finds the new segment, and sets them aside
 */
import { joinPath, type Disk } from '../../shared/disk.ts';
import { failpoint } from '../../shared/failpoints.ts';
import { revision, type Revision } from '../../protocol/ids.ts';
import { frameHeaderBytes, frameLengthIfHeaderIntact } from './frame.ts';
import { JournalCorruption } from './journal-corruption.ts';
import { frameOfLeap, leap, type GivenOut } from './leap.ts';
import { leftOverBySalvage, readHeads, type DamagedHistory, type SegmentHead } from './log-heads.ts';
import { inferHeaders, mendHeader, type MendedHeader } from './mend-header.ts';
import { inspectLog } from './recovery.ts';
import { surveyGivenOut } from './salvage-survey.ts';
import { createSegment, isOutOfRoom, isUnreadable, listSegments, segmentName, unlinkIfPresent } from './segment.ts';

/** What the store holds, so that no replay needs it. */
export interface Checkpoints {
  /** Absent: there is no store yet. */
  readonly logId?: bigint;
  /** The lowest and the highest watermark of all shards. */
  readonly lowest: Revision;
  readonly highest: Revision;
  readonly epoch: number;
}

export type SalvagePlan =
  /** A server starts with the log as it is, and serves everything up to `last`. */
  | { readonly kind: 'none'; readonly last: Revision; readonly damaged: readonly DamagedHistory[] }
  | SalvageRepair
  /** Neither the log nor the checkpoints hold anything that could be served. */
  | { readonly kind: 'hopeless'; readonly reason: string };

export interface SalvageRepair {
  readonly kind: 'repair';
  /** Why no server starts with the log as it is. */
  readonly damage: string;
  readonly mend: readonly { readonly mended: MendedHeader; readonly aside: string }[];
  readonly aside: readonly SetAside[];
  /** Everything up to here is served afterwards: from the log, or from the checkpoints. */
  readonly last: Revision;
  readonly cut: SalvageCut | undefined;
}

export interface SetAside {
  readonly name: string;
  readonly to: string;
  readonly bytes: number;
}

export interface SalvageCut {
  readonly logId: bigint;
  /** The end of what is kept of the log. */
  readonly after: Revision;
  readonly chain: number;
  /** Acknowledged revisions that are given up. `last` is the highest one of which there is a trace; absent: of none. */
  readonly lost: { readonly first: Revision; readonly last?: Revision };
  /** What the log continues with. */
  readonly to: GivenOut;
}

/** Holds one frame. A small one can be made on a full disk, too. */
const cutSegmentBytes = 1024 * 1024;

/** Reads the log and changes nothing. @throws UnsupportedFormat, and errors of the disk */
export function planSalvage(disk: Disk, directory: string, checkpoints: Checkpoints): SalvagePlan {
  const found = readHeads(disk, directory, listSegments(disk, directory));
  if (found.length === 0 && checkpoints.lowest === 0) {
    const damaged = disk.list(directory).filter((name) => name.includes('.damaged'));
    if (damaged.length === 0) return { kind: 'none', last: revision(0), damaged: [] };
    return { kind: 'hopeless', reason: `all segments have been set aside as damaged: ${damaged.join(', ')}` };
  }
  const { lowest, logId = found.find(({ header }) => header !== undefined)?.header?.logId } = checkpoints;
  const leftOver = leftOverBySalvage(found).map(({ head }) => head);
  const heads = found.filter((head) => !leftOver.includes(head));
  const asFound = inspect(disk, directory, heads, { lowest, logId });
  if (!(asFound instanceof JournalCorruption)) {
    if (leftOver.length === 0) return { kind: 'none', ...asFound };
    const damage = 'a salvage was interrupted before it had set everything aside';
    const aside = setAside(disk, directory, leftOver);
    return { kind: 'repair', damage, mend: [], aside, last: asFound.last, cut: undefined };
  }
  const damage = asFound.where;
  if (logId === undefined) return { kind: 'hopeless', reason: damage };
  const headers = inferHeaders(disk, directory, heads, logId);
  const mended = heads.map((head) => withHeader(head, headers));
  const names = freeNames(disk, directory);
  const mend = headers.map((one) => ({ mended: one, aside: names(`${one.name}.header.damaged`) }));
  const now = inspect(disk, directory, mended, { lowest, logId });
  if (!(now instanceof JournalCorruption)) {
    const aside = setAside(disk, directory, leftOver);
    return { kind: 'repair', damage, mend, aside, last: now.last, cut: undefined };
  }
  const { intact } = now;
  if (intact === undefined && lowest === 0) return { kind: 'hopeless', reason: damage };
  const kept = mended.slice(0, intact?.segments ?? 0);
  const rest = found.filter(({ name }) => !kept.some((head) => head.name === name));
  return {
    kind: 'repair',
    damage,
    mend: mend.filter(({ mended: { name } }) => kept.some((head) => head.name === name)),
    aside: setAside(disk, directory, rest),
    last: revision(Math.max(intact?.last ?? 0, lowest)),
    cut: cutAfter(disk, directory, { damage: now, checkpoints, logId }),
  };
}

interface Inspected {
  readonly last: Revision;
  readonly damaged: readonly DamagedHistory[];
}

function inspect(
  disk: Disk,
  directory: string,
  heads: readonly SegmentHead[],
  { lowest, logId }: { readonly lowest: Revision; readonly logId: bigint | undefined },
): Inspected | JournalCorruption {
  try {
    const { end, damaged } = inspectLog(disk, directory, heads.map(foreign), lowest);
    return { last: end.last, damaged };
  } catch (error) {
    if (error instanceof JournalCorruption) return error;
    throw error;
  }

  /** A segment of another log is as good as a damaged one. */
  function foreign(head: SegmentHead): SegmentHead {
    if (head.header === undefined || head.header.logId === logId) return head;
    return { ...head, header: undefined, fault: 'the segment belongs to another log' };
  }
}

function withHeader(head: SegmentHead, headers: readonly MendedHeader[]): SegmentHead {
  const header = headers.find(({ name }) => name === head.name)?.header;
  return header === undefined ? head : { ...head, header, fault: undefined };
}

interface Cut {
  readonly damage: JournalCorruption;
  readonly checkpoints: Checkpoints;
  readonly logId: bigint;
}

function cutAfter(disk: Disk, directory: string, { damage, checkpoints, logId }: Cut): SalvageCut {
  const { lowest, highest, epoch } = checkpoints;
  const { intact } = damage;
  const seen = surveyGivenOut(disk, directory, logId, {
    revision: revision(Math.max(highest, intact?.last ?? 0, lastOfDamagedFrame(disk, directory, damage))),
    epoch,
    committedAt: intact?.at ?? 0,
  });
  const first = revision(Math.max(intact?.last ?? 0, lowest) + 1);
  return {
    logId,
    after: intact?.last ?? lowest,
    chain: intact?.chain ?? 0,
    lost: seen.revision < first ? { first } : { first, last: seen.revision },
    to: leap(seen),
  };
}

/** What a damaged frame says of its last revision, if its header is as it was written; otherwise 0. */
function lastOfDamagedFrame(disk: Disk, directory: string, { file: name, offset }: JournalCorruption): number {
  if (!disk.list(directory).includes(name)) return 0;
  const file = disk.open(joinPath(directory, name), 'read');
  try {
    const header = Buffer.alloc(frameHeaderBytes);
    file.read(header, 0, header.length, offset);
    return frameLengthIfHeaderIntact(header) === undefined ? 0 : header.readUIntLE(30, 6);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return 0;
  } finally {
    file.close();
  }
}

function setAside(disk: Disk, directory: string, heads: readonly SegmentHead[]): SetAside[] {
  const names = freeNames(disk, directory);
  return heads.map(({ name, bytes }) => ({ name, to: names(`${name}.damaged`), bytes }));
}

/** Finds names that no file has: what was set aside before stays. */
function freeNames(disk: Disk, directory: string): (name: string) => string {
  const taken = new Set(disk.list(directory));
  return (name) => {
    let free = name;
    for (let number = 2; taken.has(free); number += 1) free = `${name}-${number}`;
    return free;
  };
}

/** Does what was planned. After a crash at any moment it may be planned and done again. @throws errors of the disk */
export async function carryOut(disk: Disk, directory: string, plan: SalvageRepair): Promise<void> {
  for (const { mended, aside } of plan.mend) mendHeader(disk, directory, mended, aside);
  if (plan.cut !== undefined) await beginAnew(disk, directory, plan.cut);
  // The newest first: then what is left is the beginning of the log as it was.
  for (const { name, to } of plan.aside.toReversed()) {
    disk.rename(joinPath(directory, name), joinPath(directory, to));
    disk.syncDirectory(directory);
    failpoint('salvage.set-aside');
  }
}

async function beginAnew(disk: Disk, directory: string, { logId, after, chain, to }: SalvageCut): Promise<void> {
  const header = { logId, first: to.revision, after, chain, at: to.committedAt };
  try {
    await createSegment(disk, directory, {
      header,
      bytes: cutSegmentBytes,
      frame: frameOfLeap(to, { logId, chain }).bytes,
    });
  } catch (error) {
    if (isOutOfRoom(error)) unlinkIfPresent(disk, directory, `${segmentName(to.revision)}.tmp`);
    throw error;
  }
  failpoint('salvage.log-continued');
}
