/**
 * Locks that several hold, as the log has them: after each commit a lock counts as many holders as it has leases, and a
 * lease that its holder knows of ends as released only if somebody asked for that.
 */
import { kinds, type CommitRecord, type Kind } from '../../src/protocol/record.ts';
import type { Command } from '../../src/protocol/operations/operations.ts';
import { decodeLockRecord } from '../../src/shard-worker/core/state/lock-record.ts';
import {
  decodeLease,
  isCounted,
  leaseKey,
  partOfShare,
  type StoredLease,
} from '../../src/shard-worker/core/state/shared-lease.ts';
import { Violation } from './trace.ts';

type Look = (kind: Kind, account: string, key: string) => { readonly value?: string } | undefined;
type MayRelease = (account: string, id: string, fence: number) => boolean;

export class LoggedShares {
  readonly #at: Look;
  readonly #mayRelease: MayRelease;
  /** By account and lock: the fences of leases that there ever were. */
  readonly #fences = new Map<string, Set<number>>();

  /** @param at returns the entry as of the last commit */
  constructor(at: Look, mayRelease: MayRelease) {
    this.#at = at;
    this.#mayRelease = mayRelease;
  }

  /** The commit has been written. */
  check({ account, effects, rev }: CommitRecord): void {
    const touched = new Set<string>();
    for (const { kind, key } of effects) {
      if (kind === kinds.lock) touched.add(key);
      if (kind !== kinds.share) continue;
      const { id, fence } = partOfShare(key);
      touched.add(id);
      if (fence === undefined) continue;
      this.#fencesOf(account, id).add(fence);
      this.#checkEnd(account, id, fence, `revision ${rev}`);
    }
    for (const id of touched) this.#checkCount(account, id, rev);
  }

  /** A client has been told that it holds the lock under this fence. */
  checkTold(command: Command, fence: number | undefined): void {
    if (command.kind !== 'batch' || fence === undefined) return;
    const { account, lock, locks = [] } = command;
    for (const { id } of lock === undefined ? locks : [lock]) this.#checkEnd(account, id, fence, 'an answer');
  }

  #checkEnd(account: string, id: string, fence: number, where: string): void {
    const isReleased = this.#lease(account, id, fence)?.ended?.why === 'released';
    if (isReleased && !this.#mayRelease(account, id, fence))
      throw new Violation(`I9: ${where}: the lease ${fence} of ${id} was released under its holder`);
  }

  #checkCount(account: string, id: string, rev: number): void {
    const value = this.#at(kinds.lock, account, id)?.value;
    const head = value === undefined ? undefined : decodeLockRecord(value);
    if (head === undefined || head.mode === 'exclusive') return;
    const live = [...this.#fencesOf(account, id)].filter((fence) => {
      const found = this.#lease(account, id, fence);
      return found !== undefined && found.ended === undefined && isCounted(head, fence);
    });
    if (live.length === head.count) return;
    const has = `${live.length} leases (${live.join(', ')})`;
    throw new Violation(`I31: at revision ${rev} the lock ${id} counts ${head.count} holders, and has ${has}`);
  }

  #lease(account: string, id: string, fence: number): StoredLease | undefined {
    const value = this.#at(kinds.share, account, leaseKey(id, fence))?.value;
    return value === undefined ? undefined : decodeLease(fence, value);
  }

  #fencesOf(account: string, id: string): Set<number> {
    const name = `${account} ${id}`;
    let fences = this.#fences.get(name);
    if (fences === undefined) this.#fences.set(name, (fences = new Set()));
    return fences;
  }
}
