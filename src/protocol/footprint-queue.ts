/**
 * Commands that wait, in order of arrival, because each shares a key with something under way or with an earlier one
 * that waits. Accounts share no keys: each has a queue of its own, and what one has waiting costs the others nothing.
 *
 * The work of one `release` is bounded: it lets at most `runsMax` commands go, and looks past at most `keptNamesMax`
 * names of commands that go on waiting. The first of a queue can always go once what it shares a key with has ended,
 * so those behind come within reach in time.
 */
import { FootprintSet, type Footprint } from './footprint.ts';
import type { AccountId } from './ids.ts';

const runsMax = 16;
const keptNamesMax = 1024;

export interface WaitingCommand {
  readonly account: AccountId;
  readonly footprint: Footprint;
}

export class FootprintQueue<Command extends WaitingCommand> {
  readonly #accounts = new Map<AccountId, Map<number, Command>>();
  readonly #footprints = new FootprintSet();
  #places = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds a command at the end. Returns its place, by which it can be removed. */
  add(command: Command): number {
    const { account, footprint } = command;
    let queue = this.#accounts.get(account);
    if (queue === undefined) this.#accounts.set(account, (queue = new Map()));
    this.#places += 1;
    queue.set(this.#places, command);
    this.#footprints.add(footprint);
    this.#size += 1;
    return this.#places;
  }

  /** Returns whether a command that waits needs a key of this footprint; if so, a later one must wait behind it. */
  conflicts(footprint: Footprint): boolean {
    return this.#size > 0 && this.#footprints.conflicts(footprint);
  }

  remove(account: AccountId, place: number): Command | undefined {
    const queue = this.#accounts.get(account);
    const command = queue?.get(place);
    if (queue === undefined || command === undefined) return undefined;
    queue.delete(place);
    if (queue.size === 0) this.#accounts.delete(account);
    this.#footprints.remove(command.footprint);
    this.#size -= 1;
    return command;
  }

  /**
   * Lets each command of the account go that is no longer blocked, in order of arrival.
   *
   * @param blocked returns whether something under way needs a key of the footprint
   * @returns true: more may be able to go; the caller must call again soon
   */
  release(account: AccountId, blocked: (footprint: Footprint) => boolean, run: (command: Command) => void): boolean {
    const queue = this.#accounts.get(account);
    if (queue === undefined) return false;
    const kept = new FootprintSet();
    let runs = 0;
    for (const [place, command] of queue) {
      if (kept.names >= keptNamesMax) return false;
      if (runs >= runsMax) return true;
      const { footprint } = command;
      if (blocked(footprint) || kept.conflicts(footprint)) {
        kept.add(footprint);
        continue;
      }
      this.remove(account, place);
      runs += 1;
      run(command);
    }
    return false;
  }
}
