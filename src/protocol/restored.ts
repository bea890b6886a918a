/**
 * What a restore leaves in the store for those who live through it, under the server's own account. The state went back,
 * and clients hold what was given out in the time that is lost: the server does not know it, and must neither accept nor
 * deny it, nor give a lock to a second holder while the first one may still work.
 */
import { revision, type Revision } from './ids.ts';
import type { Effect } from './record.ts';
import { kinds } from './record.ts';

/** A part of the entry of the epochs (footprint.ts), so that one shard has both. */
export const restoredKey = 'boot\0r';

export interface RestoredState {
  /** Of each restore in the past of this store, oldest first: revisions between the two were given out, and are lost. */
  readonly ranges: readonly RestoredRange[];
  /** No lock is granted anew for so long after the first start; 0: every client was stopped. */
  readonly graceMs: number;
  /** Locks that were seen with a longer lease. */
  readonly longer: readonly (readonly [account: string, id: string, durMs: number])[];
  /** The server's time at the first start after the restore; absent: there was none yet. */
  readonly since?: number;
}

export type RestoredRange = readonly [from: number, to: number];

/** More than that are forgotten, the oldest first. */
export const restoredRangesMax = 64;
/** Of JSON text for single locks; with more, all locks get the longest lease of those left out. */
export const longerBytesMax = 256 * 1024;

export function restoredEffect(state: RestoredState): Effect {
  return { kind: kinds.boot, key: restoredKey, till: 0, value: JSON.stringify(state) };
}

export function parseRestored(value: string | undefined): RestoredState | undefined {
  return value === undefined ? undefined : (JSON.parse(value) as RestoredState);
}

/** The revision that the last restore went on with. */
export function restoredToOf(state: Pick<RestoredState, 'ranges'> | undefined): Revision | undefined {
  const to = state?.ranges.at(-1)?.[1];
  return to === undefined ? undefined : revision(to);
}

/** Whether a fencing token may be one of those that are lost. */
export function isLost(state: Pick<RestoredState, 'ranges'> | undefined, fence: number): boolean {
  return state?.ranges.some(([from, to]) => fence > from && fence < to) === true;
}

/** Keeps single locks as far as they fit. @param seen the longest lease of each lock, by account and id */
export function graceFor(
  graceMs: number,
  seen: Iterable<readonly [account: string, id: string, durMs: number]>,
): Pick<RestoredState, 'graceMs' | 'longer'> {
  if (graceMs === 0) return { graceMs: 0, longer: [] };
  const longer: (readonly [string, string, number])[] = [];
  let all = graceMs;
  let bytes = 0;
  for (const lock of [...seen].filter(([, , durMs]) => durMs > graceMs).toSorted(([, , a], [, , b]) => b - a)) {
    bytes += Buffer.byteLength(JSON.stringify(lock)) + 1;
    if (bytes <= longerBytesMax) longer.push(lock);
    else all = Math.max(all, lock[2]);
  }
  return { graceMs: all, longer: longer.filter(([, , durMs]) => durMs > all) };
}
