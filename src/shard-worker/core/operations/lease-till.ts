import type { Entry } from '../../../protocol/entries.ts';
import { lockGraceMs } from '../../../shared/limits.ts';
import type { Boot } from '../state/state.ts';

/**
 * Returns when a lease ends. A lease granted before this start lasts at least min(LockDur, 10 s) from the start, since
 * nobody could renew it while the server was down. It lasts at most LockDur, in case the wall clock was set back.
 */
export function leaseTill(boot: Boot, { rev, till }: Entry, durMs: number): number {
  if (rev > boot.rev) return till;
  return Math.min(Math.max(till, boot.at + Math.min(durMs, lockGraceMs)), boot.at + durMs);
}
