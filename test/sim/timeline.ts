/**
 * All commits by revision: the truth against which everything else is compared. It takes the frames on their way to the
 * disk, drops those that a power cut undid, and knows each entry as of each revision.
 *
 * It checks by itself: revisions are dense, and a revision that was shown keeps its content (I4); what was shown is on
 * the medium (I1, I3); a write is whole (I2, I6), since each value of a test names its request; the sum over the
 * accounts of the bank stays the same (I6); a lock has one holder, whose lease ends no earlier than granted (I8, I9).
 * Locks that several hold are in logged-shares.ts.
 */
import { kinds, type CommitRecord, type Effect, type Kind } from '../../src/protocol/record.ts';
import { decodeLockRecord } from '../../src/shard-worker/core/state/lock-record.ts';
import type { Lease, LockRecord } from '../../src/shard-worker/core/state/lease.ts';
import { lockGraceMs } from '../../src/shared/limits.ts';
import { withReplies, type LogRecord } from '../support/checkers/commit-log.ts';
import { LoggedShares } from './logged-shares.ts';
import { Violation } from './trace.ts';

export interface Stored {
  readonly rev: number;
  readonly till: number;
  /** Absent: deleted. */
  readonly value?: string;
  readonly expired?: true;
}

export const bankPrefix = 'bank-';

export class Timeline {
  /** Up to here everything is certainly on the medium. */
  synced = 0;
  /** The highest revision that any client was shown. */
  shown = 0;
  /** Wall-clock milliseconds and revision of the last start. */
  boot = { at: 0, rev: 0 };
  readonly #now: () => number;
  readonly #records: (CommitRecord | undefined)[] = [];
  readonly #writtenAt: number[] = [];
  readonly #versions = new Map<string, Stored[]>();
  readonly #expectedKeys: (op: number) => ReadonlyMap<string, string> | undefined;

  readonly #mayRelease: (account: string, id: string, fence: number) => boolean;
  readonly shares: LoggedShares;

  /**
   * @param expectedKeys returns the key → value pairs of the request that writes this number
   * @param mayRelease returns whether a client has asked to unlock this lease, or no client knows that it holds it
   */
  constructor(
    now: () => number,
    expectedKeys: (op: number) => ReadonlyMap<string, string> | undefined,
    mayRelease: (account: string, id: string, fence: number) => boolean,
  ) {
    this.#now = now;
    this.#expectedKeys = expectedKeys;
    this.#mayRelease = mayRelease;
    this.shares = new LoggedShares((kind, account, key) => this.at(kind, account, key, Infinity), mayRelease);
  }

  /** The last revision that was written and not undone. */
  get last(): number {
    return Math.max(0, this.#records.length - 1);
  }

  /** With the reply under each idempotency id, where the log has pointers. */
  record(rev: number): CommitRecord | undefined {
    const record = this.#records[rev];
    return record === undefined ? undefined : withReplies(record);
  }

  /** All records that were written and not undone, as checkers read them. */
  log(): LogRecord[] {
    return this.#records.flatMap((record) =>
      record === undefined ? [] : [{ ...record, by: Math.floor(this.#writtenAt[record.rev]!) }],
    );
  }

  /** Returns the entry as of the revision, without regard to an expiry that was not committed yet. */
  at(kind: Kind, account: string, key: string, rev: number): Stored | undefined {
    const found = this.#versions.get(nameOf(kind, account, key))?.findLast((version) => version.rev <= rev);
    return found?.value === undefined ? undefined : found;
  }

  lock(account: string, id: string, rev: number): { record: HeldRecord; till: number; rev: number } | undefined {
    const stored = this.at(kinds.lock, account, id, rev);
    if (stored === undefined) return undefined;
    return { record: heldBy(decodeLockRecord(stored.value!)), till: stored.till, rev: stored.rev };
  }

  /** Returns the live entries of one kind, in no order. */
  *entries(kind: Kind, account: string, rev: number): Generator<[key: string, Stored]> {
    const start = nameOf(kind, account, '');
    for (const [name, versions] of this.#versions) {
      if (!name.startsWith(start)) continue;
      const found = versions.findLast((version) => version.rev <= rev);
      if (found?.value !== undefined) yield [name.slice(start.length), found];
    }
  }

  /** Returns one line for each entry, as of now. */
  digest(accounts: readonly string[]): string {
    const lines: string[] = [];
    for (const kind of Object.values(kinds)) {
      if (kind === kinds.boot) continue;
      for (const account of accounts) {
        for (const [key, { rev, till, value }] of this.entries(kind, account, Infinity)) {
          lines.push(JSON.stringify([kind, account, key, rev, till, value]));
        }
      }
    }
    return lines.toSorted().join('\n');
  }

  /** Takes a frame that goes to the disk. */
  written(records: readonly CommitRecord[]): void {
    for (const record of records) {
      const { rev } = record;
      if (rev <= this.shown) throw new Violation(`I4: revision ${rev} was shown, and is written again`);
      if (rev > this.last + 1) throw new Violation(`I4: revision ${rev} is written after ${this.last}: not dense`);
      if (rev <= this.synced) throw new Violation(`I4: revision ${rev} is durable, and is written again`);
      this.#cutBehind(rev - 1);
      this.#check(record);
      this.#records[rev] = record;
      this.#writtenAt[rev] = this.#now();
      for (const { kind, key, till, value, expired } of withReplies(record).effects) {
        const name = nameOf(kind, record.account, key);
        let versions = this.#versions.get(name);
        if (versions === undefined) this.#versions.set(name, (versions = []));
        versions.push({ rev, till, ...(value === undefined ? {} : { value }), ...(expired ? { expired } : {}) });
      }
      this.shares.check(record);
    }
  }

  onMedium(last: number): void {
    if (last > this.synced) this.synced = last;
  }

  /** Call when something with this revision has left the server. */
  show(rev: number, what: string): void {
    if (rev > this.synced)
      throw new Violation(`I3: ${what} depends on revision ${rev}; on the medium is ${this.synced}`);
    if (rev > this.shown) this.shown = rev;
  }

  /** Call when the log was recovered, and ends here. */
  recovered(last: number, log: Iterable<CommitRecord>): void {
    if (last < this.shown) throw new Violation(`I1: revision ${this.shown} was shown, and the log ends at ${last}`);
    if (last > this.last) throw new Violation(`I2: the log ends at ${last}, but only ${this.last} was ever written`);
    for (const record of log) {
      if (JSON.stringify(record) === JSON.stringify(this.#records[record.rev])) continue;
      throw new Violation(`I4: revision ${record.rev} has another content in the log: ${JSON.stringify(record)}`);
    }
    this.#cutBehind(last);
    this.synced = last;
  }

  #cutBehind(last: number): void {
    if (this.last <= last) return;
    this.#records.length = last + 1;
    for (const versions of this.#versions.values()) {
      while (versions.length > 0 && versions.at(-1)!.rev > last) versions.pop();
    }
  }

  #check(record: CommitRecord): void {
    const seen = new Set<string>();
    let bank = 0;
    for (const effect of record.effects) {
      const name = nameOf(effect.kind, record.account, effect.key);
      if (seen.has(name)) throw new Violation(`I2: revision ${record.rev} has two effects for ${effect.key}`);
      seen.add(name);
      if (effect.kind === kinds.lock) this.#checkLock(record, effect);
      if (effect.kind === kinds.kv && effect.value !== undefined) this.#checkWhole(record, effect.value);
      if (effect.kind === kinds.counter && effect.key.startsWith(bankPrefix)) {
        const before = this.at(effect.kind, record.account, effect.key, record.rev - 1);
        bank += Number(effect.value ?? 0) - Number(before?.value ?? 0);
      }
    }
    if (bank !== 0) throw new Violation(`I6: revision ${record.rev} changes the sum over the bank by ${bank}`);
  }

  /** Checks that the one record holds everything that the request puts, and nothing else. */
  #checkWhole(record: CommitRecord, value: string): void {
    const { op } = (JSON.parse(value) as { op?: number } | null) ?? {};
    // What `ops` or a merge have made of a value names no request.
    if (op === undefined) return;
    const expected = this.#expectedKeys(op);
    const puts = record.effects.filter(({ kind, value }) => kind === kinds.kv && value !== undefined);
    const whole = puts.length === expected?.size && puts.every((put) => expected.get(put.key) === put.value);
    if (!whole) {
      const found = puts.map(({ key }) => key).join(', ');
      throw new Violation(
        `I2: revision ${record.rev} puts ${found}; request ${op} puts ${[...(expected ?? new Map<string, string>()).keys()].join(', ')}`,
      );
    }
  }

  #checkLock({ rev, account }: CommitRecord, { key, value }: Effect): void {
    const before = this.lock(account, key, rev - 1);
    const held = before?.record.lease;
    const next = value === undefined ? undefined : decodeLockRecord(value);
    const lease = next?.mode === 'exclusive' ? next.holders[0] : undefined;
    if (held === undefined || lease?.fence === held.fence) {
      if (held === undefined && lease !== undefined && lease.fence !== rev)
        throw new Violation(`I8: revision ${rev} grants ${key} with fencing token ${lease.fence}`);
      return;
    }
    const ended = next?.ended.find(({ fence }) => fence === held.fence);
    if (ended === undefined)
      throw new Violation(`I8: revision ${rev} takes ${key} from fence ${held.fence}, which has not ended`);
    if (ended.why === 'released' && !this.#mayRelease(account, key, held.fence)) {
      throw new Violation(`I9: revision ${rev} releases ${key} under its holder ${held.fence}`);
    }
    const earliest = leaseEnd(before!, held.durMs, this.boot);
    if (ended.why === 'expired' && this.#now() < earliest) {
      throw new Violation(
        `I9: the lease ${held.fence} of ${key} ends at ${this.#now()}, and was given until ${earliest}`,
      );
    }
  }
}

/** A lease from before this start lasts for at least min(LockDur, 10 s) from the start, and at most LockDur. */
export function leaseEnd(
  lock: { readonly till: number; readonly rev: number },
  durMs: number,
  boot: { readonly at: number; readonly rev: number },
): number {
  if (lock.rev > boot.rev) return lock.till;
  return Math.min(Math.max(lock.till, boot.at + Math.min(durMs, lockGraceMs)), boot.at + durMs);
}

export function nameOf(kind: Kind, account: string, key: string): string {
  return `${kind}\0${account}\0${key}`;
}

/** A lock record with its holder at hand. */
type HeldRecord = LockRecord & { readonly lease?: Lease };

function heldBy(record: LockRecord): HeldRecord {
  const lease = record.mode === 'exclusive' ? record.holders[0] : undefined;
  return lease === undefined ? record : { ...record, lease };
}
