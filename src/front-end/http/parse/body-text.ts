import { isUtf8 } from 'node:buffer';
import { refuse } from '../../../protocol/refusal.ts';

/** Returns the text of a body. @throws Refusal if it is not UTF-8 */
export function textOfBody(body: Buffer | string): string {
  if (typeof body === 'string') return body;
  if (isUtf8(body)) return body.toString('utf8');
  // The first bytes may tell what came instead.
  const what = knownBeginnings.find(([bytes]) => body.subarray(0, bytes.length).equals(bytes))?.[1];
  return refuse(
    'invalid',
    `The body is not UTF-8${what === undefined ? '' : ` but ${what}; expected JSON, uncompressed`}`,
  );
}

const knownBeginnings: readonly (readonly [bytes: Buffer, what: string])[] = [
  [Buffer.of(0x1f, 0x8b), 'gzip'],
  [Buffer.of(0x28, 0xb5, 0x2f, 0xfd), 'zstd'],
  [Buffer.of(0xff, 0xfe), 'UTF-16'],
  [Buffer.of(0xfe, 0xff), 'UTF-16'],
];
