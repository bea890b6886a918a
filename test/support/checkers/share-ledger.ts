/**
 * Judges what clients saw of locks that several hold (I31), without a model: only what holds whatever became of the
 * operations that were never answered.
 *
 *   a writer is beside nobody, readers are beside readers only, and permits beside permits of the same number
 *   there are never more leases than the limit
 *   all of a set are held, under one fence
 *   a fence that holds is not refused, and one that has ended is not accepted
 *
 * Whether a lease was there at the grant of another is known in two ways. A guard or an extension that was accepted at
 * a later revision proves it. And a lease whose end was told lasts until then, if nobody can have ended it before.
 */
import { lockGraceMs } from '../../../src/shared/limits.ts';
import type { LockOperation } from '../../../src/protocol/operations/lock.ts';
import { isOfSharedLocks } from '../generators/shared-lock.ts';
import { claimedRevision, describe, type History, type Operation, type Restart, type Violation } from './history.ts';

export interface ShareReport {
  readonly violations: readonly Violation[];
  readonly counts: Readonly<Record<'leases' | 'sets' | 'together' | 'proven' | 'refused', number>>;
}

interface Lease {
  readonly name: string;
  readonly fence: number;
  readonly mode: string;
  readonly limit: number;
  readonly owner: string | undefined;
  readonly operation: Operation;
  /** When it was granted, by the server's clock; infinity: that is not known. */
  readonly grantedAt: number;
  /** What was said of its end at which revision. */
  readonly ends: { readonly rev: number; readonly till: number }[];
  /** Revisions at which a guard or an extension found it. */
  readonly proofs: number[];
}

/** A request that may end a lease, or change when it ends. */
interface Touch {
  readonly operation: Operation;
  readonly does: 'end' | 'extend' | 'guard';
  readonly name: string;
  readonly fence: number | undefined;
  readonly owner: string | undefined;
}

export function checkShares(
  { operations, restarts = [] }: History,
  { clockToleranceMs = 25 }: { readonly clockToleranceMs?: number } = {},
): ShareReport {
  const ledger = new ShareLedger(restarts, clockToleranceMs);
  const own = operations.filter(({ call }) => isOfSharedLocks(call));
  for (const operation of own) ledger.note(operation);
  return ledger.judge();
}

class ShareLedger {
  readonly #violations: Violation[] = [];
  readonly #counts = { leases: 0, sets: 0, together: 0, proven: 0, refused: 0 };
  /** By account and lock, then by fence. */
  readonly #leases = new Map<string, Map<number, Lease>>();
  readonly #touches = new Map<string, Touch[]>();
  readonly #restarts: readonly Restart[];
  readonly #toleranceMs: number;

  constructor(restarts: readonly Restart[], toleranceMs: number) {
    this.#restarts = restarts;
    this.#toleranceMs = toleranceMs;
  }

  note(operation: Operation): void {
    const { call, answer } = operation;
    if (call.kind !== 'batch') return;
    const { account, lock, locks = [], unlock, unlocks = [], guard = [] } = call;
    const touch = (does: Touch['does'], id: string, by: { fence?: number; owner?: string }): void => {
      const name = `${account} ${id}`;
      const all = this.#touches.get(name) ?? [];
      this.#touches.set(name, all);
      all.push({ operation, does, name, fence: by.fence, owner: by.owner });
    };
    for (const { id, fence, owner } of [...(unlock === undefined ? [] : [unlock]), ...unlocks]) {
      touch('end', id, { ...(fence !== undefined && { fence }), ...(owner !== undefined && { owner }) });
    }
    for (const { id, fence } of guard) touch('guard', id, { fence });
    for (const wanted of [...(lock === undefined ? [] : [lock]), ...locks]) {
      const { extend, owner } = wanted;
      const by = extend === undefined ? { owner: owner! } : { fence: extend };
      touch('extend', wanted.id, by);
      if (answer?.status === 200) this.#granted(operation, wanted);
    }
    if (locks.length > 1 && answer?.status === 200) this.#counts.sets += 1;
  }

  judge(): ShareReport {
    for (const touches of this.#touches.values()) for (const touch of touches) this.#prove(touch);
    for (const leases of this.#leases.values()) {
      const inOrder = [...leases.values()].toSorted((a, b) => a.fence - b.fence);
      inOrder.forEach((lease, i) => this.#checkGrant(lease, inOrder.slice(0, i)));
    }
    for (const touches of this.#touches.values()) for (const touch of touches) this.#checkAnswer(touch);
    return { violations: this.#violations, counts: this.#counts };
  }

  #granted(operation: Operation, { id, extend, owner, read, limit, durMs }: LockOperation): void {
    const { body } = operation.answer!;
    const { Lock, TillMs, Rev } = body as { Lock: number; TillMs: number; Rev: number };
    const name = `${operation.call.account} ${id}`;
    let leases = this.#leases.get(name);
    if (leases === undefined) this.#leases.set(name, (leases = new Map()));
    const known = leases.get(Lock);
    const end = { rev: Rev, till: TillMs };
    if (known !== undefined) {
      const isOwn = extend === Lock || (extend === undefined && owner === known.owner);
      if (!isOwn) this.#fault(`I31: ${id} has two holders under the fence ${Lock}`, known.operation, operation);
      known.ends.push(end);
      return;
    }
    if (extend !== undefined) {
      if (extend !== Lock) this.#fault(`an extension of ${extend} has the fence ${Lock}`, operation);
      return;
    }
    if (Lock > Rev) this.#fault(`${id} is granted under the fence ${Lock} at revision ${Rev}`, operation);
    const isNew = Lock === Rev;
    leases.set(Lock, {
      name,
      fence: Lock,
      mode: read === true ? 'read' : limit === undefined ? 'alone' : `${limit} permits`,
      limit: read === true ? Infinity : (limit ?? 1),
      owner,
      operation,
      grantedAt: isNew ? TillMs - durMs : Infinity,
      ends: [end],
      proofs: [],
    });
    this.#counts.leases += 1;
  }

  /** What was found with its fence at a revision was there until then. */
  #prove({ operation, does, name, fence }: Touch): void {
    const { answer } = operation;
    if (does === 'end' || fence === undefined || answer?.status !== 200) return;
    const rev = claimedRevision(answer);
    const lease = this.#leases.get(name)?.get(fence);
    if (rev === undefined || lease === undefined) return;
    lease.proofs.push(rev);
    this.#counts.proven += 1;
  }

  #checkGrant(lease: Lease, before: readonly Lease[]): void {
    const { mode, limit, name, fence } = lease;
    const beside = before.filter((other) => this.#wasThere(other, lease));
    const other = beside.find((each) => each.mode !== mode || mode === 'alone');
    if (other !== undefined)
      this.#fault(
        `I31: ${name} was held with ${other.mode} under ${other.fence}, and granted with ${mode} under ${fence}`,
        other.operation,
        lease.operation,
      );
    if (beside.length > 0 && other === undefined) this.#counts.together += 1;
    if (beside.length >= limit && other === undefined)
      this.#fault(`I31: ${name} has ${beside.length + 1} holders, and ${mode}`, lease.operation);
  }

  /** Whether the lease surely lasted when the later one was granted. */
  #wasThere(lease: Lease, later: Lease): boolean {
    if (lease.proofs.some((rev) => rev >= later.fence)) return true;
    if (this.#mayHaveBeenEnded(lease, later.operation.answer!.at, later.fence)) return false;
    const tills = lease.ends.filter(({ rev }) => rev < later.fence).toSorted((a, b) => a.rev - b.rev);
    return (
      tills.length > 0 && tills.at(-1)!.till > later.grantedAt && this.#isTillKnown(lease, later.operation.answer!.at)
    );
  }

  /** In one batch, what it gives back comes before what it takes. */
  #mayHaveBeenEnded(lease: Lease, at: number, before = Infinity): boolean {
    return (this.#touches.get(lease.name) ?? []).some(({ does, fence, owner, operation: { sentAt, answer } }) => {
      const isMeant = fence === undefined ? owner === undefined || owner === lease.owner : fence === lease.fence;
      if (does !== 'end' || !isMeant || sentAt > at) return false;
      if (answer === undefined) return true;
      return answer.status === 200 && (answer.body.Rev ?? 0) <= before;
    });
  }

  /** Nobody who was not answered can have changed when it ends. */
  #isTillKnown(lease: Lease, at: number): boolean {
    return !(this.#touches.get(lease.name) ?? []).some(({ does, fence, owner, operation }) => {
      const isMeant = fence === undefined ? owner === lease.owner : fence === lease.fence;
      return does === 'extend' && isMeant && operation.answer === undefined && operation.sentAt <= at;
    });
  }

  /** A fence that held all the time is not refused; one whose lease has ended is not accepted. */
  #checkAnswer({ operation, does, name, fence }: Touch): void {
    const { answer, sentAt } = operation;
    const lease = fence === undefined ? undefined : this.#leases.get(name)?.get(fence);
    if (lease === undefined || answer === undefined || lease.operation.answer!.at > sentAt) return;
    const tills = lease.ends.map(({ till }) => till);
    if (answer.status === 200 && does !== 'end') {
      const grace = this.#restarts.filter(({ upAt }) => upAt <= answer.at).map(({ upAt }) => upAt + lockGraceMs);
      // An extension tells of itself.
      const before = lease.ends.filter(({ rev }) => does === 'guard' || rev !== answer.body.Rev);
      const last = Math.max(...before.map(({ till }) => till), ...grace);
      if (this.#isTillKnown(lease, answer.at) && last < sentAt - this.#toleranceMs)
        this.#fault(`I31: ${name} was accepted under ${fence}, whose lease ended at ${last}`, operation);
    }
    // Of several failures a batch may tell another one first.
    const isRefused =
      answer.body.Failed?.some(({ Code }) => Code === 'lock_lost') === true || answer.body.Code === 'lock_lost';
    if (!isRefused || operation.call.kind !== 'batch' || touchesOf(operation) > 1) return;
    this.#counts.refused += 1;
    if (this.#mayHaveBeenEnded(lease, answer.at) || !this.#isTillKnown(lease, answer.at)) return;
    if (Math.min(...tills) <= answer.at + this.#toleranceMs) return;
    this.#fault(`I31: ${name} was refused under ${fence}, and its lease lasts`, lease.operation, operation);
  }

  #fault(message: string, ...about: Operation[]): void {
    const operations = about.map(({ id }) => id);
    this.#violations.push({
      verdict: 'violation',
      message: `${message}: ${about.map(describe).join('; ')}.`,
      operations,
    });
  }
}

/** How many leases a request is about. */
function touchesOf({ call }: Operation): number {
  if (call.kind !== 'batch') return 0;
  const { lock, unlock, locks = [], unlocks = [], guard = [] } = call;
  return [lock, unlock].filter((each) => each !== undefined).length + locks.length + unlocks.length + guard.length;
}
