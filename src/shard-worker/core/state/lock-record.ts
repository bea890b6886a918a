/**
 * The text of a lock's entry on disk.
 *
 *   version 2   [2, mode, limit, [holder, …], [ended, …]]
 *     mode      "x": one holder at a time. (Modes for readers and for permits are planned: an older server refuses
 *               them by their letter.)
 *     limit     the number of holders at once
 *     holder    [fence, since, durMs, owner | null, meta | null]
 *     ended     [fence, why, at, owner | null, meta | null], newest first
 *
 *   version 1   {"lease":{"handle","owner"?,"meta"?,"since","durMs"}?,"ended":[{"handle","why","owner"?,"meta"?,"at"}]}
 *
 * Version 1 is still read; the next change of a lock writes version 2. The text of a grant begins with an open fence,
 * which the commit's revision fills: that costs less than parsing the record again.
 */
import { assert } from '../../../shared/assert.ts';
import { quoted } from '../../../shared/text.ts';
import type { EndedLease, Ending, Lease, LockMode, LockRecord } from './lease.ts';

const version = 2;
const modeLetters = { exclusive: 'x' } as const satisfies Record<LockMode, string>;

type HolderRow = [fence: number, since: number, durMs: number, owner: string | null, meta: string | null];
type EndedRow = [fence: number, why: Ending, at: number, owner: string | null, meta: string | null];
type RecordRow = [version: number, mode: string, limit: number, holders: HolderRow[], ended: EndedRow[]];

/** Written out, because it is done twice for each lock and unlock: half the cost of rows and `JSON.stringify`. */
export function encodeLockRecord({ mode, limit, holders, ended }: LockRecord): string {
  let text = `[${version},"${modeLetters[mode]}",${limit},[`;
  for (const [i, { fence, since, durMs, owner, meta }] of holders.entries()) {
    text += `${i === 0 ? '' : ','}[${fence},${since},${durMs},${textOrNull(owner)},${textOrNull(meta)}]`;
  }
  text += '],[';
  for (let i = 0; i < ended.length; i += 1) {
    const { fence, why, at, owner, meta } = ended[i]!;
    text += `${i === 0 ? '' : ','}[${fence},"${why}",${at},${textOrNull(owner)},${textOrNull(meta)}]`;
  }
  return `${text}]]`;
}

function textOrNull(text: string | undefined): string {
  return text === undefined ? 'null' : quoted(text);
}

const openGrant = `[${version},"${modeLetters.exclusive}",1,[[0,`;

/** Fills the fence of a grant with the revision of its commit. */
export function fillFence(text: string, fence: number): string {
  assert(text.startsWith(openGrant), 'a grant begins with its open fence');
  return `${openGrant.slice(0, -2)}${fence},${text.slice(openGrant.length)}`;
}

/** @throws InvariantError for a version or a mode that this server does not know */
export function decodeLockRecord(text: string): LockRecord {
  const parsed: unknown = JSON.parse(text);
  if (!Array.isArray(parsed)) return fromVersion1(parsed as RecordVersion1);
  const [found, letter, limit, holders, ended] = parsed as RecordRow;
  assert(found === version && letter === modeLetters.exclusive, 'a lock is in a format that this server knows');
  return { mode: 'exclusive', limit, holders: holders.map(leaseOf), ended: ended.map(endedOf) };
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

function fromVersion1({ lease, ended }: RecordVersion1): LockRecord {
  const holders = lease === undefined ? [] : [withFence(lease)];
  return { mode: 'exclusive', limit: 1, holders, ended: ended.map(withFence) };
}

/** Version 1 called the fence a handle. */
function withFence<Rest extends object>({ handle, ...rest }: Rest & { readonly handle: number }) {
  return { fence: handle, ...rest };
}
