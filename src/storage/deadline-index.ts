/**
 * All deadlines of a shard, over its layers: when the next entry ends, and which have ended. Over all layers, exactly the
 * live entries with a till have exactly one deadline key. In the active memtable it may be of an earlier time
 * (memtable/deadlines.ts); the search for the next one begins at a floor (deadline-floor.ts).
 *
 * States of tasks fall due at their till, and stand in an index of their own: nobody takes them out when they are due. A
 * reader goes on from the place that it has reached. They are always filed under their tills.
 */
import type { DuePlace, Entry, LocatedEntry } from '../protocol/entries.ts';
import { kinds } from '../protocol/record.ts';
import { serverAccount } from '../protocol/ids.ts';
import { tillMsMax } from '../shared/limits.ts';
import { assert } from '../shared/assert.ts';
import { DeadlineFloor } from './deadline-floor.ts';
import { mergeLayers, type Layer } from './layer-merge.ts';
import type { LookUp } from './look-up.ts';
import type { Memtable, Slot } from './memtable/memtable.ts';
import {
  deadlineEnd,
  deadlineKey,
  deadlineOwner,
  deadlinePrefix,
  duePrefix,
  isTaskState,
  parseStorageKey,
  storageKey,
  successor,
  tillOf,
  type Address,
  type StorageKey,
} from './storage-key.ts';

export interface DeadlineIndexOptions {
  readonly layers: readonly Layer<true>[];
  readonly active: () => Memtable;
  /** @returns the entry, and its slot in the active memtable; 0: it has none there */
  readonly find: (address: Address) => { readonly slot: Slot; readonly entry: Entry | undefined };
}

export class DeadlineIndex {
  readonly #options: DeadlineIndexOptions;
  readonly #floor = new DeadlineFloor(deadlinePrefix, deadlineEnd);
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

  /** See `Entries.nextTask`. */
  nextTask(after: DuePlace, until: number): number {
    const [first] = mergeLayers(this.#options.layers, this.#behind(after), dueEnd(until));
    return first === undefined ? Infinity : tillOf(first[0]);
  }

  /** See `Entries.dueTasks`. */
  dueTasks(now: number, after: DuePlace, limit: number): LocatedEntry[] {
    const found: LocatedEntry[] = [];
    for (const [due] of mergeLayers(this.#options.layers, this.#behind(after), dueEnd(now))) {
      if (found.length >= limit) break;
      const address = parseStorageKey(deadlineOwner(due));
      const { entry } = this.#options.find(address);
      assert(entry?.till === tillOf(due), 'a task stands in the index under the time at which it falls due');
      found.push({ ...address, entry });
    }
    return found;
  }

  #behind({ till, account, key }: DuePlace): StorageKey {
    if (till <= 0) return duePrefix;
    return successor(deadlineKey(till, storageKey(kinds.taskState, account, key)));
  }

  /**
   * Moves the deadline of the entry in a slot of the active memtable.
   * @param filed where the entry is filed, 0 = nowhere
   * @param to its new till, 0 = none
   */
  move(found: LookUp, filed: number, to: number): void {
    const { slot } = found;
    const { deadlines } = this.#options.active();
    const mayBeEarly = filed !== 0 && to > filed && !this.#filesExactly && found.kind !== kinds.taskState;
    if (mayBeEarly && deadlines.fileEarly(slot, filed)) return;
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
    const removed = from === 0 ? undefined : active.deadlines.remove(from, at, belowTill);
    const added = to === 0 ? undefined : active.deadlines.add(to, at, belowTill);
    if (isTaskState(at)) return;
    if (removed !== undefined) this.#floor.removed(removed);
    if (added !== undefined) this.#floor.added(added);
  }

  *#until(now: number): Generator<StorageKey, void, undefined> {
    for (const [deadline] of mergeLayers(this.#options.layers, this.#floor.key, deadlineKey(now + 1, '')))
      yield deadline;
  }
}

/** Behind all tasks that are due at a time. */
function dueEnd(ms: number): StorageKey {
  return ms >= tillMsMax ? deadlinePrefix : deadlineKey(ms + 1, storageKey(kinds.taskState, serverAccount, ''));
}
