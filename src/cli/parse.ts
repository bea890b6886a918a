/** Turns the text of arguments and options into values. Each throws a UsageError that names the argument. */
import { aDurationText, msOfText } from '../shared/durations.ts';
import { UsageError } from './exit-codes.ts';

/** Takes `500ms`, `10s`, `1.5m`, `24h` or `7d`; a bare number is seconds, as for flock(1). @returns milliseconds */
export function parseDuration(text: string, name: string): number {
  const ms = msOfText(/^[\d.]+$/.test(text) ? `${text}s` : text);
  if (ms === undefined) throw new UsageError(`${name}: expected ${aDurationText}, got ${JSON.stringify(text)}`);
  return ms;
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
