import type { Entry } from '../../../protocol/entries.ts';
import type { AccountId, Revision } from '../../../protocol/ids.ts';
import type { Effect } from '../../../protocol/record.ts';
import { decodeLockRecord } from './lock-record.ts';
import type { LockRecord } from './lease.ts';

/** A power of two: so many records are kept, the newest revisions first. */
const kept = 4096;
/** Longer texts are parsed again: what is kept stays below 16 MiB, and below 2 MiB for usual owners. */
const textMax = 1024;

interface Parsed {
  readonly rev: Revision;
  readonly account: AccountId;
  readonly id: string;
  readonly record: LockRecord;
}

/**
 * The records of locks that were written lately, as they were before they became text: a lock that is taken and given
 * back is never parsed. A record is known by the lock's name and the revision that wrote it, so it cannot be stale; its
 * place is the low bits of the revision.
 */
export class ParsedLocks {
  readonly #places: (Parsed | undefined)[] = Array.from({ length: kept }, () => undefined);
  // A command looks at its lock two or three times, also at one with a long text.
  #entry: Entry | undefined;
  #record: LockRecord | undefined;
  #made: Made | undefined;
  #madeBefore: Made | undefined;

  of(account: AccountId, id: string, entry: Entry): LockRecord {
    const parsed = this.#places[entry.rev % kept];
    if (parsed?.rev === entry.rev && parsed.id === id && parsed.account === account) return parsed.record;
    if (this.#entry !== entry || this.#record === undefined) {
      this.#entry = entry;
      this.#record = decodeLockRecord(entry.value);
    }
    return this.#record;
  }

  /** Notes a record that has just become text, which may be committed. A batch has two at most. */
  made(text: string, record: LockRecord): void {
    this.#madeBefore = this.#made;
    this.#made = { text, record };
  }

  /** Keeps the record of a text that the commit `rev` writes. An open fence becomes `rev`. */
  keep(rev: Revision, account: AccountId, { key: id, value: text }: Pick<Effect, 'key' | 'value'>): void {
    const made = this.#made?.text === text ? this.#made : this.#madeBefore;
    if (text === undefined || made?.text !== text || text.length > textMax) return;
    this.#places[rev % kept] = { rev, account, id, record: withFence(made.record, rev) };
  }
}

function withFence(record: LockRecord, fence: Revision): LockRecord {
  if (record.mode !== 'exclusive') return record;
  const [lease] = record.holders;
  return lease?.fence === 0 ? { ...record, holders: [{ ...lease, fence }] } : record;
}

interface Made {
  readonly text: string;
  readonly record: LockRecord;
}
