/**
 * Places are revisions: an id that grows is `‹rev›-‹i›`, the i-th of its commit, so that one order holds for the account
 * and no counter is written for it. The revision is known only at the commit. Until then a key has an open place, which
 * the commit fills as it fills the fence of a grant.
 */
import type { Revision } from '../../../protocol/ids.ts';

/** Enough for 2^53 in base 32, so that keys sort as revisions do. */
const placeLength = 11;

/** Stands in a key for a revision that is not known yet. */
export const openPlace = '0'.repeat(placeLength);

export function placeOf(rev: Revision): string {
  return rev.toString(32).padStart(placeLength, '0');
}

/** @param at where the open place begins */
export function fillPlace(key: string, at: number, rev: Revision): string {
  return key.slice(0, at) + placeOf(rev) + key.slice(at + placeLength);
}
