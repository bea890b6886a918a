/**
 * Values as bytes. What a Redis client writes is bytes, what is stored is JSON: bytes that are UTF-8 become a JSON
 * string, any others `{"$bytes":"<base64>"}`, which clients of HTTP see and may write. The way back takes any JSON: a
 * string gives its characters, `$bytes` its bytes, everything else the text of the JSON itself.
 */
import { isUtf8 } from 'node:buffer';
import { quoted } from '../shared/text.ts';

const bytesStart = '{"$bytes":"';
const bytesEnd = '"}';
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Returns the JSON text that is stored for these bytes. */
export function jsonOfBytes(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return isUtf8(buffer) ? quoted(buffer.toString('utf8')) : `${bytesStart}${buffer.toString('base64')}${bytesEnd}`;
}

/** Returns whether this JSON text is that of bytes, in the one form in which the server writes it. */
export function isBytes(json: string): boolean {
  return json.startsWith(bytesStart) && json.endsWith(bytesEnd) && base64.test(base64In(json));
}

/** Returns what a value is for a Redis client. @param json as it is stored: without white space */
export function bytesOfJson(json: string): Buffer {
  if (json.charCodeAt(0) === 0x22) return Buffer.from(textOfString(json), 'utf8');
  return isBytes(json) ? Buffer.from(base64In(json), 'base64') : Buffer.from(json, 'utf8');
}

/** Returns the characters of a JSON string. */
export function textOfString(json: string): string {
  return json.includes('\\') ? (JSON.parse(json) as string) : json.slice(1, -1);
}

function base64In(json: string): string {
  return json.slice(bytesStart.length, -bytesEnd.length);
}
