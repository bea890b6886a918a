/**
 * Ships what is durable: the frames of an interval become one tail object, those of ten minutes one log object.
 *
 *   journal ──frames──► sealed ──put──► shipped        one object at a time; a failed put is repeated as it is
 *
 * The journal keeps what is not shipped (`hold`). If it has lost the next frame all the same, because the hold was
 * dropped, the writer goes on with the oldest frame that is left, and says so in the next object: a gap. Frames stand in
 * an object byte for byte as in the journal, so `verify` and `restore` walk them as recovery does.
 */
import { revision, type Revision } from '../../protocol/ids.ts';
import type { Frames, FrameSource, FrameTail } from '../../protocol/journal.ts';
import { failpoint } from '../../shared/failpoints.ts';
import type { SealedObject } from '../format/backup-object.ts';
import { logKey, tailKey } from '../format/names.ts';
import type { Repository } from '../repository/repository.ts';
import { objectBytesMax } from '../storage/storage.ts';

/** Of the frames in a tail object; one frame may be larger. */
const tailBytesMax = 8 * 1024 * 1024;
export const mergeAfterMs = 10 * 60 * 1000;

export interface ShipperOptions {
  readonly repository: Repository;
  readonly writer: number;
  readonly source: FrameSource;
  /** What the writer before has shipped, or where the first one begins. */
  readonly after: Revision;
  /** The moment of the last frame that was shipped before; 0: unknown. */
  readonly atBefore: number;
  /** What lies between that and `after` is lost. */
  readonly gap?: Gap;
  /** Milliseconds of a monotonic clock. */
  readonly elapsedMs: () => number;
  /** Everything up to here is shipped: the journal may let go of it. */
  readonly onShipped: (shipped: Revision) => void;
  readonly onGap: (gap: { readonly after: Revision; readonly to: Revision }) => void;
}

export interface Gap {
  readonly after: Revision;
  readonly atAfter: number;
}

interface TailObject {
  readonly number: number;
  readonly after: Revision;
  readonly last: Revision;
  readonly bytes: number;
  readonly version: 1 | 2;
  readonly logId: bigint;
  readonly shippedAt: number;
}

interface Pending {
  readonly key: string;
  readonly sealed: SealedObject;
  readonly frames: Frames;
}

export class Shipper {
  readonly #options: ShipperOptions;
  #tail: FrameTail;
  #shipped: Revision;
  #at: number;
  #number = 0;
  #prev: string | undefined;
  #prevLog: string | undefined;
  #gap: Gap | undefined;
  /** Made, and perhaps stored: the answer may be lost. */
  #pending: Pending | undefined;
  #unmerged: TailObject[] = [];
  bytesShipped = 0;
  objects = 0;

  constructor(options: ShipperOptions) {
    this.#options = options;
    this.#shipped = options.after;
    this.#at = options.atBefore;
    this.#gap = options.gap;
    this.#tail = options.source.frames(options.after);
  }

  /** Everything up to here is in the repository. */
  get shipped(): Revision {
    return this.#shipped;
  }

  /** The moment of the last frame in the repository; 0: unknown. */
  get shippedAt(): number {
    return this.#at;
  }

  /**
   * Ships one object, if something durable is not shipped yet.
   * @returns whether there is more to ship
   * @throws StorageError: the next call tries again; ObjectTaken
   */
  async ship(durable: Revision): Promise<boolean> {
    this.#pending ??= await this.#next(durable);
    const pending = this.#pending;
    if (pending === undefined) return false;
    const { key, sealed, frames } = pending;
    failpoint('ship.put');
    await this.#options.repository.create(key, sealed);
    failpoint('ship.put-done');
    this.#pending = undefined;
    this.#prev = sealed.sha256;
    this.#gap = undefined;
    this.#shipped = frames.last;
    this.#at = frames.atLast;
    this.objects += 1;
    this.bytesShipped += sealed.bytes.length;
    const { after, last, version, logId } = frames;
    this.#unmerged.push({
      number: this.#number,
      after,
      last,
      bytes: frames.bytes.length,
      version,
      logId,
      shippedAt: this.#options.elapsedMs(),
    });
    this.#options.onShipped(frames.last);
    return frames.last < durable;
  }

  /**
   * Makes one log object of tail objects that are ten minutes old, or as large as an object may be, from the journal. What
   * the journal has let go of stays as it is.
   * @returns whether there may be more to merge
   * @throws StorageError: the next call tries again
   */
  async merge(isLast = false): Promise<boolean> {
    const group = this.#mergeable(isLast);
    if (group === undefined) return false;
    if (group.length > 1) {
      const frames = this.#read(group[0]!.after, group.at(-1)!.last);
      if (frames !== undefined) await this.#store(group, frames);
    }
    this.#unmerged = this.#unmerged.slice(group.length);
    return true;
  }

  close(): void {
    this.#tail.close();
  }

  async #next(durable: Revision): Promise<Pending | undefined> {
    const { repository, writer, source, onGap } = this.#options;
    let read = this.#tail.read(durable, tailBytesMax);
    if (read.kind === 'lost') {
      this.#tail.close();
      const to = revision(Math.max(read.oldest - 1, this.#shipped + 1));
      this.#gap ??= { after: this.#shipped, atAfter: this.#at };
      onGap({ after: this.#gap.after, to });
      this.#tail = source.frames(to);
      read = this.#tail.read(durable, tailBytesMax);
    }
    if (read.kind !== 'frames') return undefined;
    const { frames } = read;
    this.#number += 1;
    const range = { first: frames.after + 1, last: frames.last };
    const sealed = await repository.seal(
      {
        kind: 'tail',
        writer,
        number: this.#number,
        ...(this.#prev !== undefined && { prev: this.#prev }),
        ...membersOf(frames),
        ...(this.#gap !== undefined && { gap: this.#gap }),
      },
      frames.bytes,
    );
    return { key: tailKey(writer, this.#number, range), sealed, frames };
  }

  /** The first tail objects that follow each other and fit into one object, if it is time. */
  #mergeable(isLast: boolean): TailObject[] | undefined {
    const [first] = this.#unmerged;
    if (first === undefined) return undefined;
    let bytes = 0;
    let count = 0;
    let full = false;
    for (const one of this.#unmerged) {
      const before = this.#unmerged[count - 1];
      full =
        bytes + one.bytes > objectBytesMax ||
        (before !== undefined && (before.last !== one.after || before.version !== one.version));
      if (full && count > 0) break;
      bytes += one.bytes;
      count += 1;
    }
    const isOld = this.#options.elapsedMs() - first.shippedAt >= mergeAfterMs;
    return full || isOld || isLast ? this.#unmerged.slice(0, Math.max(count, 1)) : undefined;
  }

  #read(after: Revision, last: Revision): Frames | undefined {
    const tail = this.#options.source.frames(after);
    const parts: Frames[] = [];
    try {
      while (tail.position < last) {
        const read = tail.read(last, objectBytesMax);
        if (read.kind !== 'frames') return undefined;
        parts.push(read.frames);
      }
    } finally {
      tail.close();
    }
    const [first] = parts;
    const end = parts.at(-1);
    if (first === undefined || end === undefined || first.after !== after || end.last !== last) return undefined;
    const bytes = Buffer.concat(parts.map((part) => part.bytes));
    return { ...first, bytes, last: end.last, crc: end.crc, atLast: end.atLast };
  }

  async #store(group: readonly TailObject[], frames: Frames): Promise<void> {
    const { repository, writer } = this.#options;
    const { number } = group.at(-1)!;
    const sealed = await repository.seal(
      {
        kind: 'log',
        writer,
        number,
        ...(this.#prevLog !== undefined && { prev: this.#prevLog }),
        ...membersOf(frames),
      },
      frames.bytes,
    );
    failpoint('merge.put');
    const key = logKey(writer, { first: frames.after + 1, last: frames.last });
    await storeAnyway(repository, key, sealed);
    this.#prevLog = sealed.sha256;
    this.objects += 1;
    this.bytesShipped += sealed.bytes.length;
  }
}

/** A log object is made again after a lost answer; encrypted, it is not the same twice. What it has is. */
async function storeAnyway(repository: Repository, key: string, sealed: SealedObject): Promise<void> {
  await repository.storage.put(key, sealed.bytes);
}

function membersOf(frames: Frames): object {
  const { version, logId, after, first, last, chain, crc, atFirst, atLast } = frames;
  return { logId: hexOf(logId), frames: version, after, first, last, chain, crc, atFirst, atLast };
}

export function hexOf(logId: bigint): string {
  return logId.toString(16).padStart(16, '0');
}
