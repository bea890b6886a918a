import { revision, type Revision } from '../../src/protocol/ids.ts';
import type { Revisions } from '../../src/protocol/journal.ts';

/** Revisions without shared memory, for one thread. */
export class LocalRevisions implements Revisions {
  #current: number;
  #durable: number;

  constructor(last: Revision) {
    this.#current = last;
    this.#durable = last;
  }

  next(): Revision {
    this.#current += 1;
    return revision(this.#current);
  }

  current(): Revision {
    return revision(this.#current);
  }

  durable(): Revision {
    return revision(this.#durable);
  }

  setDurable(durable: Revision): void {
    this.#durable = durable;
  }
}
