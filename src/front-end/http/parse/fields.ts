/** Single fields: what their schema has let through as a string or a number becomes what commands hold. */
import { keyBytesMax } from '../../../shared/limits.ts';
import { refuseField, shown } from '../../refusal.ts';

/** A key, a lock id, an owner or an idempotency id. */
export function keyOf(text: string, path: string): string {
  if (text === '') return refuseField(path, `expected a string of 1 to ${keyBytesMax} bytes, got ""`);
  return prefixOf(text, path);
}

/** As a key, and may be empty. */
export function prefixOf(text: string, path: string): string {
  if (text.length * 3 > keyBytesMax) {
    const bytes = Buffer.byteLength(text);
    if (bytes > keyBytesMax)
      return refuseField(path, `expected a string of at most ${keyBytesMax} bytes, got ${bytes} bytes`);
  }
  if (!text.isWellFormed()) return refuseField(path, 'expected well-formed Unicode, got a lone surrogate');
  if (text.includes('\0')) return refuseField(path, 'expected no NUL character');
  return text;
}

/** A lock handle; the schema has made sure of a positive number or a string of up to 16 digits. */
export function handleOf(handle: number | string, path: string): number {
  const value = Number(handle);
  if (!Number.isSafeInteger(value)) return refuseField(path, `expected a handle within 2^53−1, got ${shown(handle)}`);
  return value;
}

/** Seconds to whole milliseconds; whoever asks for less than one gets one, since 0 would mean something else. */
export function msOf(seconds: number): number {
  return seconds === 0 ? 0 : Math.max(1, Math.round(seconds * 1000));
}

/** −0 is a number of its own only to JavaScript. */
export function integerOf(value: number): number {
  return value + 0;
}
