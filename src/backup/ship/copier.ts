/**
 * Makes a copy: all entries of the store, read a few thousand at a time, each step in a snapshot of its own, while the
 * server goes on. So it holds no transaction however slow the storage is.
 *
 *   from         the lowest watermark before the first row
 *   consistent   the durable revision after the last row
 *
 * The rows and every effect in (from, R], for any R ≥ consistent, are the state at R. Effects are whole values: a row that
 * was read early or late is overwritten by its last effect in that range, or had none there. Rows are only entries: what
 * follows from them (deadlines, counts) is made again.
 *
 * The manifest is written last, and only when the log up to `consistent` is in the repository. A folder without one is no
 * copy, and prune removes it.
 */
import type { Revision } from '../../protocol/ids.ts';
import type { ReaderNeeds } from '../../protocol/readers.ts';
import { failpoint } from '../../shared/failpoints.ts';
import { blockKey, copyFolder, manifestKey } from '../format/names.ts';
import { rowBlockBytes, RowBlock } from '../format/row-block.ts';
import type { Repository } from '../repository/repository.ts';

/** What a copy is made of: the store, or a model of it in a test. */
export interface RowSource {
  readonly shards: number;
  lowestWatermark(): Revision;
  /** Which reader the rows need that have been read so far. */
  needs(): ReaderNeeds;
  /** Entries from `start` on in the order of their keys, in a new snapshot; fewer than `limit` when they are large. */
  rows(shard: number, start: string | undefined, limit: number): RowsRead;
}

export interface RowsRead {
  readonly rows: readonly (readonly [key: string, value: Buffer])[];
  /** Where the next step begins; undefined: this was the last of the shard. */
  readonly next: string | undefined;
}

export interface CopierOptions {
  readonly repository: Repository;
  readonly writer: number;
  /** 16 hex digits. */
  readonly logId: string;
  readonly source: RowSource;
  readonly durable: () => Revision;
  readonly now: () => number;
  /** Resolves when everything up to a revision is shipped. */
  readonly whenShipped: (revision: Revision) => Promise<void>;
  /** Repeats a call to the storage until it succeeds or the copy is given up. */
  readonly retrying: <T>(call: () => Promise<T>) => Promise<T>;
  /** Resolves when the next block may go: bytes that were just stored. */
  readonly pace: (bytes: number) => Promise<void>;
  /** Is told how many rows were read. */
  readonly onRows: (rows: number) => void;
}

export interface CopyDone {
  readonly folder: string;
  readonly from: Revision;
  readonly consistent: Revision;
  readonly rows: number;
  readonly bytes: number;
}

const rowsPerStep = 4096;

/** @param attempt tells copies of one writer apart. @throws ObjectTaken, and what `retrying` gives up with */
export async function makeCopy(options: CopierOptions, attempt: number): Promise<CopyDone> {
  const { repository, writer, logId, source, durable, now, whenShipped, retrying, pace, onRows } = options;
  const startedAt = now();
  const from = source.lowestWatermark();
  const folder = copyFolder(durable(), writer, attempt);
  const blocks: string[] = [];
  let rows = 0;
  let raw = 0;
  let bytes = 0;
  const block = new RowBlock();
  const store = async (): Promise<void> => {
    const taken = block.take();
    const number = blocks.length;
    const sealed = await repository.seal({ kind: 'block', copy: folder, block: number, rows: taken.rows }, taken.raw);
    failpoint('copy.block');
    await retrying(() => repository.create(blockKey(folder, number), sealed));
    blocks.push(sealed.sha256);
    rows += taken.rows;
    raw += taken.raw.length;
    bytes += sealed.bytes.length;
    await pace(sealed.bytes.length);
  };
  for (let shard = 0; shard < source.shards; shard += 1) {
    for (let start: string | undefined = ''; start !== undefined; ) {
      const step: RowsRead = source.rows(shard, start === '' ? undefined : start, rowsPerStep);
      for (const [key, value] of step.rows) {
        block.add({ shard, key, value });
        if (block.bytes >= rowBlockBytes) await store();
      }
      start = step.next;
      onRows(rows + block.rows);
      // Others of this thread have their turn, and the next step its own snapshot.
      await pace(0);
    }
  }
  if (block.rows > 0) await store();
  const consistent = durable();
  await whenShipped(consistent);
  const manifest = repository.sealHeader({
    kind: 'manifest',
    writer,
    logId,
    copy: folder,
    from,
    consistent,
    startedAt,
    at: now(),
    shards: source.shards,
    ...source.needs(),
    rows,
    raw,
    encrypted: repository.codec.encrypts,
    blocks,
    rowFormat: 1,
  });
  failpoint('copy.manifest');
  await retrying(() => repository.create(manifestKey(folder), manifest));
  return { folder, from, consistent, rows, bytes };
}
