/** Merges the evaluations of one batch by several shards; exactly one of them has evaluated each item. */
import { mergePages, upToKey } from '../../protocol/page.ts';
import type { Page } from '../../protocol/page-rows.ts';
import type { Amounts } from '../../protocol/quotas.ts';
import { kinds } from '../../protocol/record.ts';
import type { Duplicate, Evaluation } from '../../protocol/wire/shard-messages.ts';
import type { Batch, Results } from '../../protocol/operations/operations.ts';

export function mergeEvaluations(
  parts: readonly Evaluation[],
  { clear, range, wipe }: Pick<Batch, 'clear' | 'range' | 'wipe'>,
): Evaluation {
  if (clear !== undefined) return mergeClears(parts, clear.limit);
  const all = mergeAll(parts);
  if (wipe !== undefined) {
    const entries = parts.reduce((sum, { results }) => sum + (results.wipe?.entries ?? 0), 0);
    return { ...all, results: { ...all.results, wipe: { entries } } };
  }
  if (range === undefined) return all;
  // A shard that has found a duplicate has read nothing.
  const pages = parts.flatMap(({ results }) => results.range ?? []);
  return { ...all, results: { ...all.results, range: mergePages(pages, range.limit) } };
}

/** Of the pages of all shards, what is up to the key that every shard has reached, and no more than a page. */
function mergeClears(parts: readonly Evaluation[], limit: number): Evaluation {
  const all = mergeAll(parts);
  const pages = parts.map(({ pending, results: { clear } }): Page => {
    const rows = pending.flatMap(({ kind, key }) => (kind === kinds.kv ? [{ key, body: '' }] : []));
    return clear?.after === undefined ? { rows } : { rows, after: clear.after };
  });
  const { after } = mergePages(pages, limit);
  const pending = upToKey(all.pending, after);
  const deleted = pending.filter(({ kind, expired }) => kind === kinds.kv && expired !== true).length;
  return { ...all, pending, results: { clear: after === undefined ? { deleted } : { deleted, after } } };
}

function mergeAll(parts: readonly Evaluation[]): Evaluation {
  const duplicate = mergeDuplicates(parts.flatMap((part) => part.duplicate ?? []));
  return {
    pending: parts.flatMap((part) => part.pending),
    failed: parts.flatMap((part) => part.failed).toSorted((a, b) => a.place - b.place),
    results: mergeResults(parts.map((part) => part.results)),
    ...(duplicate === undefined ? {} : { duplicate }),
    ...mergeGrowth(parts.flatMap((part) => part.growth ?? [])),
  };
}

function mergeGrowth(parts: readonly Amounts[]): Pick<Evaluation, 'growth'> {
  if (parts.length === 0) return {};
  const sum = (name: keyof Amounts): number => parts.reduce((total, part) => total + part[name], 0);
  return {
    growth: { bytes: sum('bytes'), entries: sum('entries'), messages: sum('messages'), tasks: sum('tasks') },
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
