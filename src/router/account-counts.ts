/**
 * What each account uses of the server, counted by all front ends together in shared memory, so that an account's
 * limits are exact whatever connection its requests come on.
 *
 *     AccountTable │ for each place: Int32 pins │ one Int32 for each of `counted`
 *
 * A thread that counts something of an account has its place pinned: `use` pins, `release` unpins, and between the two
 * everything that is taken is given back. So a place without pins counts nothing, and is free for another account. If
 * all places of an account's set are pinned, the account is not counted: none is ever refused because of others.
 */
import type { AccountId } from '../protocol/ids.ts';
import { AccountTable } from '../shared/account-table.ts';
import { bytesUnit, giveUnits, takeUnits, unitsOf } from '../shared/shared-count.ts';

const sets = 1024;
const places = sets * AccountTable.ways;

const counted = [
  'connections',
  'inFlight',
  'waiters',
  'watchers',
  'inFlightBytes',
  'waitingBytes',
  'watchingBytes',
  'scripts',
  'scriptRuns',
] as const;
export type Counted = (typeof counted)[number];

const cellOf = Object.fromEntries(counted.map((name, i) => [name, i + 1])) as Readonly<Record<Counted, number>>;
const cellsOfPlace = counted.length + 1;
const cellsBytes = places * cellsOfPlace * Int32Array.BYTES_PER_ELEMENT;

/** Limits of a single account, instead of those for all; 0: no limit. */
export type OwnLimits = ReadonlyMap<string, Partial<Readonly<Record<Counted, number>>>>;

export class AccountCounts {
  readonly #cells: Int32Array;
  readonly #table: AccountTable;
  #own: OwnLimits;
  /** The accounts that this thread uses. */
  readonly #used = new Map<AccountId, AccountUse>();

  constructor(memory: SharedArrayBuffer, own: OwnLimits = new Map()) {
    this.#cells = new Int32Array(memory, 0, places * cellsOfPlace);
    this.#table = new AccountTable(memory, cellsBytes, sets);
    this.#own = own;
  }

  /** Other limits of single accounts, from the next request on. */
  replace(own: OwnLimits): void {
    this.#own = own;
    for (const use of this.#used.values()) use.own = own.get(use.account);
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(cellsBytes + AccountTable.bytes(sets));
  }

  /** How many accounts this thread uses. */
  get used(): number {
    return this.#used.size;
  }

  /** Call `release` once for each call. */
  use(account: AccountId): AccountUse {
    let use = this.#used.get(account);
    if (use === undefined) {
      use = new AccountUse(account, this.#cells, this.#pin(account), this.#own.get(account));
      this.#used.set(account, use);
    }
    use.users += 1;
    return use;
  }

  release(use: AccountUse): void {
    use.users -= 1;
    if (use.users > 0) return;
    this.#used.delete(use.account);
    if (use.place !== undefined) giveUnits(this.#cells, use.place * cellsOfPlace, 1);
  }

  #pin(account: AccountId): number | undefined {
    return this.#table.mutex.run(() => {
      const place = this.#table.find(account, (at) => Atomics.load(this.#cells, at * cellsOfPlace) === 0);
      if (place !== undefined) Atomics.add(this.#cells, place * cellsOfPlace, 1);
      return place;
    });
  }
}

/** One account, while a thread uses it. */
export class AccountUse {
  readonly account: AccountId;
  readonly place: number | undefined;
  users = 0;
  readonly #cells: Int32Array;
  /** Its own limits; absent: those of all accounts. */
  own: Partial<Readonly<Record<Counted, number>>> | undefined;

  constructor(
    account: AccountId,
    cells: Int32Array,
    place: number | undefined,
    own: Partial<Readonly<Record<Counted, number>>> | undefined,
  ) {
    this.account = account;
    this.place = place;
    this.#cells = cells;
    this.own = own;
  }

  /** The account's own limit, or that of all accounts. */
  limit(what: Counted, max: number): number {
    return this.own?.[what] ?? max;
  }

  /** Adds one. @param max of an account without a limit of its own; 0: any number. @returns false over the limit */
  take(what: Counted, max: number): boolean {
    if (this.place === undefined) return true;
    const limit = this.limit(what, max);
    return takeUnits(this.#cells, this.#cell(what), 1, limit === 0 ? Infinity : limit);
  }

  /** As `take`, for something of this size. Alone it fits always. */
  takeBytes(what: Counted, bytes: number, max: number): boolean {
    if (this.place === undefined) return true;
    const units = unitsOf(bytes);
    const limit = max === 0 ? Infinity : Math.max(units, Math.floor(max / bytesUnit));
    return takeUnits(this.#cells, this.#cell(what), units, limit);
  }

  give(what: Counted, count = 1): void {
    if (this.place !== undefined) giveUnits(this.#cells, this.#cell(what), count);
  }

  giveBytes(what: Counted, bytes: number): void {
    this.give(what, unitsOf(bytes));
  }

  value(what: Counted): number {
    return this.place === undefined ? 0 : Atomics.load(this.#cells, this.#cell(what));
  }

  #cell(what: Counted): number {
    return this.place! * cellsOfPlace + cellOf[what];
  }
}
