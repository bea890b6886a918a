/**
 * Keeps one spare segment ready, so that this background work meets a full disk, and not a commit. Open files that are
 * used up (EMFILE, ENFILE) are a lack of room too.
 *
 *             ┌────────────────── use ◄──────────────┐
 *             ▼                                      │
 *        preparing ──── zeros on disk, renamed ───► ready
 *          │   ▲
 *  no room │   │ every second
 *          ▼   │
 *         failed          any other error: the owner is told, and ends the process
 *
 * One segment that is not needed any more is kept instead of unlinked, and the next spare is made of it. A failed
 * attempt removes what it wrote: a checkpoint may need just that space, and lets old segments go.
 */
import { joinPath, type Disk } from '../../shared/disk.ts';
import type { JournalLog } from './journal-options.ts';
import { isOutOfRoom, oldName, retireSegment, spareName, spareTmpName, unlinkIfPresent } from './segment.ts';

interface SpareSegmentOptions {
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
  readonly #options: SpareSegmentOptions;
  #state: 'preparing' | 'ready' | 'failed' | 'closed' = 'preparing';
  #attempt: Promise<void> = Promise.resolve();
  #retrying = false;
  /** There is an old segment, and the next spare can be made of it. */
  #old = false;

  constructor(disk: Disk, directory: string, options: SpareSegmentOptions) {
    this.#disk = disk;
    this.#directory = directory;
    this.#options = options;
  }

  get state(): 'preparing' | 'ready' | 'failed' | 'closed' {
    return this.#state;
  }

  /** Starts to make a spare: there is none yet, or it has been used. */
  start(): void {
    this.#state = 'preparing';
    this.#begin();
  }

  /**
   * Keeps a segment that is not needed any more for the next spare: its blocks are allocated, and so are its pages in
   * memory, if it has any.
   * @returns whether the segment has left the log; false: another one is kept already
   */
  retire(name: string): boolean {
    if (this.#old) return false;
    retireSegment(this.#disk, this.#directory, name);
    this.#old = true;
    return true;
  }

  /** Tells it that there was no room for another file. */
  fail(error: unknown): void {
    if (this.#state === 'failed') return;
    this.#state = 'failed';
    const reason = error instanceof Error ? error.message : String(error);
    this.#options.log('warn', 'No room for the next journal segment; trying again', { reason });
  }

  /** Resolves when no attempt is running any more. */
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
      if (!isOutOfRoom(error)) throw error;
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
