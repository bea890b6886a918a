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
import type { EndedLease, Ending, Lease, LockMode, LockRecord } from './lease.ts';

const version = 2;
const modeLetters = { exclusive: 'x' } as const satisfies Record<LockMode, string>;

type HolderRow = [fence: number, since: number, durMs: number, owner: string | null, meta: string | null];
type EndedRow = [fence: number, why: Ending, at: number, owner: string | null, meta: string | null];
type RecordRow = [version: number, mode: string, limit: number, holders: HolderRow[], ended: EndedRow[]];

export function encodeLockRecord({ mode, limit, holders, ended }: LockRecord): string {
  const row: RecordRow = [
    version,
    modeLetters[mode],
    limit,
    holders.map(({ fence, since, durMs, owner, meta }) => [fence, since, durMs, owner ?? null, meta ?? null]),
    ended.map(({ fence, why, at, owner, meta }) => [fence, why, at, owner ?? null, meta ?? null]),
  ];
  return JSON.stringify(row);
}

/** The beginning of the text that `encodeLockRecord` returns for an exclusive lock whose fence is still open. */
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
  return {
    mode: 'exclusive',
    limit,
    holders: holders.map(([fence, since, durMs, owner, meta]) => ({
      fence,
      ...(owner === null ? {} : { owner }),
      ...(meta === null ? {} : { meta }),
      since,
      durMs,
    })),
    ended: ended.map(([fence, why, at, owner, meta]) => ({
      fence,
      why,
      ...(owner === null ? {} : { owner }),
      ...(meta === null ? {} : { meta }),
      at,
    })),
  };
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
