/**
 * What accounts with a quota have stored in all shards together, in memory that the shards share. Each shard writes what
 * it has itself, and adds up the rows of all when it asks. So nobody waits, and with several shards an account may
 * exceed its quota by what is under way in the others: a batch a shard.
 *
 *     for each place and shard: Float64 bytes, entries, messages, tasks │ for each place: Int32 pins │ AccountTable
 *
 * A shard in which an account has something pins the account's place, and its row is zero whenever it does not. So a
 * place without pins is free for another account. If all places of an account's set are pinned, each shard counts the
 * account alone: none is ever refused because of others.
 */
import type { AccountId } from '../protocol/ids.ts';
import { noAmounts, type Amounts } from '../protocol/quotas.ts';
import { AccountTable } from '../shared/account-table.ts';

const sets = 4096;
const places = sets * AccountTable.ways;
const perRow = 4;

/** An account that is not in the table. */
export const noPlace = -1;

export class SharedUsage {
  readonly #rows: Float64Array;
  readonly #pins: Int32Array;
  readonly #table: AccountTable;
  readonly #shard: number;
  readonly #shards: number;

  constructor(memory: SharedArrayBuffer, shard: number, shards: number) {
    const rowBytes = places * shards * perRow * Float64Array.BYTES_PER_ELEMENT;
    const pinBytes = places * Int32Array.BYTES_PER_ELEMENT;
    this.#rows = new Float64Array(memory, 0, places * shards * perRow);
    this.#pins = new Int32Array(memory, rowBytes, places);
    this.#table = new AccountTable(memory, rowBytes + pinBytes, sets);
    this.#shard = shard;
    this.#shards = shards;
  }

  /** The kernel provides the memory only as it is used. */
  static allocate(shards: number): SharedArrayBuffer {
    const rowBytes = shards * perRow * Float64Array.BYTES_PER_ELEMENT + Int32Array.BYTES_PER_ELEMENT;
    return new SharedArrayBuffer(places * rowBytes + AccountTable.bytes(sets));
  }

  /** Call `unpin` once this shard has nothing more of the account. @returns `noPlace` if all places are taken */
  pin(account: AccountId): number {
    return this.#table.mutex.run(() => {
      const place = this.#find(account);
      if (place !== noPlace) Atomics.add(this.#pins, place, 1);
      return place;
    });
  }

  unpin(place: number): void {
    this.set(place, noAmounts);
    Atomics.sub(this.#pins, place, 1);
  }

  /** Tells the other shards what this one has. */
  set(place: number, { bytes, entries, messages, tasks }: Amounts): void {
    const at = (place * this.#shards + this.#shard) * perRow;
    this.#rows[at] = bytes;
    this.#rows[at + 1] = entries;
    this.#rows[at + 2] = messages;
    this.#rows[at + 3] = tasks;
  }

  /** Adds up what all shards have. */
  total(place: number): Amounts {
    const total = { ...noAmounts };
    const first = place * this.#shards * perRow;
    for (let at = first; at < first + this.#shards * perRow; at += perRow) {
      total.bytes += this.#rows[at]!;
      total.entries += this.#rows[at + 1]!;
      total.messages += this.#rows[at + 2]!;
      total.tasks += this.#rows[at + 3]!;
    }
    return total;
  }

  /** The same for an account of which this shard has nothing. */
  totalOf(account: AccountId): Amounts {
    return this.#table.mutex.run(() => {
      const place = this.#find(account);
      return place === noPlace ? noAmounts : this.total(place);
    });
  }

  #find(account: AccountId): number {
    return this.#table.find(account, (place) => Atomics.load(this.#pins, place) === 0) ?? noPlace;
  }
}
