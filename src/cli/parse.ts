/** Turns the text of arguments and options into values. Each throws a UsageError that names the argument. */
import { UsageError } from './exit-codes.ts';

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Takes `500ms`, `10s`, `1.5m`, `24h` or `7d`; a bare number is seconds, as for flock(1). @returns milliseconds */
export function parseDuration(text: string, name: string): number {
  const [, number, unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text) ?? [];
  if (number === undefined) {
    throw new UsageError(`${name}: expected a duration such as 500ms, 10s, 5m or 2h, got ${JSON.stringify(text)}`);
  }
  return Number(number) * unitMs[unit as keyof typeof unitMs];
}

/** Takes an integer that a JavaScript number holds exactly. */
export function parseInteger(text: string, name: string): number {
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new UsageError(`${name}: expected an integer, got ${JSON.stringify(text)}`);
  }
  return value;
}

export function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new UsageError(`${name}: not JSON (${(error as Error).message})`);
  }
}
