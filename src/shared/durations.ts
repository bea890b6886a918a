/** Durations as people write them: `500ms`, `1.5m`. */
const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

export type DurationUnit = keyof typeof unitMs;

/** What messages call such a text. */
export const aDurationText = 'a duration such as 500ms, 10s, 5m or 2h';

/** @returns milliseconds; undefined if the text is no number with one of the units ms, s, m, h, d */
export function msOfText(text: string): number | undefined {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? [];
  return number === undefined ? undefined : Number(number) * unitMs[unit as DurationUnit];
}
