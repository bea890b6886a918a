import type { Revision } from '../../protocol/ids.ts';
import type {
  DamagedPlace,
  FrameSource,
  FrameTail,
  JournalRecord,
  JournalSource,
  JournalTail,
} from '../../protocol/journal.ts';
import type { Disk } from '../../shared/disk.ts';
import { checksumOfFrameAt, FileFrameTail, oldestAfterIn } from './frame-tail.ts';
import { JournalDirectory, type SegmentGaps } from './journal-directory.ts';
import { FileJournalTail, readRecords } from './journal-reader.ts';

/** The journal in a directory, for those who only read it. One for each thread: its tails share one index. */
export class FileJournalSource implements JournalSource, FrameSource {
  readonly #disk: Disk;
  readonly #directory: string;
  /** Made with the first tail: a shard, which only replays, never lists the directory for it. */
  #shared: JournalDirectory | undefined;

  readonly #onDamage: ((place: DamagedPlace) => void) | undefined;
  readonly #gaps: SegmentGaps | undefined;

  /** @param onDamage is told of each place that a tail cannot read, once */
  constructor(disk: Disk, directory: string, onDamage?: (place: DamagedPlace) => void, gaps?: SegmentGaps) {
    this.#disk = disk;
    this.#directory = directory;
    this.#onDamage = onDamage;
    this.#gaps = gaps;
  }

  /** Of a node's mirror of a cell's log, whose owners have left out revisions between them. */
  static ofMirror(disk: Disk, directory: string): FileJournalSource {
    return new FileJournalSource(disk, directory, undefined, 'never-given-out');
  }

  /** @throws JournalCorruption while it is read */
  replay(after: Revision, last: Revision): Iterable<JournalRecord> {
    return readRecords(this.#disk, this.#directory, after, last);
  }

  tail(after: Revision): JournalTail {
    return new FileJournalTail(this.#index(), after);
  }

  frames(after: Revision): FrameTail {
    return new FileFrameTail(this.#index(), after);
  }

  checksumAt(last: Revision): number | undefined {
    return checksumOfFrameAt(this.#index(), last);
  }

  oldestAfter(): Revision {
    return oldestAfterIn(this.#index());
  }

  #index(): JournalDirectory {
    return (this.#shared ??= new JournalDirectory(this.#disk, this.#directory, this.#onDamage, this.#gaps));
  }
}
