/** Durations as people type them: `500ms`, `10s`, `1.5m`, `24h`, `7d`; a bare number is seconds, as for flock(1). */
import { UsageError } from './exit-codes.ts';

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** @returns milliseconds */
export function parseDuration(text: string, option: string): number {
  const [, number, unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text) ?? [];
  if (number === undefined) {
    throw new UsageError(`${option}: ${JSON.stringify(text)}; wanted a duration such as 500ms, 10s, 5m or 2h`);
  }
  return Number(number) * unitMs[unit as keyof typeof unitMs];
}

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
