/** Merges the evaluations of one batch by several shards; exactly one of them has evaluated each item. */
import type { Duplicate, Evaluation } from '../../protocol/wire/shard-messages.ts';
import type { Results } from '../../protocol/operations/operations.ts';

export function mergeEvaluations(parts: readonly Evaluation[]): Evaluation {
  const duplicate = mergeDuplicates(parts.flatMap((part) => part.duplicate ?? []));
  return {
    pending: parts.flatMap((part) => part.pending),
    failed: parts.flatMap((part) => part.failed).toSorted((a, b) => a.place - b.place),
    results: mergeResults(parts.map((part) => part.results)),
    ...(duplicate === undefined ? {} : { duplicate }),
  };
}

function mergeResults(parts: readonly Results[]): Results {
  const merged: Record<string, unknown> = {};
  for (const part of parts) {
    for (const [name, result] of Object.entries(part)) {
      const before = merged[name];
      merged[name] = Array.isArray(before) ? fill(before, result as readonly unknown[]) : result;
    }
  }
  return merged;
}

function fill(into: readonly unknown[], from: readonly unknown[]): readonly unknown[] {
  return into.map((item, i) => item ?? from[i]);
}

function mergeDuplicates(found: readonly Duplicate[]): Duplicate | undefined {
  const [first] = found;
  return first === undefined ? undefined : { ...first, ids: found.flatMap(({ ids }) => ids) };
}
