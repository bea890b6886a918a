/**
 * Leases of locks that several hold: readers, and holders of permits. The lock's own entry has how many there are
 * (`SharedHead`); each lease is an entry of its own, with its own end, and one more leads from its owner to it:
 *
 *   ‹lock›                 the head                                         kind l
 *   ‹lock› NUL h‹place›    a lease: the place is its fence (places.ts)      kind h, till = its end, or its memory's
 *   ‹lock› NUL o‹owner›    the fence of the owner's last lease              kind h
 *
 * So taking, extending and giving back write two or three small entries, however many others hold the lock.
 *
 *   grant      head: count + 1 │ lease │ owner
 *   extension                    lease
 *   release    head: count − 1 │ lease, ended: remembered for `shareHistoryMs`
 *   expiry     head: count − 1 │ lease, ended
 *   force      head: count 0, base = every lease so far
 *   forgotten                    lease and owner are deleted
 *
 *   lease      [1, since, durMs, owner, meta | 0]                     ended: [1, since, durMs, owner, 0, how, at]
 *
 * `how` is as in a lock's record. Which lease is over is written in its entry, or follows from `base`.
 */
import type { Revision } from '../../../protocol/ids.ts';
import type { Sharing } from '../../../protocol/operations/lock-sharing.ts';
import { lockHistoryMax } from '../../../shared/limits.ts';
import { assert } from '../../../shared/assert.ts';
import { quoted } from '../../../shared/text.ts';
import { endings, textOrNothing } from './lock-record.ts';
import { pushEnded, type EndedLease, type Ending, type Lease, type LockRecord, type SharedHead } from './lease.ts';
import { openPlace, placeOf } from './places.ts';

const version = 1;

export function leaseKey(id: string, fence: number): string {
  return `${id}\0h${placeOf(fence as Revision)}`;
}

/** The key of a lease that gets its fence at the commit, and where in it the fence goes. */
export function openLeaseKey(id: string): { readonly key: string; readonly opens: number } {
  return { key: `${id}\0h${openPlace}`, opens: id.length + 2 };
}

export function ownerKey(id: string, owner: string): string {
  return `${id}\0o${owner}`;
}

/** What a key of kind `h` is about. */
export function partOfShare(key: string): { readonly id: string; readonly fence?: number } {
  const nul = key.indexOf('\0');
  const id = key.slice(0, nul);
  return key[nul + 1] === 'h' ? { id, fence: Number.parseInt(key.slice(nul + 2), 32) } : { id };
}

export interface StoredLease {
  readonly lease: Lease;
  readonly ended?: EndedLease;
}

type LeaseRow = [version: number, since: number, durMs: number, owner: string, meta: string | 0, ...end: number[]];

export function encodeLease({ since, durMs, owner, meta }: Lease): string {
  return `[${version},${since},${durMs},${quoted(owner!)},${textOrNothing(meta)}]`;
}

export function encodeEndedLease({ since, durMs, owner }: Lease, why: Ending, at: number): string {
  return `[${version},${since},${durMs},${quoted(owner!)},0,${endings.indexOf(why)},${at}]`;
}

/** @throws InvariantError for a version that this server does not know */
export function decodeLease(fence: number, text: string): StoredLease {
  const [found, since, durMs, owner, meta, how, at] = JSON.parse(text) as LeaseRow;
  assert(found === version, 'the lease of a shared lock is in a format that this server knows');
  const lease: Lease = { fence, since, durMs, owner, ...(meta === 0 ? {} : { meta }) };
  if (how === undefined) return { lease };
  const why = endings[how];
  assert(why !== undefined && at !== undefined, 'a lease has ended in a way that this server knows');
  return { lease, ended: { fence, why, owner, at, shared: true } };
}

/** Whether the head counts this lease, unless the lease's own entry says that it has ended. */
export function isCounted(head: LockRecord | undefined, fence: number): boolean {
  return head !== undefined && head.mode !== 'exclusive' && head.count > 0 && fence > head.base;
}

/**
 * Returns the head with one more holder.
 *
 * @param held absent: nobody has the lock
 * @param lastRev no lease so far has a higher fence
 */
export function joinHead(
  held: SharedHead | undefined,
  ended: readonly EndedLease[],
  { limit }: Sharing,
  lastRev: Revision,
): SharedHead {
  if (held !== undefined) return { ...held, count: held.count + 1 };
  const mode = limit === undefined ? 'read' : 'permits';
  return { mode, limit: limit ?? 0, count: 1, base: lastRev, ended };
}

/** Returns the head without a lease that ends now. Of shared leases only the newest stays among the ended. */
export function leaveHead(head: SharedHead, lease: Lease, why: Ending, at: number): SharedHead {
  const others = head.ended.filter(({ shared }) => shared === undefined);
  const [newest, ...older] = pushEnded(others, lease, why, at);
  const ended = [{ ...newest!, shared: true } as const, ...older].slice(0, lockHistoryMax);
  return { ...head, count: head.count - 1, ended };
}

/** What everybody may see of a lock that several hold. */
export interface SharedInfo {
  readonly RLock?: true;
  readonly LockLimit?: number;
  readonly Holders: number;
  readonly Free?: number;
}

export function sharedInfo({ mode, limit, count }: SharedHead): SharedInfo {
  if (mode === 'read') return { RLock: true, Holders: count };
  return { LockLimit: limit, Holders: count, Free: limit - count };
}
