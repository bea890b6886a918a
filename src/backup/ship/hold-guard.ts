/**
 * The journal keeps what is not shipped yet, but not at any price: the server must go on when the storage is away for long.
 * Over `hold_bytes_max`, or when the journal lacks space, the hold is dropped until something is shipped again.
 */
import type { After } from '../../shared/clock.ts';
import type { BackupCells, JournalHold } from '../backup-cells.ts';

/** Calls `run` again and again. @returns ends it */
export function repeating(after: After, everyMs: number, run: () => void): () => void {
  let stop = (): void => {};
  const wait = (): void => {
    stop = after(everyMs, () => {
      run();
      wait();
    });
  };
  wait();
  return () => stop();
}

export interface HoldGuardOptions {
  readonly settings: { readonly hold_bytes_max: number };
  readonly journal: {
    /** Bytes of segments that hold something after a revision. */
    bytesAfter(revision: number): number;
    /** It has space for all that clients write. */
    hasSpace(): boolean;
  };
  readonly cells: BackupCells;
  readonly hold: JournalHold;
  readonly log: (level: 'error', message: string, details?: object) => void;
}

export class HoldGuard {
  readonly #options: HoldGuardOptions;
  #dropped = false;

  constructor(options: HoldGuardOptions) {
    this.#options = options;
  }

  shipped(shipped: number): void {
    const { cells, hold } = this.#options;
    this.#dropped = false;
    cells.set('holdDropped', 0);
    hold.set(shipped);
  }

  check(shipped: number): void {
    if (this.#dropped) return;
    const { settings, journal, cells, hold, log } = this.#options;
    const held = journal.bytesAfter(shipped);
    cells.set('heldBytes', held);
    if (held <= settings.hold_bytes_max && journal.hasSpace()) return;
    this.#dropped = true;
    cells.set('holdDropped', 1);
    hold.release();
    log('error', 'The journal is not held for the backup any more: there may be a gap', { heldBytes: held });
  }
}
