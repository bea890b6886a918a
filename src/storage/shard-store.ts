/**
 * A shard's content: two memtables over a checkpoint.
 *
 *   active memtable      takes every put and delete
 *   frozen memtable      is being written to the checkpoint (checkpointer.ts); absent most of the time
 *   checkpoint store     LMDB
 *
 * A look-up goes from the top down; the first layer that has the key, even as a tombstone, decides. Freezing a memtable
 * and dropping it move content between layers; readers see no change.
 *
 * Counts (counts.ts): every write knows what the entry was, because it looks up `belowTill`, and what it becomes. A
 * store that a version without counts wrote is counted once, when it is opened; the next checkpoint stores the counts.
 */
import type { AccountId } from '../protocol/ids.ts';
import type { Amounts, QuotaUse } from '../protocol/quotas.ts';
import { kinds, type Kind } from '../protocol/record.ts';
import { assert } from '../shared/assert.ts';
import type { Entries, Entry, LocatedEntry, PartCount, PartTotal } from '../protocol/entries.ts';
import type { CheckpointStore, EntryCount, ValueSize } from './checkpoint-store.ts';
import { countEntries } from './count-entries.ts';
import { countedPerSlice, Counts } from './counts.ts';
import { DeadlineIndex } from './deadline-index.ts';
import { entryHeaderBytes } from './entry-codec.ts';
import { ChunkPool } from './memtable/chunk-arena.ts';
import { listKeysOf, nextAccount } from './key-list.ts';
import { mergeLayers, type Layer } from './layer-merge.ts';
import { LookUp } from './look-up.ts';
import { Memtable, noEntry, notCounted } from './memtable/memtable.ts';
import { encodeCountSlices, encodeSlices } from './memtable/slice-codec.ts';
import { storeLayers, type ShardStoreOptions } from './store-layers.ts';
import { entryKeyOf, prefixEnd, storageKey, successor, type StorageKey } from './storage-key.ts';

export class ShardStore implements Entries {
  readonly #checkpoint: CheckpointStore;
  readonly #chunks = new ChunkPool();
  #active = new Memtable(this.#chunks);
  #frozen: Memtable | undefined;
  /** Increases with every put and delete. */
  #writes = 0;
  /** Increases when content moves between layers. */
  #moves = 0;
  readonly #entryLayers: readonly Layer<Entry>[];
  readonly #keyLayers: readonly Layer<true>[];
  readonly #deadlines: DeadlineIndex;
  readonly #counts: Counts;

  // The last two keys looked up: a command reads a key and an idempotency id, then writes both, and searches for
  // neither twice.
  #last = new LookUp();
  #before = new LookUp();
  readonly replaceQuotas: Counts['replaceQuotas'] = (...quotas) => this.#counts.replaceQuotas(...quotas);
  readonly messagesOf = (account: AccountId): number => this.#counts.messagesOf(account);
  readonly nextTask: Entries['nextTask'] = (after, until) => this.#deadlines.nextTask(after, until);
  readonly dueTasks: Entries['dueTasks'] = (now, after, limit) => this.#deadlines.dueTasks(now, after, limit);
  readonly partTotals = (): Iterable<PartTotal> => this.#counts.totals.all();

  constructor(checkpoint: CheckpointStore, options: ShardStoreOptions = {}) {
    this.#checkpoint = checkpoint;
    this.#counts = new Counts(options.usages);
    checkpoint.refresh();
    const active = (): Memtable => this.#active;
    const tables = { active, frozen: () => this.#frozen, writes: () => this.#writes, moves: () => this.#moves };
    const [entries, keys] = [checkpoint.entries.bind(checkpoint), checkpoint.keys.bind(checkpoint)];
    this.#entryLayers = storeLayers(tables, (table, ...range) => table.readEntries(...range), entries);
    this.#keyLayers = storeLayers(tables, (table, ...range) => table.readKeys(...range), keys);
    this.#deadlines = new DeadlineIndex({
      layers: storeLayers(tables, (table, ...range) => table.deadlines.read(...range), keys),
      active,
      find: ({ kind, account, key }) => {
        const found = this.#find(kind, account, key);
        return { slot: found.slot, entry: this.#entryOf(found) };
      },
    });
    this.#counts.open(checkpoint.counts(), () => countEntries(this.#entryLayers, options.onCounted));
  }

  get(kind: Kind, account: AccountId, key: string): Entry | undefined {
    return this.#entryOf(this.#find(kind, account, key));
  }

  put(kind: Kind, account: AccountId, key: string, entry: Entry): void {
    if (kind === kinds.queue) return this.#writeQueue(account, key, entry);
    this.#write(this.#find(kind, account, key), entry);
  }

  delete(kind: Kind, account: AccountId, key: string): void {
    if (kind === kinds.queue) return this.#writeQueue(account, key, undefined);
    this.#write(this.#find(kind, account, key), undefined);
  }

  /** Lazy: reads as far as the caller iterates, and sees later writes to keys after the place it has reached. */
  *range(kind: Kind, account: AccountId, prefix: string, after?: string): Generator<LocatedEntry, void, undefined> {
    const within = storageKey(kind, account, prefix);
    const next = after === undefined ? within : successor(storageKey(kind, account, after));
    const start = next > within ? next : within;
    for (const [key, entry] of mergeLayers(this.#entryLayers, start, prefixEnd(within))) {
      yield { kind, account, key: entryKeyOf(key, account.length), entry };
    }
  }

  keys(kind: Kind, account: AccountId, prefix: string, after?: string): ReturnType<Entries['keys']> {
    return listKeysOf(this.#keyLayers, { kind, account, prefix, after });
  }

  accountAfter(account: AccountId): AccountId | undefined {
    return nextAccount(this.#keyLayers, account);
  }

  nextDeadline(): number {
    return this.#deadlines.next();
  }

  due(now: number, limit: number): LocatedEntry[] {
    return this.#deadlines.due(now, limit);
  }

  /** Files up to `limit` of the entries whose tills have moved under their tills, before `freeze`. @returns whether all are */
  fileAll(limit: number): boolean {
    return this.#deadlines.fileAll(limit);
  }

  partsOf(_kind: Kind, account: AccountId, name: string): Iterable<PartCount> {
    return this.#counts.parts(account, name);
  }

  /** What all accounts have in this shard. */
  get stored(): Amounts {
    return this.#counts.total;
  }

  usageOf(account: AccountId): QuotaUse | undefined {
    return this.#counts.usageOf(account);
  }

  countOf(account: AccountId, kind: Kind): EntryCount {
    this.#countBytes();
    return this.#counts.get(account, kind);
  }

  /** One count for each account and kind that has entries, in no order. */
  counts(): Iterable<EntryCount> {
    this.#countBytes();
    return this.#counts.all();
  }

  /** Walks all of the content and returns what `counts` should. Changes nothing. */
  recount(): EntryCount[] {
    return countEntries(this.#entryLayers);
  }

  /** The checkpoint has no counts for its content yet. */
  get countsUnstored(): boolean {
    return this.#counts.areUnstored;
  }

  /** Estimated heap use of both memtables. */
  get memtableBytes(): number {
    return this.#active.bytes + (this.#frozen?.bytes ?? 0);
  }

  /** Estimated heap use of what the next checkpoint would take. */
  get activeBytes(): number {
    return this.#active.bytes;
  }

  /** The number of keys newer than the checkpoint, tombstones included. */
  get memtableSize(): number {
    return this.#active.size + (this.#frozen?.size ?? 0);
  }

  /** Nothing has changed since the last freeze. */
  get isClean(): boolean {
    return this.#active.isEmpty;
  }

  get frozen(): Memtable | undefined {
    return this.#frozen;
  }

  /** Starts a new active memtable. The old one stays, unchanged, until `dropFrozen`. */
  freeze(): Memtable {
    assert(this.#frozen === undefined, 'one memtable is frozen at a time');
    this.fileAll(Infinity);
    this.#deadlines.frozen();
    const frozen = this.#active;
    frozen.freeze();
    this.#frozen = frozen;
    this.#counts.freeze();
    this.#active = new Memtable(this.#chunks);
    this.#moved();
    return frozen;
  }

  /** Everything that the next checkpoint stores. The store may change between two slices. */
  *frozenSlices(): Generator<Uint8Array<ArrayBuffer>, void, undefined> {
    const frozen = this.#frozen;
    assert(frozen !== undefined, 'a memtable is frozen');
    for (const slice of encodeSlices(frozen)) {
      this.#counts.countFrozenBytes(frozen, countedPerSlice);
      yield slice;
    }
    this.#counts.countFrozenBytes(frozen);
    yield* encodeCountSlices(this.#counts.frozen());
  }

  /** To be called when the frozen memtable's content is in the checkpoint. */
  dropFrozen(): void {
    assert(this.#frozen !== undefined, 'a memtable is frozen');
    this.#frozen.release();
    this.#frozen = undefined;
    this.#counts.dropFrozen();
    // A snapshot from before the commit would show the keys as they were before.
    this.#checkpoint.refresh();
    this.#moved();
  }

  #moved(): void {
    this.#moves += 1;
    this.#writes += 1;
    this.#last.forget();
    this.#before.forget();
  }

  /** The result is valid until the next call. */
  #find(kind: Kind, account: AccountId, key: string): LookUp {
    if (this.#last.isOf(kind, account, key)) return this.#last;
    const found = this.#before;
    this.#before = this.#last;
    this.#last = found;
    if (found.isOf(kind, account, key)) return found;
    found.begin(kind, account, key);
    found.slot = this.#active.findHot(kind, account, key);
    if (found.slot === 0) found.slot = this.#active.find(found.at());
    found.isRead = found.slot === 0;
    found.entry = found.isRead ? this.#below(found.at(), found) : undefined;
    return found;
  }

  #entryOf(found: LookUp): Entry | undefined {
    if (!found.isRead) {
      found.entry = this.#active.entry(found.slot);
      found.isRead = true;
    }
    return found.entry;
  }

  #below(at: StorageKey, size: ValueSize): Entry | undefined {
    const frozen = this.#frozen;
    const slot = frozen === undefined ? 0 : frozen.find(at);
    if (frozen === undefined || slot === 0) return this.#checkpoint.get(at, size);
    const entry = frozen.entry(slot);
    size.valueBytes = entry === undefined ? 0 : Buffer.byteLength(entry.value);
    return entry;
  }

  #write(found: LookUp, entry: Entry | undefined): void {
    const { kind, account } = found;
    const old = found.slot === 0 ? (found.entry?.till ?? noEntry) : this.#active.till(found.slot);
    let bytesBelow = 0;
    let filed = Math.max(old, 0);
    if (found.slot === 0) {
      if (entry === undefined && old === noEntry) return;
      if (old !== noEntry) bytesBelow = found.valueBytes;
      found.slot = this.#active.add(found.at(), old);
    } else filed = this.#active.deadlines.filedUnder(found.slot, filed);
    const { slot } = found;
    const to = entry?.till ?? 0;
    if (filed !== to) this.#deadlines.move(found, filed, to);
    this.#writes += 1;
    found.entry = entry;
    found.isRead = true;
    const keyBytes = this.#active.keyLength(slot);
    if (entry === undefined && this.#active.belowTill(slot) === noEntry) found.slot = 0;
    let bytes = this.#active.write(slot, entry, this.#counts.countsAtOnce(account, kind));
    if (bytes === notCounted) {
      bytes = 0;
      this.#counts.touch(account, kind);
      this.#counts.limitUncounted(this.#active);
    }
    const entries = (entry === undefined ? 0 : 1) - (old === noEntry ? 0 : 1);
    bytes += entries * (keyBytes + entryHeaderBytes) - bytesBelow;
    if (entries !== 0 || bytes !== 0) this.#counts.add(account, kind, entries, bytes);
  }

  /** Also counts the entry by its part: what it was is read before it changes. */
  #writeQueue(account: AccountId, key: string, entry: Entry | undefined): void {
    const found = this.#find(kinds.queue, account, key);
    const old = this.#entryOf(found);
    const headBytes = found.at().length + entryHeaderBytes;
    this.#write(found, entry);
    this.#counts.changePart(account, key, { old, entry, headBytes });
  }

  #countBytes(): void {
    if (this.#frozen !== undefined) this.#counts.countFrozenBytes(this.#frozen);
    this.#counts.countBytes(this.#active);
  }
}
