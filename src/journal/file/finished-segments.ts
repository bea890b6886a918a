/**
 * The segments before the active one, oldest first. One goes when every shard's checkpoint holds all of it, the backup
 * has it, and what is kept for readers does not need it.
 */
import { assert } from '../../shared/assert.ts';
import type { Disk } from '../../shared/disk.ts';
import type { Revision, ShardId } from '../../protocol/ids.ts';
import type { CompleteOptions } from './journal-options.ts';
import type { RecoveredJournal } from './recovery.ts';
import { removeSegment } from './segment.ts';
import type { SpareSegment } from './spare-segment.ts';

export interface FinishedSegment {
  readonly name: string;
  readonly first: Revision;
  readonly last: Revision;
  readonly bytes: number;
}

interface FinishedSegmentsOptions extends Pick<CompleteOptions, 'shards' | 'keepBytes' | 'segmentBytes' | 'held'> {
  readonly recovered: Pick<RecoveredJournal, 'segments' | 'from'>;
  readonly spare: SpareSegment;
}

export class FinishedSegments {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #options: FinishedSegmentsOptions;
  readonly #segments: FinishedSegment[];
  readonly #watermarks: Revision[];

  constructor(disk: Disk, directory: string, options: FinishedSegmentsOptions) {
    const { recovered, shards } = options;
    this.#disk = disk;
    this.#directory = directory;
    this.#options = options;
    this.#segments = recovered.segments.slice(0, -1);
    this.#watermarks = Array.from({ length: shards }, () => recovered.from);
  }

  get count(): number {
    return this.#segments.length;
  }

  get oldest(): FinishedSegment | undefined {
    return this.#segments[0];
  }

  add(segment: FinishedSegment): void {
    this.#segments.push(segment);
  }

  /** The checkpoint of this shard holds everything up to `watermark`. @returns whether it holds more than before */
  checkpointed(shard: ShardId, watermark: Revision): boolean {
    const before = this.#watermarks[shard];
    assert(before !== undefined, 'a known shard has checkpointed');
    if (watermark <= before) return false;
    this.#watermarks[shard] = watermark;
    return true;
  }

  /** Removes segments that neither a replay nor the backup needs, and that are older than what is kept for readers. */
  trim(): void {
    const { spare, keepBytes, segmentBytes, held } = this.#options;
    const needed = Math.min(...this.#watermarks, held());
    let kept = this.#segments.reduce((sum, segment) => sum + segment.bytes, 0);
    for (;;) {
      const oldest = this.#segments[0];
      if (oldest === undefined || oldest.last > needed || kept <= keepBytes) return;
      const reusable = oldest.bytes === segmentBytes;
      if (!reusable || !spare.retire(oldest.name)) removeSegment(this.#disk, this.#directory, oldest.name);
      this.#segments.shift();
      kept -= oldest.bytes;
    }
  }
}
