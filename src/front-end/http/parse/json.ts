/**
 * Bodies are parsed once, here. What JSON can say and we cannot keep is refused rather than bent: integers that a
 * double does not hold, numbers that overflow to infinity, an object member named `__proto__`, endless nesting.
 */
import { integerMax, valueDepthMax } from '../../../shared/limits.ts';
import { refuse, refuseField } from '../../refusal.ts';

export function parseJson(text: string): unknown {
  if (text === '') return refuse('invalid', 'The body is empty; expected JSON');
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    return refuse('invalid', `The body is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/**
 * The JSON text under which a value is kept.
 * @param path where the value stands, for messages: `KVSet[1].Value`
 * @param limitName the limit that a longer value is over
 */
export function jsonText(value: unknown, path: string, bytesMax: number, limitName: string): string {
  const flaw = flawOf(value, 0);
  if (flaw !== undefined) return refuseField(path + flaw.at, flaw.why);
  const text = JSON.stringify(value);
  // No string takes more than three bytes of UTF-8 per UTF-16 unit.
  if (text.length * 3 > bytesMax && Buffer.byteLength(text) > bytesMax) {
    return refuse(
      'too_large',
      `${path}: ${Buffer.byteLength(text)} bytes of JSON; expected at most ${bytesMax} (${limitName})`,
    );
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
  if (!isRecord(value)) return undefined;
  for (const name of Object.keys(value)) {
    if (name === '__proto__') return { at: '.__proto__', why: 'this member name is not allowed' };
    const flaw = flawOf(value[name], depth + 1);
    if (flaw !== undefined) return { at: `.${name.slice(0, 64)}${flaw.at}`, why: flaw.why };
  }
  return undefined;
}

/** A JSON object; a list is none. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function numberFlaw(value: number): Flaw | undefined {
  if (Number.isFinite(value) && (Math.abs(value) <= integerMax || !Number.isInteger(value))) return undefined;
  return {
    at: '',
    why: `this number is kept exactly only within ±(2^53−1), got ${value}; expected it smaller, or as a string`,
  };
}
