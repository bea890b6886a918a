/** Checks made before a call is sent, so that an invalid call never makes the server refuse its whole array. */
import { aDurationText, msOfText, type DurationUnit } from '../shared/durations.ts';
import { integerMax, keyBytesMax } from '../shared/limits.ts';
import { shown } from '../shared/text.ts';
import { InvalidError } from './errors.ts';

/** Milliseconds, or a number with its unit: `500`, `'500ms'`, `'60s'`, `'5m'`, `'2h'`, `'7d'`. */
export type Duration = number | `${number}${DurationUnit}`;

/** Checks a key or id. @throws InvalidError */
export function anId(id: string, name: string): string {
  // UTF-8 needs at most three bytes for each UTF-16 code unit.
  const fits =
    typeof id === 'string' && id.length > 0 && (id.length * 3 <= keyBytesMax || Buffer.byteLength(id) <= keyBytesMax);
  if (!fits || !id.isWellFormed() || id.includes('\0')) {
    const got = typeof id === 'string' ? JSON.stringify(id.slice(0, 80)) : typeof id;
    throw invalid(`${name}: expected 1 to ${keyBytesMax} bytes of well-formed UTF-8 without NUL, got ${got}`);
  }
  return id;
}

/** Both ends are included. */
export interface MsRange {
  readonly min: number;
  readonly max: number;
}

/** Less than one is certainly a mistake in the unit. */
const shortestMs = 1;

/** @returns milliseconds. @throws InvalidError */
export function durationMs(
  duration: Duration,
  name: string,
  { min = shortestMs, max = Infinity }: Partial<MsRange> = {},
): number {
  const ms = typeof duration === 'string' ? msOfText(duration) : duration;
  if (typeof ms !== 'number' || Number.isNaN(ms)) {
    throw invalid(`${name}: expected milliseconds, or ${aDurationText}, got ${gotText(duration)}`);
  }
  if (!(ms >= min && ms <= max && ms < Infinity)) {
    const range = max === Infinity ? `at least ${min}` : `${min} to ${max}`;
    throw invalid(`${name}: expected ${range} milliseconds, got ${gotText(duration)}`);
  }
  return ms;
}

/** Checks a version, a fence, a count, a revision, an operand of a counter. @throws InvalidError */
export function anInteger(value: number, name: string, min = -integerMax): number {
  if (!Number.isSafeInteger(value) || value < min) {
    const range = min === -integerMax ? 'within ±(2^53−1)' : `from ${min} to 2^53−1`;
    throw invalid(`${name}: expected an integer ${range}, got ${gotText(value)}`);
  }
  return value;
}

export function invalid(message: string): InvalidError {
  return new InvalidError('invalid', message);
}

/** A value as a message shows it; of those too that have no JSON. */
export function gotText(value: unknown): string {
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'bigint' || typeof value === 'symbol') return String(value);
  return shown(value);
}

export function integerIf(value: number | undefined, name: string, min?: number): number | undefined {
  return value === undefined ? undefined : anInteger(value, name, min);
}

export function secondsIf(duration: Duration | undefined, name: string, range: MsRange): number | undefined {
  return duration === undefined ? undefined : durationMs(duration, name, range) / 1000;
}
