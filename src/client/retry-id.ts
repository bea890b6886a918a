/**
 * Ids under which a write may be sent again: UUIDs of version 7, which begin with the time. The server keeps a record
 * for each, in the order of the ids. Those that are written together lie side by side there: looked for, written and
 * forgotten in a few pages, where ids at random would touch a page each.
 */
import { randomUUID } from 'node:crypto';

/** @param wallMs since the epoch; a clock that is wrong costs the order, and nothing else */
export function retryId(wallMs: number): string {
  const time = Math.floor(wallMs).toString(16).padStart(12, '0');
  // Behind the version's digit: random bits, as in the other versions.
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}
