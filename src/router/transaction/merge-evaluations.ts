/** Merges the evaluations of one batch by several shards; exactly one of them has evaluated each item. */
import type { Duplicate, Evaluation, FailedItem, Results } from '../../protocol/wire/shard-messages.ts';
import { assert } from '../../shared/assert.ts';

export function mergeEvaluations(parts: readonly Evaluation[]): Evaluation {
  const duplicate = mergeDuplicates(parts.flatMap((part) => part.duplicate ?? []));
  return {
    pending: parts.flatMap((part) => part.pending),
    failed: parts.flatMap((part) => part.failed).toSorted((a, b) => placeOf(a) - placeOf(b)),
    results: mergeResults(parts.map((part) => part.results)),
    ...(duplicate === undefined ? {} : { duplicate }),
  };
}

/**
 * The order in which one shard checks them, so that the first failure does not depend on which shard owns which key.
 */
function placeOf({ field, code }: FailedItem): number {
  const bracket = field.indexOf('[');
  const name = bracket < 0 ? field : field.slice(0, bracket);
  const index = bracket < 0 ? 0 : Number(field.slice(bracket + 1, -1));
  assert(name in places, `${field} (${code}) has a place in the order`);
  return places[name as keyof typeof places] * 1e9 + index;
}

const places = { Guard: 0, Unlock: 1, LockID: 2, Check: 3, KVSet: 4, Atomic: 5, n: 6 };

function mergeResults(parts: readonly Results[]): Results {
  const merged: { -readonly [K in keyof Results]: Results[K] } = {};
  for (const part of parts) {
    if (part.lock !== undefined) merged.lock = part.lock;
    if (part.sequence !== undefined) merged.sequence = part.sequence;
    if (part.counter !== undefined) merged.counter = fill(merged.counter, part.counter);
    if (part.get !== undefined) merged.get = fill(merged.get, part.get);
    if (part.set !== undefined) merged.set = fill(merged.set, part.set);
  }
  return merged;
}

function fill<Item>(
  into: readonly (Item | null)[] | undefined,
  from: readonly (Item | null)[],
): readonly (Item | null)[] {
  return into === undefined ? from : into.map((item, i) => item ?? from[i]!);
}

function mergeDuplicates(found: readonly Duplicate[]): Duplicate | undefined {
  const [first] = found;
  return first === undefined ? undefined : { ...first, ids: found.flatMap(({ ids }) => ids) };
}
