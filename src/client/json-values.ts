/**
 * Refuses values that `JSON.stringify` would change without a word: NaN becomes null, a Map becomes {}. The error names
 * the place.
 *
 *     written as they are   null, booleans, finite numbers, strings, arrays, objects
 *     written as JSON does  what has `toJSON`, such as a Date, by what that returns; an instance of a class, as its own
 *                           members; members that are `undefined` are left out
 *     refused               NaN, Infinity, a Date that is none; `undefined` and holes in arrays; functions, symbols,
 *                           BigInts; Map, Set, Buffer and other binary data, Promise, RegExp, Error and other objects
 *                           of the language that keep what they hold outside of their members; circles
 */
import { valueDepthMax } from '../shared/limits.ts';
import { invalid } from './checks.ts';

interface Flaw {
  /** Path within the value: `.items[3]`. */
  readonly at: string;
  readonly why: string;
}

/** @param place of the value, for the message: `value`. @throws InvalidError that names the place */
export function checkJson(value: unknown, place: string): void {
  const flaw = flawOf(value, []);
  if (flaw !== undefined) throw invalid(`${place}${flaw.at}: ${flaw.why}`);
}

/** @param within the objects that the value is in */
function flawOf(value: unknown, within: object[]): Flaw | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return undefined;
    case 'number':
      return Number.isFinite(value) ? undefined : { at: '', why: `${value} has no JSON` };
    case 'bigint':
      return { at: '', why: `the BigInt ${value} has no JSON; expected a number, or a string` };
    case 'undefined':
      return { at: '', why: 'undefined has no JSON; expected null for nothing' };
    case 'function':
    case 'symbol':
      return { at: '', why: `a ${typeof value} has no JSON` };
    default:
      return value === null ? undefined : objectFlaw(value as object, within);
  }
}

function objectFlaw(value: object, within: object[]): Flaw | undefined {
  const prototype: unknown = Object.getPrototypeOf(value);
  const isPlain = prototype === Object.prototype || prototype === null || Array.isArray(value);
  if (!isPlain) {
    const why = builtInFlaw(value);
    if (why !== undefined) return { at: '', why };
  }
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON === 'function') {
    const written: unknown = toJSON.call(value, '');
    if (written !== value) return flawOf(written, within);
  }
  if (within.includes(value)) return { at: '', why: 'circular: it contains itself' };
  if (within.length >= valueDepthMax) {
    return { at: '', why: `nested too deeply; expected at most ${valueDepthMax} levels` };
  }
  within.push(value);
  const flaw = Array.isArray(value) ? itemFlaw(value, within) : memberFlaw(value, within);
  within.pop();
  return flaw;
}

function itemFlaw(list: readonly unknown[], within: object[]): Flaw | undefined {
  for (let i = 0; i < list.length; i += 1) {
    const flaw = flawOf(list[i], within);
    if (flaw !== undefined) return { at: `[${i}]${flaw.at}`, why: flaw.why };
  }
  return undefined;
}

function memberFlaw(value: object, within: object[]): Flaw | undefined {
  for (const name of Object.keys(value)) {
    const member = (value as Readonly<Record<string, unknown>>)[name];
    if (member === undefined) continue;
    const flaw = flawOf(member, within);
    if (flaw === undefined) continue;
    const at = /^[A-Za-z_$][\w$]*$/.test(name) ? `.${name}` : `[${JSON.stringify(name.slice(0, 80))}]`;
    return { at: at + flaw.at, why: flaw.why };
  }
  return undefined;
}

/** Objects of the language keep what they hold where JSON does not look. */
function builtInFlaw(value: object): string | undefined {
  if (ArrayBuffer.isView(value)) {
    const name = value.constructor.name;
    return `a ${name} has no JSON; expected a string, for example in base64`;
  }
  const tag = Object.prototype.toString.call(value).slice(8, -1);
  if (tag === 'Object') return undefined;
  if (tag === 'Date') return Number.isNaN((value as Date).getTime()) ? 'an invalid Date has no JSON' : undefined;
  if (tag === 'String' || tag === 'Boolean') return undefined;
  if (tag === 'Number') return Number.isFinite(Number(value)) ? undefined : `${Number(value)} has no JSON`;
  if ('toJSON' in value && typeof value.toJSON === 'function') return undefined;
  const hint = tag === 'Map' || tag === 'Set' ? '; expected an object or an array' : '';
  return `${/^[AEIOU]/.test(tag) ? 'an' : 'a'} ${tag} has no JSON${hint}`;
}
