/**
 * The file that the next segment is made of: the spare, or, while a fast writer waits for the spare, one that is filled
 * with zeros at once. Neither exists without disk space, and neither can be opened without an open file to spare: then
 * the frame waits, and the owner tries again when told to.
 */
import { joinPath, type Disk } from '../../shared/disk.ts';
import type { CompleteOptions } from './journal-options.ts';
import { isOutOfRoom, spareName, unlinkIfPresent, writeZerosNow, type OpenSpare } from './segment.ts';
import type { SpareSegment } from './spare-segment.ts';

const urgentName = 'urgent.tmp';

interface NextSegmentOptions extends Pick<CompleteOptions, 'segmentBytes' | 'retryMs' | 'schedule' | 'log'> {
  readonly spare: SpareSegment;
  /** It may be possible to open it now. */
  readonly onRetry: () => void;
}

export class NextSegment {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #options: NextSegmentOptions;
  /** An attempt to open it is scheduled. */
  #opensLater = false;

  constructor(disk: Disk, directory: string, options: NextSegmentOptions) {
    this.#disk = disk;
    this.#directory = directory;
    this.#options = options;
  }

  /** @returns undefined for lack of disk space or of open files; then `onRetry` or the spare's own listener is called */
  open(): OpenSpare | undefined {
    const { spare, log } = this.#options;
    if (spare.state === 'ready') return this.#open(spareName);
    if (spare.state === 'failed' || !this.#prepareNow()) return undefined;
    log('info', 'The next journal segment was needed before it was ready; commits waited for it');
    return this.#open(urgentName);
  }

  /** The file is a segment now: has the next spare made, unless that is under way. */
  used({ name }: OpenSpare): void {
    // An urgent segment was made in addition: the regular spare is still being prepared.
    if (name === spareName) this.#options.spare.start();
  }

  #open(name: string): OpenSpare | undefined {
    try {
      return { name, file: this.#disk.open(joinPath(this.#directory, name), 'write') };
    } catch (error) {
      if (!isOutOfRoom(error)) throw error;
      if (name === urgentName) unlinkIfPresent(this.#disk, this.#directory, urgentName);
      this.#openLater(error);
      return undefined;
    }
  }

  #openLater(error: unknown): void {
    if (this.#opensLater) return;
    this.#opensLater = true;
    const { schedule, retryMs, log, onRetry } = this.#options;
    log('warn', 'The next journal segment cannot be opened; trying again', { err: error });
    schedule(() => {
      this.#opensLater = false;
      onRetry();
    }, retryMs);
  }

  /** Zero-fills a segment while all commits wait: a fast writer must not meet "disk full" on an empty disk. */
  #prepareNow(): boolean {
    try {
      writeZerosNow(this.#disk, this.#directory, urgentName, this.#options.segmentBytes);
      return true;
    } catch (error) {
      if (!isOutOfRoom(error)) throw error;
      unlinkIfPresent(this.#disk, this.#directory, urgentName);
      this.#options.spare.fail(error);
      return false;
    }
  }
}
