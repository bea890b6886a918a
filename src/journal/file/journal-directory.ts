import { joinPath, type Disk, type DiskFile } from '../../shared/disk.ts';
import { revision, type Revision } from '../../protocol/ids.ts';
import type { DamagedPlace } from '../../protocol/journal.ts';
import type { ResumePoint } from './damage-search.ts';
import { errorCode, listSegments, segmentHeaderBytes, type SegmentName } from './segment.ts';

/** A place that no tail can read, and where to go on after it. */
export interface KnownDamage {
  /** The next frame of the same segment; absent: there is none that is known. */
  readonly resume?: ResumePoint;
  /** What was durable when there was none. */
  readonly searchedAt: Revision;
}

interface Mark {
  readonly first: Revision;
  readonly offset: number;
}

/** Revisions that are missing between two segments: a salvage has lost them, or nobody has ever given them out. */
export type SegmentGaps = 'lost' | 'never-given-out';

const markBytes = 64 * 1024;
/** Places beyond that are searched again. */
const damagesMax = 1024;

/**
 * The list of segments and a sparse index from revisions to frames, for a directory that another thread writes to.
 * Several tails share it. The index grows as they read; the list is read again only when a tail finds no next frame. It
 * also knows the places that no tail could read.
 */
export class JournalDirectory {
  readonly #disk: Disk;
  readonly path: string;
  #segments: readonly SegmentName[] = [];
  /** First revision of a segment → marks in it, ascending. */
  readonly #marks = new Map<Revision, Mark[]>();
  readonly #damages = new Map<string, KnownDamage>();
  readonly #onDamage: (place: DamagedPlace) => void;

  /** What a gap between two segments means. */
  readonly gaps: SegmentGaps;

  /** @param onDamage is told of each damaged place once */
  constructor(
    disk: Disk,
    directory: string,
    onDamage: (place: DamagedPlace) => void = () => {},
    gaps: SegmentGaps = 'lost',
  ) {
    this.#disk = disk;
    this.path = directory;
    this.#onDamage = onDamage;
    this.gaps = gaps;
  }

  /** The first revision of the oldest segment when the list was last read. */
  get oldest(): Revision {
    return this.#segments[0]?.first ?? revision(1);
  }

  refresh(): void {
    this.#segments = listSegments(this.#disk, this.path);
    const oldest = this.oldest;
    for (const first of this.#marks.keys()) if (first < oldest) this.#marks.delete(first);
  }

  /** The segment that holds `rev`, or undefined. */
  holding(rev: Revision): SegmentName | undefined {
    return this.#segments.findLast((segment) => segment.first <= rev);
  }

  /** The segment after the one that begins with `first`. */
  next(first: Revision): SegmentName | undefined {
    return this.#segments.find((segment) => segment.first > first);
  }

  /** Whether the segment still had its name when the list was last read. */
  has(segment: SegmentName): boolean {
    return this.#segments.some(({ first }) => first === segment.first);
  }

  damageAt(file: string, offset: number): KnownDamage | undefined {
    return this.#damages.get(`${file}:${offset}`);
  }

  /** Remembers a place that cannot be read, so that no tail searches behind it again. */
  noteDamage(place: DamagedPlace, found: KnownDamage): void {
    const key = `${place.file}:${place.offset}`;
    const isNew = !this.#damages.has(key);
    this.#damages.set(key, found);
    if (!isNew) return;
    const [oldest] = this.#damages.keys();
    if (this.#damages.size > damagesMax && oldest !== undefined) this.#damages.delete(oldest);
    this.#onDamage(place);
  }

  /** Opens a segment; returns undefined if it has been trimmed meanwhile. */
  open(segment: SegmentName): DiskFile | undefined {
    try {
      return this.#disk.open(joinPath(this.path, segment.name), 'read');
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Notes that the frame with the first revision `first` stands at `offset`. Keeps one mark every 64 KiB. */
  mark(segment: SegmentName, first: Revision, offset: number): void {
    let marks = this.#marks.get(segment.first);
    if (marks === undefined) this.#marks.set(segment.first, (marks = []));
    const before = marks.at(-1);
    if (before === undefined || offset >= before.offset + markBytes) marks.push({ first, offset });
  }

  /** The nearest known frame at or before `rev`; at worst, the beginning of the segment. */
  nearest(segment: SegmentName, rev: Revision): Mark {
    const marks = this.#marks.get(segment.first)?.findLast((mark) => mark.first <= rev);
    return marks ?? { first: segment.first, offset: segmentHeaderBytes };
  }
}
