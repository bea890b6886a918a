/**
 * What may still be written. Only a new segment needs disk space, and one is kept ready (`spare-segment.ts`). While that
 * fails, `space` tells the shards what they may still write into the rest of the active segment:
 *
 *   open      a spare exists, or is being prepared, or much of the active segment is left
 *   reserve   no spare for lack of room, and less than `reserveBytes` left
 *   full      …and less than `fullBytes` left
 *
 * "Room" is disk space and open files: both come back, and neither says anything of the content of the disk. With a
 * spare, only opening it may lack a file; then the frame waits as well, and is tried again.
 *
 * A shard may have taken a revision just before `space` changed. The writer never refuses its records, which would
 * leave a hole in the revisions: if they do not fit any more, they wait in memory, unacknowledged, until a spare
 * exists.
 */
import type { JournalSpace } from '../../protocol/journal.ts';
import type { CompleteOptions } from './journal-options.ts';
import type { SpareSegment } from './spare-segment.ts';

interface SpaceLeftOptions extends Pick<CompleteOptions, 'reserveBytes' | 'fullBytes' | 'log' | 'onSpace'> {
  readonly spare: SpareSegment;
}

export class SpaceLeft {
  readonly #options: SpaceLeftOptions;
  #space: JournalSpace = 'open';
  /** The next frame does not fit, and there is no spare. */
  blocked = false;

  constructor(options: SpaceLeftOptions) {
    this.#options = options;
  }

  get space(): JournalSpace {
    return this.#space;
  }

  /** Call after each change of the spare, of `blocked` and of what is left. @param left bytes of the active segment */
  update(left: number): void {
    const { spare, fullBytes, reserveBytes, log, onSpace } = this.#options;
    let space: JournalSpace = 'open';
    if (this.blocked) space = 'full';
    else if (spare.state === 'failed' && left < fullBytes) space = 'full';
    else if (spare.state === 'failed' && left < reserveBytes) space = 'reserve';
    if (space === this.#space) return;
    this.#space = space;
    log(space === 'open' ? 'info' : 'warn', 'The disk space for the journal has changed', { space });
    onSpace(space);
  }
}
