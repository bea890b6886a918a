/**
 * Places are revisions in keys: a growing id is `‹rev›-‹i›`, the i-th of its commit. That gives an account one order
 * without writing a counter. The revision is known only at the commit. Until then a key has an open place, which the
 * commit fills as it fills the fence of a grant.
 */
import type { Revision } from '../../../protocol/ids.ts';

/** Holds 2^53 in base 32; all places have this length, so that keys sort as revisions do. */
const placeLength = 11;

/** Stands for a revision that is not known yet. */
export const openPlace = '0'.repeat(placeLength);

export function placeOf(rev: Revision): string {
  return rev.toString(32).padStart(placeLength, '0');
}

/** @param at the index at which the open place begins */
export function fillPlace(key: string, at: number, rev: Revision): string {
  return key.slice(0, at) + placeOf(rev) + key.slice(at + placeLength);
}
