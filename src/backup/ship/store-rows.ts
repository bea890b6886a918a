import { revision, shardId, type Revision } from '../../protocol/ids.ts';
import type { ReaderNeeds } from '../../protocol/readers.ts';
import { assert } from '../../shared/assert.ts';
import type { LmdbShard } from '../../storage/lmdb/lmdb-shard.ts';
import type { LmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import { entryRanges, successor } from '../../storage/storage-key.ts';
import type { RowSource, RowsRead } from './copier.ts';

/** The entries of the store, as checkpoints have left them. */
export class StoreRows implements RowSource {
  readonly shards: number;
  readonly #store: LmdbStore;
  readonly #shards: readonly LmdbShard[];

  constructor(store: LmdbStore) {
    this.#store = store;
    const layout = store.layout();
    assert(layout !== undefined, 'a store that is copied has a layout');
    this.shards = layout.shards;
    this.#shards = Array.from({ length: layout.shards }, (_, index) => store.shard(shardId(index)));
  }

  lowestWatermark(): Revision {
    return revision(
      Math.min(
        ...this.#shards.map((shard) => {
          shard.refresh();
          return shard.watermark();
        }),
      ),
    );
  }

  needs(): ReaderNeeds {
    return this.#store.needs();
  }

  rows(shard: number, start: string | undefined, limit: number): RowsRead {
    const from = start ?? entryRanges[0]![0];
    const [index, range] = [...entryRanges.entries()].find(([, [, end]]) => from < end) ?? [];
    if (index === undefined || range === undefined) return { rows: [], next: undefined };
    const store = this.#shards[shard]!;
    store.refresh();
    const { rows, more } = store.rawRows(from > range[0] ? from : range[0], range[1], limit);
    const last = rows.at(-1);
    return { rows, next: more && last !== undefined ? successor(last[0]) : entryRanges[index + 1]?.[0] };
  }
}
