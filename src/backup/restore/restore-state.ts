/**
 * Rows of a copy and the effects after it become a store: in the number of shards that the copy was made of. The next start
 * moves the entries into another number, if that is configured.
 */
import { hash } from 'node:crypto';
import { revision, shardId, type Revision } from '../../protocol/ids.ts';
import { ownerOf } from '../../protocol/partition.ts';
import { decodeRecord, kinds, type CommitRecord } from '../../protocol/record.ts';
import { applyRecord } from '../../shard-worker/core/state/state.ts';
import { assert } from '../../shared/assert.ts';
import { LocalCheckpointWriter } from '../../storage/checkpoint/checkpoint-link.ts';
import { Checkpointer } from '../../storage/checkpoint/checkpointer.ts';
import { entryHeaderBytes, tillOfEntry } from '../../storage/entry-codec.ts';
import type { LmdbShard } from '../../storage/lmdb/lmdb-shard.ts';
import type { LmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import { ShardStore } from '../../storage/shard-store.ts';
import { deadlineKey, entryRanges, parseStorageKey, successor } from '../../storage/storage-key.ts';
import type { FramesHeader } from '../format/headers.ts';
import { rowsIn, type CopiedRow } from '../format/row-block.ts';
import { framesIn } from '../format/shipped-frames.ts';

const generation = 1;
const transactionBytes = 16 * 1024 * 1024;
/** Of one shard, before its memtable goes to the store. */
const memtableBytesMax = 64 * 1024 * 1024;
const noValue = Buffer.alloc(0);
const rowsPerRead = 4096;

interface OpenShard {
  readonly store: ShardStore;
  readonly checkpointer: Checkpointer;
  readonly owns: (account: CommitRecord['account'], key: string) => boolean;
}

export class RestoreState {
  readonly #store: LmdbStore;
  readonly #shards: readonly LmdbShard[];
  #waiting: CopiedRow[] = [];
  #bytes = 0;
  #open: readonly OpenShard[] | undefined;

  constructor(store: LmdbStore, shards: number) {
    this.#store = store;
    this.#shards = Array.from({ length: shards }, (_, index) => store.shard(shardId(index), generation));
  }

  /** Adds the rows of one block, in their order. The block's memory must not change. */
  addBlock(raw: Buffer): number {
    let rows = 0;
    for (const row of rowsIn(raw)) {
      this.#waiting.push(row);
      this.#bytes += row.key.length + row.value.length;
      rows += 1;
      if (this.#bytes >= transactionBytes) this.#write();
    }
    return rows;
  }

  /** To be called after the last row, and before the first frame. */
  rowsDone(): void {
    this.#write();
    const shards = this.#shards.length;
    const writer = new LocalCheckpointWriter((id) => this.#shards[id]!);
    this.#open = this.#shards.map((checkpoint, index) => {
      const shard = shardId(index);
      const store = new ShardStore(checkpoint);
      const options = { shard, store, writer, memtableBytesMax, watermark: revision(0), yieldTurn: async () => {} };
      return {
        store,
        checkpointer: new Checkpointer(options),
        owns: (account, key) => ownerOf(account, key, shards) === shard,
      };
    });
  }

  /** Applies the records of an object in (after, upTo]. @param seen is shown each of them. @throws ObjectDamaged */
  async applyFrames(
    { key, header, raw }: { readonly key: string; readonly header: FramesHeader; readonly raw: Buffer },
    range: { readonly after: number; readonly upTo: number },
    seen?: (record: CommitRecord, at: number) => void,
  ): Promise<void> {
    for (const { frame, start } of framesIn(key, header, raw)) {
      if (frame.last <= range.after || frame.first > range.upTo) continue;
      for (let at = start + frame.headerBytes, end = start + frame.length; at < end; at += raw.readUInt32LE(at)) {
        const record = decodeRecord(raw, at);
        if (record.rev <= range.after || record.rev > range.upTo) continue;
        for (const { store, owns } of this.#opened) applyRecord({ entries: store, owns }, record);
        seen?.(record, frame.at);
      }
      for (const { store, checkpointer } of this.#opened)
        if (store.activeBytes > memtableBytesMax)
          await this.#checkpoint(checkpointer, revision(Math.min(frame.last, range.upTo)));
    }
  }

  /** An entry of the server's own account, or of any other. */
  get(kind: (typeof kinds)[keyof typeof kinds], account: CommitRecord['account'], key: string): string | undefined {
    return this.#opened.find(({ owns }) => owns(account, key))?.store.get(kind, account, key)?.value;
  }

  /** Makes everything durable in the store, as of a revision. */
  async finish(upTo: Revision): Promise<void> {
    for (const { checkpointer } of this.#opened) await this.#checkpoint(checkpointer, upTo);
  }

  /** @param seen is shown each row, as the store has it */
  digest(seen?: (key: string, value: Buffer) => void): string {
    return digestOfShards(this.#shards, seen);
  }

  get #opened(): readonly OpenShard[] {
    assert(this.#open !== undefined, 'frames come after all rows');
    return this.#open;
  }

  async #checkpoint(checkpointer: Checkpointer, upTo: Revision): Promise<void> {
    const outcome = await checkpointer.start(upTo);
    if (outcome === 'no-space')
      throw new Error('There is no disk space for the restored store; free some, and begin again.');
  }

  #write(): void {
    const rows = this.#waiting;
    this.#waiting = [];
    this.#bytes = 0;
    if (rows.length === 0) return;
    this.#store.transaction(() => {
      for (const { shard, key, value } of rows) {
        const target = this.#shards[shard];
        assert(target !== undefined, 'a row belongs to one of the shards of its copy');
        target.putRaw(key, value);
        const till = tillOfEntry(value);
        if (till !== 0) target.putRaw(deadlineKey(till, key), noValue);
      }
    });
  }
}

/**
 * A digest of all entries, whatever the number of shards. What an idempotency id stores is left out, since another number
 * of shards may have it elsewhere (stored-reply-pointer.ts).
 */
export function digestOfShards(shards: readonly LmdbShard[], seen?: (key: string, value: Buffer) => void): string {
  const sum = Buffer.alloc(32);
  let rows = 0;
  for (const shard of shards) {
    for (const [start, end] of entryRanges) {
      for (let from: string | undefined = start; from !== undefined; ) {
        const read: ReturnType<LmdbShard['rawRows']> = shard.rawRows(from, end, rowsPerRead);
        for (const [key, value] of read.rows) {
          rows += 1;
          seen?.(key, value);
          const hash = digestOfRow(key, value);
          for (let at = 0; at < 32; at += 4) sum.writeInt32LE(sum.readInt32LE(at) ^ hash.readInt32LE(at), at);
        }
        const last: string | undefined = read.rows.at(-1)?.[0];
        from = read.more && last !== undefined ? successor(last) : undefined;
      }
    }
  }
  return `${rows}-${sum.toString('hex')}`;
}

function digestOfRow(key: string, value: Buffer): Buffer {
  const isStoredReply = parseStorageKey(key).kind === kinds.idempotency;
  const content = isStoredReply ? value.subarray(0, entryHeaderBytes) : value;
  const bytes = Buffer.allocUnsafe(key.length + 1 + content.length);
  bytes.write(key, 'latin1');
  bytes[key.length] = 0;
  content.copy(bytes, key.length + 1);
  return hash('sha256', bytes, 'buffer');
}
