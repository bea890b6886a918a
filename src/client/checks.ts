/** Checks made before a call is sent, so that an invalid call never makes the server refuse its whole array. */
import { keyBytesMax } from '../shared/limits.ts';
import { InvalidError } from './errors.ts';

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

/** Converts milliseconds for the wire. @throws InvalidError */
export function seconds(ms: number, name: string): number {
  if (typeof ms !== 'number' || !Number.isFinite(ms) || ms < 0) {
    throw invalid(`${name}: expected a number of milliseconds, got ${String(ms)}`);
  }
  return ms / 1000;
}

export function invalid(message: string): InvalidError {
  return new InvalidError('invalid', message);
}
