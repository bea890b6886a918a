/** Fetches a copy and the frames after it, several objects ahead, and makes a store of them. */
import { revision } from '../../protocol/ids.ts';
import { needsOf } from '../../protocol/readers.ts';
import type { CommitRecord } from '../../protocol/record.ts';
import { failpoint } from '../../shared/failpoints.ts';
import { storeFormat, type LmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import { ObjectDamaged } from '../format/backup-object.ts';
import type { BlockHeader, FramesHeader } from '../format/headers.ts';
import { blockKey, type FrameObjectName } from '../format/names.ts';
import type { CatalogCopy } from '../repository/catalog.ts';
import type { Repository } from '../repository/repository.ts';
import { RestoreState } from './restore-state.ts';

export interface LoadOptions {
  readonly repository: Repository;
  readonly copy: CatalogCopy;
  readonly objects: readonly FrameObjectName[];
  readonly upTo: number;
  readonly store: LmdbStore;
  /** Is shown every record after the copy. */
  readonly seen?: (record: CommitRecord, at: number) => void;
  readonly onProgress?: (done: number, total: number) => void;
}

const ahead = 16;

/** @throws ObjectDamaged, ObjectMissing, NoIdentity, StorageError */
export async function loadState(options: LoadOptions): Promise<RestoreState> {
  const { repository, copy, objects, upTo, store, seen, onProgress } = options;
  const { manifest, name } = copy;
  const needed = objects.filter(({ last }) => last > manifest.from);
  const total = manifest.blocks.length + needed.length;
  let done = 0;
  // The log that goes with it is not known yet; nobody asks before a restore has written it.
  const { shards } = manifest;
  store.writeLayout({ format: storeFormat, ...needsOf(manifest), logId: '0'.repeat(16), shards, generation: 1 });
  const state = new RestoreState(store, shards);
  let rows = 0;
  const blocks = manifest.blocks.map((sha256, block) => ({ sha256, key: blockKey(name.folder, block) }));
  for await (const raw of fetchedAhead(blocks, (block) => readBlock(repository, block))) {
    rows += state.addBlock(raw);
    onProgress?.((done += 1), total);
    failpoint('restore.rows');
  }
  if (rows !== manifest.rows)
    throw new ObjectDamaged(
      `${name.folder}manifest.json`,
      `it names ${manifest.rows} rows, and its blocks have ${rows}`,
    );
  state.rowsDone();
  let reached: number = manifest.from;
  const frames = fetchedAhead(needed, async (object) => {
    const { header, raw } = await repository.read<FramesHeader>(object.key, object.kind);
    return { key: object.key, header, raw, last: Math.min(object.last, upTo) };
  });
  for await (const object of frames) {
    if (object.header.after > reached)
      throw new ObjectDamaged(object.key, `it begins after revision ${object.header.after}; expected ${reached}`);
    // The line may leave the writer in the middle of its object: what comes after that was given up.
    await state.applyFrames(object, { after: reached, upTo: object.last }, seen);
    reached = Math.max(reached, object.last);
    onProgress?.((done += 1), total);
  }
  if (reached < upTo) throw new ObjectDamaged(needed.at(-1)?.key ?? name.folder, `nothing leads to revision ${upTo}`);
  await state.finish(revision(upTo));
  failpoint('restore.replayed');
  return state;
}

async function readBlock(
  repository: Repository,
  block: { readonly key: string; readonly sha256: string },
): Promise<Buffer> {
  const { raw, sha256 } = await repository.read<BlockHeader>(block.key, 'block');
  if (sha256 !== block.sha256) throw new ObjectDamaged(block.key, 'the manifest names another hash for it');
  return raw;
}

/** Yields the results in order, and has a few fetched before they are asked for. */
export async function* fetchedAhead<Item, Result>(
  items: readonly Item[],
  fetch: (item: Item) => Promise<Result>,
): AsyncGenerator<Result, void> {
  const running: Promise<Result>[] = [];
  let next = 0;
  const start = (): void => {
    const item = items[next++];
    if (item === undefined) return;
    const promise = fetch(item);
    // It is awaited in its turn; until then a failure is not unhandled.
    promise.catch(() => undefined);
    running.push(promise);
  };
  for (let at = 0; at < ahead; at += 1) start();
  for (let first = running.shift(); first !== undefined; first = running.shift()) {
    const result = await first;
    start();
    yield result;
  }
}
