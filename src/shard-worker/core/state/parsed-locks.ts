import type { Entry } from '../../../protocol/entries.ts';
import { decodeLockRecord } from './lock-record.ts';
import type { LockRecord } from './lease.ts';

/** Caches the lock that was parsed last, with its entry: a command looks at its lock two or three times. */
export class ParsedLocks {
  #entry: Entry | undefined;
  #record: LockRecord | undefined;

  of(entry: Entry): LockRecord {
    if (this.#entry !== entry || this.#record === undefined) {
      this.#entry = entry;
      this.#record = decodeLockRecord(entry.value);
    }
    return this.#record;
  }
}
