/** Reads arguments of commands. Each refuses in Redis' words. */
import { readPrefix } from '../../protocol/operations/fields.ts';
import { Refusal } from '../../protocol/refusal.ts';
import { integerMax, keyBytesMax } from '../../shared/limits.ts';
import { refuseCommand } from './resp-error.ts';
import { textOfArgument } from './value.ts';

export const syntaxError = 'ERR syntax error';
export const notInteger = 'ERR value is not an integer or out of range';

const shownMax = 128;

/** Returns an argument as an error shows it: as text, and not all of a long one. */
export function shownArgument(argument = '', most: number = shownMax): string {
  return Buffer.from(argument.slice(0, most), 'latin1').toString('utf8');
}

/** Reads a key: 1 to 512 bytes of UTF-8 without NUL, as everywhere. */
export function keyOf(argument: string): string {
  if (argument.length === 0) return invalidKey('it is empty');
  return prefixOf(argument);
}

/** Reads a prefix of keys, which may be empty. */
export function prefixOf(argument: string): string {
  if (argument.length > keyBytesMax) return invalidKey(`it has ${argument.length} bytes`);
  const text = textOfArgument(argument);
  if (text === undefined) return invalidKey('it is not UTF-8');
  try {
    return readPrefix(text, '');
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return invalidKey('it has a NUL');
  }
}

function invalidKey(why: string): never {
  return refuseCommand(`ERR invalid key: ${why}; expected 1 to ${keyBytesMax} bytes of UTF-8 without NUL`);
}

const integerPattern = /^(?:0|-?[1-9][0-9]{0,18})$/;

/** Reads an integer within ±(2^53−1). */
export function integerOf(argument: string, refused: string = notInteger): number {
  const value = integerPattern.test(argument) ? Number(argument) : Number.NaN;
  return Number.isSafeInteger(value) ? value : refuseCommand(refused);
}

/** Reads an integer from `min` to `max`. */
export function integerBetween(argument: string, min: number, max: number = integerMax): number {
  const value = integerOf(argument);
  return value < min || value > max ? refuseCommand(notInteger) : value;
}

const floatPattern = /^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?$/i;

export function floatOf(argument: string): number {
  const value = floatPattern.test(argument) ? Number(argument) : Number.NaN;
  return Number.isFinite(value) ? value : refuseCommand('ERR value is not a valid float');
}

/** Refuses in Redis' words what the contract refuses. */
export function checked<Value>(read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return refuseCommand(`ERR ${error.message}`);
  }
}

/** Reads JSON text. */
export function jsonOf(argument: string, what: string): unknown {
  const text = textOfArgument(argument);
  if (text === undefined) return refuseCommand(`ERR ${what}: expected JSON in UTF-8`);
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    return refuseCommand(`ERR ${what}: not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Returns the arguments by their names, each of which takes a value: `WAIT 500 OWNER me`. @throws RespError */
export function optionsOf<Name extends string>(
  given: readonly string[],
  names: readonly Name[],
): Partial<Record<Name, string>> {
  const options: Partial<Record<Name, string>> = {};
  for (let at = 0; at < given.length; at += 2) {
    const name = names.find((known) => known === given[at]!.toUpperCase());
    const value = given[at + 1];
    if (name === undefined || value === undefined || options[name] !== undefined) return refuseCommand(syntaxError);
    options[name] = value;
  }
  return options;
}
