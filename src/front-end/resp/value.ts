/**
 * Values between RESP and the store. An argument is text of bytes (latin1); stored is JSON text, see
 * `protocol/string-value.ts`. Most values are short ASCII, which is the same in both.
 */
import { bytesOfJson, jsonOfBytes } from '../../protocol/string-value.ts';
import { quoted } from '../../shared/text.ts';
import { isAscii } from './writer.ts';

/** Returns the JSON text to store for an argument. */
export function jsonOfArgument(argument: string): string {
  return isAscii(argument) ? quoted(argument) : jsonOfBytes(Buffer.from(argument, 'latin1'));
}

/** Returns the bytes that a stored value is for a client. */
export function bytesOfValue(json: string): string {
  if (json.charCodeAt(0) === 0x22 && !json.includes('\\') && isAscii(json)) return json.slice(1, -1);
  return bytesOfJson(json).toString('latin1');
}

/** Returns an argument as text; undefined: it is not UTF-8. */
export function textOfArgument(argument: string): string | undefined {
  if (isAscii(argument)) return argument;
  try {
    return utf8.decode(Buffer.from(argument, 'latin1'));
  } catch {
    return undefined;
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
