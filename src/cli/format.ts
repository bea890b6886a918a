/** How durations, keys, entries and holders are printed. */
import type { Entry } from '../client/batch-result.ts';

/** For people: `0.4 s`, `12 s`, `3 min`, `2 h`, `5 d`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
  for (const [most, each, unit] of [
    [120_000, 1000, 's'],
    [7_200_000, 60_000, 'min'],
    [172_800_000, 3_600_000, 'h'],
  ] as const) {
    if (ms < most) return `${Math.floor(ms / each)} ${unit}`;
  }
  return `${Math.floor(ms / 86_400_000)} d`;
}

/** Fits a key on one line: a key with control characters is written as JSON. */
export function formatKey(key: string): string {
  return /\p{Cc}/u.test(key) ? JSON.stringify(key) : key;
}

/** Formats the `Meta` of a lock, written by `dragonlock lock` or by another client. */
export function formatMeta(meta: unknown): string {
  if (meta === undefined || meta === null) return '';
  if (typeof meta === 'string') return meta;
  if (typeof meta === 'object' && 'Host' in meta && 'Pid' in meta && 'Command' in meta) {
    const { Host, Pid, Command } = meta as Readonly<Record<string, unknown>>;
    return `${String(Command)} (${String(Host)}, pid ${String(Pid)})`;
  }
  return JSON.stringify(meta);
}

/** The entry in the names of the HTTP API. */
export function wireEntry({ key, version, value, till }: Entry): object {
  return { Key: key, Version: version, Value: value, TillMs: till };
}
