/**
 * Repartitioning: divides the same content into another number of shards, at start, before anything else runs.
 *
 *   1 clear      removes the sub-databases of all generations but the layout's: left-overs of an interrupted run
 *   2 copy       every entry and deadline key into generation + 1, to the shard that now owns it, in bounded durable
 *                transactions; at the end the counts of what was copied, and the watermarks
 *   3 switch     ONE durable transaction writes the new layout
 *   4 drop       the old generation
 *
 * Until the switch the old generation is the store, untouched. A crash leaves a half-built new one, which the next
 * start clears. After the switch the new generation is the store. A crash leaves some of the old one, which the next
 * start clears. There is no third state.
 *
 * An idempotency id that points to the stored reply of another one (protocol/stored-reply-pointer.ts) gets the reply
 * itself if the two part.
 *
 * The mark of an account that is being deleted is an entry of each shard: so is each new shard given one.
 *
 * Precondition: everything in the journal is in the old generation. The new shards then start from the lowest of the
 * old watermarks: replaying effects that are already in the store changes nothing (checkpointer.ts).
 */
import { revision, shardId, type AccountId, type Revision, type ShardId } from '../../protocol/ids.ts';
import { assert } from '../../shared/assert.ts';
import { failpoint } from '../../shared/failpoints.ts';
import { partOf } from '../../protocol/entries.ts';
import { kinds } from '../../protocol/record.ts';
import { pointedIdOf } from '../../protocol/stored-reply-pointer.ts';
import { Counts } from '../counts.ts';
import { readEntry } from '../entry-codec.ts';
import type { LmdbShard } from './lmdb-shard.ts';
import type { Layout, LmdbStore } from './lmdb-store.ts';
import {
  deadlineKey,
  deadlineOwner,
  isDeadlineKey,
  isMetaKey,
  parseStorageKey,
  storageKey,
  successor,
  type StorageKey,
} from '../storage-key.ts';

export interface RepartitionOptions {
  readonly shards: number;
  /** The shard that owns a key if there are `shards` of them. */
  readonly ownerOf: (account: AccountId, key: string, shards: number) => ShardId;
  /** Called with the entries and deadline keys copied so far, and the total. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Called between two transactions, so that the process stays responsive. */
  readonly yieldTurn?: () => Promise<void>;
}

const rowsPerTransaction = 4096;
/** After every key: an account length is at most 64. */
const endOfKeys: StorageKey = '\xff';

/** Removes the left-overs of an interrupted repartitioning. To be called at every start. */
export function clearOtherGenerations(store: LmdbStore): void {
  const current = currentLayout(store).generation;
  for (const generation of store.generations()) if (generation !== current) store.dropGeneration(generation);
}

/** @returns false if the store has that number of shards already */
export async function repartition(store: LmdbStore, options: RepartitionOptions): Promise<boolean> {
  clearOtherGenerations(store);
  const old = currentLayout(store);
  const { shards } = options;
  if (old.shards === shards) return false;
  const generation = old.generation + 1;
  const sources = shardsOf(store, old.shards, old.generation);
  const targets = shardsOf(store, shards, generation).map((shard) => ({ shard, counts: new Counts() }));
  const marks: Marks = new Map();

  let done = 0;
  const total = sources.reduce((rows, source) => rows + source.usage().rows - source.metaRows(), 0);
  for (const source of sources) {
    for (let from: StorageKey | undefined = '\0'; from !== undefined; ) {
      const copied = copySome({ store, source, targets, marks, start: from, ownerOf: options.ownerOf });
      done += copied.rows;
      from = copied.next;
      options.onProgress?.(done, total);
      await options.yieldTurn?.();
    }
  }
  assert(done === total, 'repartitioning copies every row');

  const watermark = lowestWatermark(sources);
  store.transaction(() => {
    for (const [account, value] of marks) putMarks(targets, account, { value, ownerOf: options.ownerOf });
    for (const { shard, counts } of targets) {
      for (const count of counts.all()) shard.putCount(count);
      shard.putWatermark(watermark);
    }
  });
  failpoint('repartition.copied');
  store.writeLayout({ ...old, shards, generation });
  failpoint('repartition.switched');
  store.dropGeneration(old.generation);
  return true;
}

/** Of accounts that are being deleted: what each mark says. */
type Marks = Map<AccountId, Buffer>;

interface Copy {
  readonly marks: Marks;
  readonly store: LmdbStore;
  readonly source: LmdbShard;
  /** The shards, with the counts of what each has received. */
  readonly targets: readonly { readonly shard: LmdbShard; readonly counts: Counts }[];
  readonly start: StorageKey;
  readonly ownerOf: RepartitionOptions['ownerOf'];
}

/** One transaction. @returns the rows copied and the next key; `next` undefined: `source` has no more rows */
function copySome({ store, source, targets, marks, start, ownerOf }: Copy): {
  rows: number;
  next: StorageKey | undefined;
} {
  const { rows, more } = source.rawRows(start, endOfKeys, rowsPerTransaction);
  const last = rows.at(-1);
  if (last === undefined) return { rows: 0, next: undefined };
  let copied = 0;
  store.transaction(() => {
    for (const [key, value] of rows) {
      if (isMetaKey(key)) continue;
      const isDeadline = isDeadlineKey(key);
      const { kind, account, key: clientKey } = parseStorageKey(isDeadline ? deadlineOwner(key) : key);
      if (kind === kinds.deletion) {
        if (!isDeadline) marks.set(account, value);
        copied += 1;
        continue;
      }
      const owner = ownerOf(account, clientKey, targets.length);
      const target = targets[owner];
      assert(target !== undefined, 'a key belongs to one of the shards');
      const pointed = isDeadline || kind !== kinds.idempotency ? undefined : pointedIdOf(readEntry(value).value);
      const parted = pointed !== undefined && ownerOf(account, pointed, targets.length) !== owner;
      const moved = parted ? replyFor(source, storageKey(kind, account, pointed), value) : value;
      target.shard.putRaw(key, moved);
      if (!isDeadline) target.counts.add(account, kind, 1, key.length + moved.length);
      if (!isDeadline && kind === kinds.queue) {
        const part = partOf(clientKey, readEntry(moved).value);
        target.counts.addPart(account, kind, part, 1, key.length + moved.length);
      }
      copied += 1;
    }
  });
  return { rows: copied, next: more ? successor(last[0]) : undefined };
}

function putMarks(
  targets: Copy['targets'],
  account: AccountId,
  { value, ownerOf }: { readonly value: Buffer; readonly ownerOf: RepartitionOptions['ownerOf'] },
): void {
  for (const [index, { shard, counts }] of targets.entries()) {
    let number = 0;
    while (ownerOf(account, String(number), targets.length) !== index) number += 1;
    const key = storageKey(kinds.deletion, account, String(number));
    shard.putRaw(key, value);
    shard.putRaw(deadlineKey(readEntry(value).till, key), Buffer.alloc(0));
    counts.add(account, kinds.deletion, 1, key.length + value.length);
  }
}

/** Returns the reply that a pointer leads to; the pointer itself if it has outlived its reply. */
function replyFor(source: LmdbShard, pointed: StorageKey, pointer: Buffer): Buffer {
  const reply = source.raw(pointed);
  return reply !== undefined && readEntry(reply).rev === readEntry(pointer).rev ? reply : pointer;
}

function shardsOf(store: LmdbStore, shards: number, generation: number): LmdbShard[] {
  return Array.from({ length: shards }, (_, index) => store.shard(shardId(index), generation));
}

function lowestWatermark(sources: readonly LmdbShard[]): Revision {
  return revision(Math.min(...sources.map((source) => source.watermark())));
}

function currentLayout(store: LmdbStore): Layout {
  const layout = store.layout();
  assert(layout !== undefined, 'a store to repartition has a layout');
  return layout;
}
