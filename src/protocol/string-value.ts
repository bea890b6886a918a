/**
 * Values as bytes. What a Redis client writes is bytes, what is stored is JSON: bytes that are UTF-8 become a JSON
 * string, any others `{"$bytes":"<base64>"}`, which clients of HTTP see and may write. The way back takes any JSON: a
 * string gives its characters, `$bytes` its bytes, everything else the text of the JSON itself.
 */
import { isUtf8 } from 'node:buffer';
import { quoted } from '../shared/text.ts';

const bytesStart = '{"$bytes":"';
const bytesEnd = '"}';
const base64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** Returns the JSON text that is stored for these bytes. */
export function jsonOfBytes(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return isUtf8(buffer) ? quoted(buffer.toString('utf8')) : `${bytesStart}${buffer.toString('base64')}${bytesEnd}`;
}

/** Returns whether this JSON text is a string. */
export function isString(json: string): boolean {
  return json.charCodeAt(0) === 0x22;
}

/** Returns whether this JSON text is that of bytes, in the one form in which the server writes it. */
function isBytes(json: string): boolean {
  if (!json.startsWith(bytesStart) || !json.endsWith(bytesEnd)) return false;
  const text = base64In(json);
  return text.length % 4 === 0 && base64.test(text);
}

/** Returns what a value is for a Redis client. @param json as it is stored: without white space */
export function bytesOfJson(json: string): Buffer {
  if (isString(json)) return Buffer.from(textOfString(json), 'utf8');
  return isBytes(json) ? Buffer.from(base64In(json), 'base64') : Buffer.from(json, 'utf8');
}

/** Returns the length of those bytes. */
export function lengthOfJson(json: string): number {
  if (isString(json)) return Buffer.byteLength(textOfString(json), 'utf8');
  return isBytes(json) ? Buffer.byteLength(base64In(json), 'base64') : Buffer.byteLength(json, 'utf8');
}

/** Returns the characters of a JSON string. */
export function textOfString(json: string): string {
  return json.includes('\\') ? (JSON.parse(json) as string) : json.slice(1, -1);
}

function base64In(json: string): string {
  return json.slice(bytesStart.length, -bytesEnd.length);
}
