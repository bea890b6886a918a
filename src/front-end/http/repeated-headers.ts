/**
 * Refuses requests that give one of our headers twice. Node keeps the first of some headers and joins others with
 * commas; a proxy in front may choose the other one, and two ids joined are a third one.
 */
import type { IncomingMessage } from 'node:http';
import { failure, type Failure } from '../../protocol/errors.ts';

/** Every header that the server reads. Content-Length is checked by Node's parser. */
const names = new Set([
  'host',
  'origin',
  'content-type',
  'content-encoding',
  'transfer-encoding',
  'authorization',
  'idempotency-key',
  'last-event-id',
]);
/** A bit for each length that a name has. */
const lengths = [...names].reduce((bits, { length }) => bits | (1 << length), 0);

/**
 * Returns why the head is refused; undefined if it is not. Two names of one length are looked at closely; nearly no
 * request has two of the lengths in question, so the usual look is at numbers only.
 */
export function repeatedHeader({ rawHeaders }: Pick<IncomingMessage, 'rawHeaders'>): Failure | undefined {
  let seen = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const { length } = rawHeaders[i]!;
    if (length > 31) continue;
    const bit = (1 << length) & lengths;
    if ((seen & bit) !== 0) return firstRepeated(rawHeaders);
    seen |= bit;
  }
  return undefined;
}

function firstRepeated(rawHeaders: readonly string[]): Failure | undefined {
  const seen = new Set<string>();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    if (!names.has(name)) continue;
    if (seen.has(name))
      return failure('invalid', `${rawHeaders[i]}: this header is given more than once; expected it once`);
    seen.add(name);
  }
  return undefined;
}
