/**
 * Several idempotency ids of one batch share one stored reply. The first id has it; the entry of each other id is a
 * pointer to it:
 *
 *   version 3   [3, id]     the reply stands under `id`; both entries are of the same commit
 *
 * A pointer never leads to another shard. The record of a commit has the reply once, whichever shards own the ids. A
 * shard that owns some of them, but not the first, stores the reply under the first that it does own
 * (`applyRecord` in shard-worker/core/state/state.ts). A repartition that parts a pointer from its reply puts the reply
 * in its place (storage/lmdb/repartition.ts).
 *
 * The two entries end at the same time. A pointer whose reply is of another commit, or gone, has outlived it: then its
 * id counts as unused.
 */
const start = '[3,';

export function pointerTo(id: string): string {
  return `${start}${JSON.stringify(id)}]`;
}

/** Returns the id that a stored text points to, or undefined for a reply. */
export function pointedIdOf(stored: string): string | undefined {
  return stored.startsWith(start) ? (JSON.parse(stored) as [version: 3, id: string])[1] : undefined;
}
