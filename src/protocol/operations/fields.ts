/**
 * Fields that several operations share: their schemas, and checks that a schema cannot express. `expected` says in
 * words what a field takes; every message about the field has it.
 */
import { Type } from 'typebox';
import { integerMax, keyBytesMax, valueDepthMax } from '../../shared/limits.ts';
import { shown } from '../../shared/text.ts';
import { refuse, refuseField } from '../refusal.ts';

export const aKey = `a string of 1 to ${keyBytesMax} bytes`;
export const keyField = Type.String({ minLength: 1, expected: aKey });
export const anyJson = Type.Unknown({ expected: 'any JSON' });
export const integerField = Type.Integer({
  minimum: -integerMax,
  maximum: integerMax,
  expected: 'an integer within ±(2^53−1)',
});
export const versionField = Type.Integer({
  minimum: 0,
  maximum: integerMax,
  expected: 'a version: an integer from 0 to 2^53−1',
});
export const fenceField = Type.Union(
  [Type.Integer({ minimum: 1, maximum: integerMax }), Type.String({ pattern: '^[1-9][0-9]{0,15}$' })],
  { expected: 'the fencing token of a lock: a positive integer, or the same as a string of digits' },
);
export const yesOrNo = Type.Boolean({ expected: 'true or false' });

export function secondsField(above: 'zero' | 'or zero', maxMs: number) {
  const bound = above === 'zero' ? { exclusiveMinimum: 0 } : { minimum: 0 };
  const range = above === 'zero' ? `more than 0, at most ${maxMs / 1000}` : `0 to ${maxMs / 1000}`;
  return Type.Number({ ...bound, maximum: maxMs / 1000, expected: `a number of seconds, ${range}` });
}

export const closed = { additionalProperties: false };

export function listField<Item extends Type.TSchema>(item: Item, expected: string, minItems = 0) {
  return Type.Array(item, { minItems, expected });
}

/** Checks a key, a lock id, an owner or an idempotency id. */
export function readKey(text: string, path: string): string {
  if (text === '') return refuseField(path, `expected a string of 1 to ${keyBytesMax} bytes, got ""`);
  return readPrefix(text, path);
}

/** Checks a prefix: like a key, but it may be empty. */
export function readPrefix(text: string, path: string): string {
  if (text.length * 3 > keyBytesMax) {
    const bytes = Buffer.byteLength(text);
    if (bytes > keyBytesMax)
      return refuseField(path, `expected a string of at most ${keyBytesMax} bytes, got ${bytes} bytes`);
  }
  if (!text.isWellFormed()) return refuseField(path, 'expected well-formed Unicode, got a lone surrogate');
  if (text.includes('\0')) return refuseField(path, 'expected no NUL character');
  return text;
}

/** Reads a fencing token. The schema has made sure of a positive number or a string of up to 16 digits. */
export function readFence(fence: number | string, path: string): number {
  const value = Number(fence);
  if (!Number.isSafeInteger(value))
    return refuseField(path, `expected a fencing token within 2^53−1, got ${shown(fence)}`);
  return value;
}

/** Converts seconds to whole milliseconds. Less than one becomes one, since 0 would mean something else. */
export function secondsToMs(seconds: number): number {
  return seconds === 0 ? 0 : Math.max(1, Math.round(seconds * 1000));
}

/** Turns −0 into 0: only JavaScript tells the two apart. */
export function readInteger(value: number): number {
  return value + 0;
}

/**
 * Returns the JSON text that is stored for a value. Refuses JSON that we cannot store unchanged: integers that a double
 * does not hold, numbers that overflow to infinity, an object member named `__proto__`, nesting without end.
 *
 * @param path the place of the value, for messages: `KVSet[1].Value`
 * @param limit the maximum of bytes, and the name of that limit
 */
export function jsonText(
  value: unknown,
  path: string,
  limit: { readonly bytes: number; readonly name: string },
): string {
  const flaw = flawOf(value, 0);
  if (flaw !== undefined) return refuseField(path + flaw.at, flaw.why);
  const text = JSON.stringify(value);
  // No string takes more than three bytes of UTF-8 per UTF-16 unit.
  if (text.length * 3 > limit.bytes && Buffer.byteLength(text) > limit.bytes) {
    const got = Buffer.byteLength(text);
    return refuse('too_large', `${path}: ${got} bytes of JSON; expected at most ${limit.bytes} (${limit.name})`);
  }
  return text;
}

interface Flaw {
  /** Path within the value: `.a[3]`. */
  readonly at: string;
  readonly why: string;
}

function flawOf(value: unknown, depth: number): Flaw | undefined {
  if (typeof value === 'number') return numberFlaw(value);
  if (typeof value !== 'object' || value === null) return undefined;
  if (depth >= valueDepthMax) return { at: '', why: `nested too deeply; expected at most ${valueDepthMax} levels` };
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const flaw = flawOf(value[i], depth + 1);
      if (flaw !== undefined) return { at: `[${i}]${flaw.at}`, why: flaw.why };
    }
    return undefined;
  }
  for (const [name, member] of Object.entries(value)) {
    if (name === '__proto__') return { at: '.__proto__', why: 'this member name is not allowed' };
    const flaw = flawOf(member, depth + 1);
    if (flaw !== undefined) return { at: `.${name.slice(0, 64)}${flaw.at}`, why: flaw.why };
  }
  return undefined;
}

function numberFlaw(value: number): Flaw | undefined {
  if (Number.isFinite(value) && (Math.abs(value) <= integerMax || !Number.isInteger(value))) return undefined;
  return {
    at: '',
    why: `this number is kept exactly only within ±(2^53−1), got ${value}; expected it smaller, or as a string`,
  };
}
