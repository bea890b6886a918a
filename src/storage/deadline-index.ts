/**
 * All deadlines of a shard, over its layers: when the next entry ends, and which have ended. Over all layers, exactly the
 * live entries with a till have exactly one deadline key. In the active memtable it may be of an earlier time
 * (memtable/deadlines.ts); the search for the next one begins at a floor (deadline-floor.ts).
 */
import type { Entry, LocatedEntry } from '../protocol/entries.ts';
import { assert } from '../shared/assert.ts';
import { DeadlineFloor } from './deadline-floor.ts';
import { mergeLayers, type Layer } from './layer-merge.ts';
import type { LookUp } from './look-up.ts';
import type { Memtable, Slot } from './memtable/memtable.ts';
import { deadlineKey, deadlineOwner, parseStorageKey, tillOf, type Address, type StorageKey } from './storage-key.ts';

export interface DeadlineIndexOptions {
  readonly layers: readonly Layer<true>[];
  readonly active: () => Memtable;
  /** @returns the entry, and its slot in the active memtable; 0: it has none there */
  readonly find: (address: Address) => { readonly slot: Slot; readonly entry: Entry | undefined };
}

export class DeadlineIndex {
  readonly #options: DeadlineIndexOptions;
  readonly #floor = new DeadlineFloor();
  /** A freeze is near: tills that move take their deadline keys along. */
  #filesExactly = false;

  constructor(options: DeadlineIndexOptions) {
    this.#options = options;
  }

  /** No entry ends before it. */
  next(): number {
    return this.#floor.next(this.#options.layers);
  }

  /** See `Entries.due`. */
  due(now: number, limit: number): LocatedEntry[] {
    const found: LocatedEntry[] = [];
    if (limit <= 0 || this.next() > now) return found;
    if (!this.#options.active().deadlines.areExact) this.#fileDue(now, limit);
    for (const deadline of this.#until(now)) {
      const address = parseStorageKey(deadlineOwner(deadline));
      const { entry } = this.#options.find(address);
      assert(entry !== undefined && entry.till >= tillOf(deadline), 'a deadline key belongs to an entry of that time');
      // `fileDue` has looked at `limit` rows. Those after them may end earlier than this one.
      if (entry.till > tillOf(deadline)) break;
      found.push({ ...address, entry });
      if (found.length >= limit) break;
    }
    return found;
  }

  /**
   * Moves the deadline of the entry in a slot of the active memtable.
   * @param filed where the entry is filed, 0 = nowhere
   * @param to its new till, 0 = none
   */
  move(found: LookUp, filed: number, to: number): void {
    const { slot } = found;
    const { deadlines } = this.#options.active();
    if (filed !== 0 && to > filed && !this.#filesExactly && deadlines.fileEarly(slot, filed)) return;
    this.#file({ slot, at: found.at() }, filed, to);
  }

  /** Files up to `limit` of the entries whose tills have moved under their tills, before a freeze. @returns whether all are */
  fileAll(limit: number): boolean {
    this.#filesExactly = true;
    let left = limit;
    for (const slot of this.#options.active().deadlines.filedEarly()) {
      if (left <= 0) return false;
      left -= 1;
      this.#fileUnderTill(slot);
    }
    return true;
  }

  /** A new active memtable has begun. */
  frozen(): void {
    this.#filesExactly = false;
  }

  /** Of the first `limit` entries by the time that they are filed under, files those under their tills that have moved. */
  #fileDue(now: number, limit: number): void {
    const { active, find } = this.#options;
    const moved: Slot[] = [];
    let left = limit;
    for (const deadline of this.#until(now)) {
      const { slot } = find(parseStorageKey(deadlineOwner(deadline)));
      if (slot !== 0 && active().deadlines.filedUnder(slot, 0) === tillOf(deadline)) moved.push(slot);
      left -= 1;
      if (left <= 0) break;
    }
    for (const slot of moved) this.#fileUnderTill(slot);
  }

  #fileUnderTill(slot: Slot): void {
    const active = this.#options.active();
    const till = active.till(slot);
    const filed = active.deadlines.filedUnder(slot, till);
    if (filed === till) active.deadlines.fileExactly(slot);
    else this.#file({ slot, at: active.keyAt(slot) }, filed, till);
  }

  #file({ slot, at }: { readonly slot: Slot; readonly at: StorageKey }, from: number, to: number): void {
    const active = this.#options.active();
    active.deadlines.fileExactly(slot);
    const belowTill = active.belowTill(slot);
    if (from !== 0) this.#floor.removed(active.deadlines.remove(from, at, belowTill));
    if (to !== 0) this.#floor.added(active.deadlines.add(to, at, belowTill));
  }

  *#until(now: number): Generator<StorageKey, void, undefined> {
    for (const [deadline] of mergeLayers(this.#options.layers, this.#floor.key, deadlineKey(now + 1, '')))
      yield deadline;
  }
}
