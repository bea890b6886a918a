/**
 * Which readers may read history now. One that reads holds buffers of the journal and the events of a page, so there
 * are only so many places for them; the others wait for their turn and hold nothing. Accounts take turns, and no
 * account has the last place: there is always one for another.
 */
import type { AccountId } from '../../protocol/ids.ts';

export class HistoryTurns<Reader extends { readonly account: AccountId }> {
  readonly #places: number;
  readonly #defer: (run: () => void) => void;
  readonly #start: (reader: Reader) => void;
  readonly #reading = new Set<Reader>();
  /** By account, the one whose turn is next in front. */
  readonly #waiting = new Map<AccountId, Set<Reader>>();

  /**
   * @param places at least 2
   * @param options.start lets a reader read, until it leaves
   * @param options.defer calls `run` after the events that are waiting now
   */
  constructor(
    places: number,
    options: { readonly start: (reader: Reader) => void; readonly defer: (run: () => void) => void },
  ) {
    this.#places = places;
    this.#start = options.start;
    this.#defer = options.defer;
  }

  enter(reader: Reader): void {
    const waiting = this.#waiting.get(reader.account);
    if (waiting === undefined) this.#waiting.set(reader.account, new Set([reader]));
    else waiting.add(reader);
    this.#next((next) => this.#start(next));
  }

  /** It waits or reads no more. */
  leave(reader: Reader): void {
    this.#reading.delete(reader);
    this.#unwait(reader);
    // Not within this call: many that leave as soon as they begin would else pile up on the stack.
    this.#next((next) =>
      this.#defer(() => {
        if (this.#reading.has(next)) this.#start(next);
      }),
    );
  }

  #next(start: (reader: Reader) => void): void {
    while (this.#reading.size < this.#places) {
      const next = this.#firstThatMay();
      if (next === undefined) return;
      this.#unwait(next);
      const others = this.#waiting.get(next.account);
      if (others !== undefined) {
        this.#waiting.delete(next.account);
        this.#waiting.set(next.account, others);
      }
      this.#reading.add(next);
      start(next);
    }
  }

  #firstThatMay(): Reader | undefined {
    for (const [account, readers] of this.#waiting) {
      let reading = 0;
      for (const reader of this.#reading) if (reader.account === account) reading += 1;
      if (reading < this.#places - 1) for (const reader of readers) return reader;
    }
    return undefined;
  }

  #unwait(reader: Reader): void {
    const waiting = this.#waiting.get(reader.account);
    if (waiting?.delete(reader) === true && waiting.size === 0) this.#waiting.delete(reader.account);
  }
}
