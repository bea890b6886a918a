/** Numbers in the values of keys: what counts as one, and how a sum is written. */
import type { StringOpError } from '../../../protocol/operations/string-op.ts';
import { isString, textOfString } from '../../../protocol/string-value.ts';

const integer = /^(?:0|-?[1-9]\d{0,18})$/;
const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
/** A longer text is no number. The largest double has 309 digits. */
const numberCharsMax = 512;
const int64Max = 2n ** 63n;

/** Adds to the integer that a key has; absent, it counts as 0. @returns the JSON text of the sum, and the sum */
export function addInteger(json: string | undefined, n: number): { json: string; sum: number } | StringOpError {
  const text = json === undefined ? '0' : numberText(json);
  if (!integer.test(text)) return 'not_integer';
  const before = Number(text);
  // Redis counts to 2^63: up to there it is an integer, with which this server cannot reckon.
  if (!Number.isSafeInteger(before)) return isInt64(BigInt(text)) ? 'overflow' : 'not_integer';
  const sum = before + n;
  return Number.isSafeInteger(sum) ? { json: sumJson(json, `${sum}`), sum } : 'overflow';
}

/** As `addInteger`, with a double. @returns the JSON text of the sum */
export function addDouble(json: string | undefined, n: number): { json: string } | StringOpError {
  const text = json === undefined ? '0' : numberText(json);
  if (!decimal.test(text)) return 'not_float';
  const before = Number(text);
  if (!Number.isFinite(before)) return 'not_float';
  const sum = before + n;
  if (!Number.isFinite(sum)) return 'not_finite';
  // JSON keeps integers exactly only within ±(2^53−1).
  const asNumber = !Number.isInteger(sum) || Number.isSafeInteger(sum);
  return { json: sumJson(asNumber ? json : undefined, decimalText(sum)) };
}

/** Writes a double without an exponent, with at most 17 digits behind the point and without zeros at its end. */
function decimalText(n: number): string {
  if (Number.isInteger(n)) return BigInt(n).toString();
  const text = String(n);
  if (!text.includes('e')) return text;
  return n
    .toFixed(17)
    .replace(/\.?0+$/, '')
    .replace(/^-0$/, '0');
}

/** A JSON number stays one, everything else becomes a string. */
function sumJson(before: string | undefined, text: string): string {
  return before === undefined || isString(before) ? `"${text}"` : text;
}

function numberText(json: string): string {
  if (json.length > numberCharsMax) return '';
  return isString(json) ? textOfString(json) : json;
}

function isInt64(n: bigint): boolean {
  return n >= -int64Max && n < int64Max;
}
