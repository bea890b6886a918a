/**
 * Keeps one spare segment ready, so that a full disk is met here, beside the work, and not by a commit.
 *
 *             ┌────────────────── use ◄──────────────┐
 *             ▼                                      │
 *        preparing ──── zeros on disk, renamed ───► ready
 *          │   ▲
 *   ENOSPC │   │ every second
 *          ▼   │
 *         failed          any other error: the owner is told, and takes the process down
 *
 * A segment that nobody needs any more is not unlinked but kept here, one at a time, and the next spare is made of it.
 * A failed attempt removes what it wrote, because the room may be just what a checkpoint needs to let old segments go.
 */
import { joinPath, type Disk } from '../../shared/disk.ts';
import type { JournalLog } from './journal-options.ts';
import { isDiskFull, oldName, retireSegment, spareName, spareTmpName, unlinkIfPresent } from './segment.ts';

export interface SpareKeeperOptions {
  readonly segmentBytes: number;
  readonly retryMs: number;
  readonly schedule: (run: () => void, ms: number) => void;
  readonly log: JournalLog;
  /** The state has changed. */
  readonly onChange: () => void;
  readonly onFailure: (error: unknown) => void;
}

export class SpareSegment {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #options: SpareKeeperOptions;
  #state: 'preparing' | 'ready' | 'failed' | 'closed' = 'preparing';
  #attempt: Promise<void> = Promise.resolve();
  #retrying = false;
  /** There is an old segment that the next spare can be made of. */
  #old = false;

  constructor(disk: Disk, directory: string, options: SpareKeeperOptions) {
    this.#disk = disk;
    this.#directory = directory;
    this.#options = options;
  }

  get state(): 'preparing' | 'ready' | 'failed' | 'closed' {
    return this.#state;
  }

  /** The spare is gone, or there is none yet: makes one. */
  start(): void {
    this.#state = 'preparing';
    this.#begin();
  }

  /**
   * Takes a segment that nobody needs any more as the stuff of the next spare: its blocks are allocated, and its pages in
   * memory, if it has any, are too.
   * @returns whether it is gone from the log; false: there is one already
   */
  retire(name: string): boolean {
    if (this.#old) return false;
    retireSegment(this.#disk, this.#directory, name);
    this.#old = true;
    return true;
  }

  /** The disk turned out to be full elsewhere. */
  fail(error: unknown): void {
    if (this.#state === 'failed') return;
    this.#state = 'failed';
    const reason = error instanceof Error ? error.message : String(error);
    this.#options.log('warn', 'There is no room for the next journal segment; trying again', { reason });
  }

  /** Resolves when no attempt is under way any more. */
  close(): Promise<void> {
    this.#state = 'closed';
    return this.#attempt;
  }

  #begin(): void {
    this.#attempt = this.#prepare().catch(this.#options.onFailure);
  }

  async #prepare(): Promise<void> {
    const { segmentBytes, onChange, log } = this.#options;
    const wasFailed = this.#state === 'failed';
    try {
      if (this.#old) {
        this.#disk.rename(joinPath(this.#directory, oldName), joinPath(this.#directory, spareTmpName));
        this.#old = false;
      }
      await this.#disk.writeZeros(joinPath(this.#directory, spareTmpName), segmentBytes);
      if (this.#state === 'closed') return;
      this.#disk.rename(joinPath(this.#directory, spareTmpName), joinPath(this.#directory, spareName));
      this.#disk.syncDirectory(this.#directory);
    } catch (error) {
      if (this.#state === 'closed') return;
      if (!isDiskFull(error)) throw error;
      unlinkIfPresent(this.#disk, this.#directory, spareTmpName);
      this.fail(error);
      this.#retryLater();
      onChange();
      return;
    }
    if (wasFailed) log('info', 'There is room for the next journal segment again');
    this.#state = 'ready';
    onChange();
  }

  #retryLater(): void {
    if (this.#retrying) return;
    this.#retrying = true;
    this.#options.schedule(() => {
      this.#retrying = false;
      if (this.#state === 'failed') this.#begin();
    }, this.#options.retryMs);
  }
}
