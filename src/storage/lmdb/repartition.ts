/**
 * Repartitioning: another number of shards over the same content, at start, before anything else runs.
 *
 *   1 clear      sub-databases of any generation that is not the layout's: what an interrupted run left behind
 *   2 copy       every entry and deadline key into generation + 1, to the shard that now owns it, in bounded durable
 *                transactions; last of all the watermarks
 *   3 switch     ONE durable transaction writes the new layout
 *   4 drop       the old generation
 *
 * Until the switch the old generation is the store, untouched; a crash leaves a half-built new one, which the next
 * start clears. Behind the switch the new generation is the store; a crash leaves some of the old one, which the next
 * start clears. There is no third state.
 *
 * Precondition: everything in the journal is in the old generation. The new shards then start from the lowest of the
 * old watermarks: replaying what is already in changes nothing (checkpointer.ts).
 */
import { revision, shardId, type AccountId, type Revision, type ShardId } from '../../protocol/ids.ts';
import { assert } from '../../shared/assert.ts';
import { failpoint } from '../../shared/failpoints.ts';
import type { LmdbShard } from './lmdb-shard.ts';
import type { Layout, LmdbStore } from './lmdb-store.ts';
import {
  deadlineOwner,
  isDeadlineKey,
  isMetaKey,
  parseStorageKey,
  successor,
  type StorageKey,
} from '../storage-key.ts';

export interface RepartitionOptions {
  readonly shards: number;
  /** Which of `shards` shards a key belongs to. */
  readonly ownerOf: (account: AccountId, key: string, shards: number) => ShardId;
  /** Entries and deadline keys copied so far, and all of them. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Called between two transactions, so that the process stays responsive. */
  readonly yieldTurn?: () => Promise<void>;
}

const rowsPerTransaction = 4096;
/** Behind every key: an account length is at most 64. */
const endOfKeys: StorageKey = '\xff';

/** Removes what an interrupted repartitioning left behind. To be called at every start. */
export function clearOtherGenerations(store: LmdbStore): void {
  const current = currentLayout(store).generation;
  for (const generation of store.generations()) if (generation !== current) store.dropGeneration(generation);
}

/** @returns false when the store has that number of shards already */
export async function repartition(store: LmdbStore, options: RepartitionOptions): Promise<boolean> {
  clearOtherGenerations(store);
  const old = currentLayout(store);
  const { shards } = options;
  if (old.shards === shards) return false;
  const generation = old.generation + 1;
  const sources = shardsOf(store, old.shards, old.generation);
  const targets = shardsOf(store, shards, generation);

  let done = 0;
  // The watermark is a row of each source, and is not copied.
  const total = sources.reduce((rows, source) => rows + source.usage().rows - (source.watermark() === 0 ? 0 : 1), 0);
  for (const source of sources) {
    for (let from: StorageKey | undefined = '\0'; from !== undefined; ) {
      const copied = copySome(store, source, targets, from, options);
      done += copied.rows;
      from = copied.next;
      options.onProgress?.(done, total);
      await options.yieldTurn?.();
    }
  }
  assert(done === total, 'repartitioning copies every row');

  const watermark = lowestWatermark(sources);
  store.transaction(() => {
    for (const target of targets) target.putWatermark(watermark);
  });
  failpoint('repartition.copied');
  store.writeLayout({ ...old, shards, generation });
  failpoint('repartition.switched');
  store.dropGeneration(old.generation);
  return true;
}

/** One transaction. @returns where to go on; `next` undefined: that was the last row of `source` */
function copySome(
  store: LmdbStore,
  source: LmdbShard,
  targets: readonly LmdbShard[],
  start: StorageKey,
  options: RepartitionOptions,
): { rows: number; next: StorageKey | undefined } {
  const { rows, more } = source.rawRows(start, endOfKeys, rowsPerTransaction);
  const last = rows.at(-1);
  if (last === undefined) return { rows: 0, next: undefined };
  let copied = 0;
  store.transaction(() => {
    for (const [key, value] of rows) {
      if (isMetaKey(key)) continue;
      const { account, key: clientKey } = parseStorageKey(isDeadlineKey(key) ? deadlineOwner(key) : key);
      const target = targets[options.ownerOf(account, clientKey, options.shards)];
      assert(target !== undefined, 'a key belongs to one of the shards');
      target.putRaw(key, value);
      copied += 1;
    }
  });
  return { rows: copied, next: more ? successor(last[0]) : undefined };
}

function shardsOf(store: LmdbStore, shards: number, generation: number): LmdbShard[] {
  return Array.from({ length: shards }, (_, index) => store.shard(shardId(index), generation));
}

function lowestWatermark(sources: readonly LmdbShard[]): Revision {
  return revision(Math.min(...sources.map((source) => source.watermark())));
}

function currentLayout(store: LmdbStore): Layout {
  const layout = store.layout();
  assert(layout !== undefined, 'a store that is repartitioned has a layout');
  return layout;
}
