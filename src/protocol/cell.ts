/**
 * Which cell an account belongs to. Cells are what several machines share out among themselves: an account is in one
 * cell for ever, and a cell is on one machine at a time. CRC-32 is what load balancers compute too: HAProxy finds the
 * cell of a path by `path,field(3,/),crc32,mod(64)`.
 */
import { crc32 } from 'node:zlib';

/** It must never change: whoever moves accounts between machines counts on it. */
export const cellCount = 64;

/** @param account as `accountPattern` has it: ASCII @returns from 0 to `cellCount` − 1 */
export function cellOf(account: string): number {
  return crc32(account) % cellCount;
}
