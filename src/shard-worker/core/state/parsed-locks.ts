import type { Entry } from '../../../protocol/entries.ts';
import { decodeLockRecord } from './lock-record.ts';
import type { LockRecord } from './lease.ts';

/** The lock that was parsed last, beside the entry that it came from: a command looks at its lock two or three times. */
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
