/**
 * The text of a lock's entry on disk.
 *
 *   version 3   [3, mode, limit, number of holders, holder…, ended…]
 *     mode      "x": one holder at a time
 *     limit     the number of holders at once
 *     holder    fence, since, durMs, owner | 0, meta | 0
 *     ended     fence, how, at, owner | 0, meta | 0, newest first. how: 0 = released, 1 = expired, 2 = forced, 3 = forced
 *               with a reason, which follows. From the second one on, fence and at are what the one before it has more.
 *
 *   of several  [3, mode, limit, number of holders, base, ended…]
 *     mode      "r": readers, "p": permits. An older server refuses them by their letter.
 *     limit     the number of permits; 0 for readers
 *     base      leases with this fence or a lower one are over (`SharedHead`); holders are entries of their own, see
 *               shared-lease.ts
 *
 *   version 2   [2, mode, limit, [holder, …], [ended, …]]
 *     holder    [fence, since, durMs, owner | null, meta | null]
 *     ended     [fence, why, at, owner | null, meta | null], newest first
 *
 *   version 1   {"lease":{"handle","owner"?,"meta"?,"since","durMs"}?,"ended":[{"handle","why","owner"?,"meta"?,"at"}]}
 *
 * Versions 1 and 2 are still read; the next change of a lock writes version 3. The text of a grant begins with an open fence,
 * which the commit's revision fills: that costs less than parsing the record again.
 */
import { assert } from '../../../shared/assert.ts';
import { quoted } from '../../../shared/text.ts';
import type { EndedLease, Ending, ExclusiveRecord, Lease, LockMode, LockRecord, SharedHead } from './lease.ts';

const version = 3;
const modeLetters = { exclusive: 'x', read: 'r', permits: 'p' } as const satisfies Record<LockMode, string>;
export const endings: readonly Ending[] = ['released', 'expired', 'forced', 'forced'];
const forcedWithReason = 3;

type HolderRow = readonly [fence: number, since: number, durMs: number, owner: string | null, meta: string | null];
type EndedRow = readonly [fence: number, why: Ending, at: number, owner: string | null, meta: string | null];
type RecordRow = [version: number, mode: string, limit: number, holders: HolderRow[], ended: EndedRow[]];
type Piece = number | string;
type FlatRecord = [version: number, mode: string, limit: number, holders: number, ...Piece[]];

/** Written out, because it is done twice for each lock and unlock: half the cost of rows and `JSON.stringify`. */
export function encodeLockRecord(record: LockRecord): string {
  if (record.mode !== 'exclusive') return encodeSharedHead(record);
  const { mode, limit, holders, ended } = record;
  let text = `[${version},"${modeLetters[mode]}",${limit},${holders.length}`;
  for (let i = 0; i < holders.length; i += 1) {
    const { fence, since, durMs, owner, meta } = holders[i]!;
    text += `,${fence},${since},${durMs},${textOrNothing(owner)},${textOrNothing(meta)}`;
  }
  return text + endedPieces(ended);
}

function encodeSharedHead({ mode, limit, count, base, ended }: SharedHead): string {
  return `[${version},"${modeLetters[mode]}",${limit},${count},${base}${endedPieces(ended)}`;
}

function endedPieces(ended: readonly EndedLease[]): string {
  let text = '';
  for (let i = 0; i < ended.length; i += 1) {
    const { fence, why, at, owner, meta, reason, shared } = ended[i]!;
    const before = i === 0 ? undefined : ended[i - 1]!;
    const ending = why === 'released' ? 0 : why === 'expired' ? 1 : reason === undefined ? 2 : forcedWithReason;
    const how = shared === undefined ? ending : ending + endings.length;
    const [lessFence, lessAt] = before === undefined ? [fence, at] : [before.fence - fence, before.at - at];
    text += `,${lessFence},${how},${lessAt},${textOrNothing(owner)},${textOrNothing(meta)}`;
    if (how === forcedWithReason) text += `,${quoted(reason!)}`;
  }
  return `${text}]`;
}

export function textOrNothing(text: string | undefined): string {
  return text === undefined ? '0' : quoted(text);
}

const openGrant = `[${version},"${modeLetters.exclusive}",1,1,0,`;

/** The open fence of a shared lease, in the entry of its owner. */
export const openFence = '0';

/** Fills the fence of a grant with the revision of its commit. */
export function fillFence(text: string, fence: number): string {
  if (text === openFence) return String(fence);
  assert(text.startsWith(openGrant), 'a grant begins with its open fence');
  return `${openGrant.slice(0, -2)}${fence},${text.slice(openGrant.length)}`;
}

/** @throws InvariantError for a version or a mode that this server does not know */
export function decodeLockRecord(text: string): LockRecord {
  const parsed: unknown = JSON.parse(text);
  if (!Array.isArray(parsed)) return fromVersion1(parsed as RecordVersion1);
  const [found, letter] = parsed as FlatRecord;
  if (found === version && (letter === modeLetters.read || letter === modeLetters.permits))
    return sharedHeadOf(parsed as FlatRecord);
  assert(
    (found === version || found === 2) && letter === modeLetters.exclusive,
    'a lock is in a format that this server knows',
  );
  if (found === 2) {
    const [, , , holders, ended] = parsed as RecordRow;
    return { mode: 'exclusive', limit: 1, holders: holders.map(leaseOf), ended: ended.map(endedOf) };
  }
  return fromFlat(parsed as FlatRecord);
}

function sharedHeadOf(flat: FlatRecord): SharedHead {
  const [, letter, limit, count, base] = flat;
  const mode = letter === modeLetters.read ? 'read' : 'permits';
  return { mode, limit, count, base: base as number, ended: endedFrom(flat, 5) };
}

const rowPieces = 5;

function fromFlat(flat: FlatRecord): ExclusiveRecord {
  const [, , , count] = flat;
  const holders: Lease[] = [];
  let at = 4;
  for (; holders.length < count; at += rowPieces) {
    holders.push(
      leaseOf([
        flat[at] as number,
        flat[at + 1] as number,
        flat[at + 2] as number,
        textAt(flat, at + 3),
        textAt(flat, at + 4),
      ]),
    );
  }
  return { mode: 'exclusive', limit: 1, holders, ended: endedFrom(flat, at) };
}

function endedFrom(flat: FlatRecord, first: number): EndedLease[] {
  const ended: EndedLease[] = [];
  let fence = 0;
  let time = 0;
  for (let at = first; at < flat.length; at += rowPieces) {
    const isNewest = ended.length === 0;
    fence = isNewest ? (flat[at] as number) : fence - (flat[at] as number);
    time = isNewest ? (flat[at + 2] as number) : time - (flat[at + 2] as number);
    const how = flat[at + 1] as number;
    const why = endings[how % endings.length];
    assert(why !== undefined && how < 2 * endings.length, 'a lease has ended in a way that this server knows');
    const row = endedOf([fence, why, time, textAt(flat, at + 3), textAt(flat, at + 4)]);
    if (how === forcedWithReason) {
      ended.push({ ...row, reason: flat[at + rowPieces] as string });
      at += 1;
    } else ended.push(how < endings.length ? row : { ...row, shared: true });
  }
  return ended;
}

function textAt(flat: FlatRecord, at: number): string | null {
  const piece = flat[at];
  return typeof piece === 'string' ? piece : null;
}

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

function leaseOf([fence, since, durMs, owner, meta]: HolderRow): Lease {
  const lease: Mutable<Lease> = { fence, since, durMs };
  if (owner !== null) lease.owner = owner;
  if (meta !== null) lease.meta = meta;
  return lease;
}

function endedOf([fence, why, at, owner, meta]: EndedRow): EndedLease {
  const ended: Mutable<EndedLease> = { fence, why, at };
  if (owner !== null) ended.owner = owner;
  if (meta !== null) ended.meta = meta;
  return ended;
}

type WithHandle<Lease> = Omit<Lease, 'fence'> & { readonly handle: number };

interface RecordVersion1 {
  readonly lease?: WithHandle<Lease>;
  readonly ended: readonly WithHandle<EndedLease>[];
}

function fromVersion1({ lease, ended }: RecordVersion1): ExclusiveRecord {
  const holders = lease === undefined ? [] : [withFence(lease)];
  return { mode: 'exclusive', limit: 1, holders, ended: ended.map(withFence) };
}

/** Version 1 called the fence a handle. */
function withFence<Rest extends object>({ handle, ...rest }: Rest & { readonly handle: number }) {
  return { fence: handle, ...rest };
}
