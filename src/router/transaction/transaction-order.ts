/**
 * Keeps the order of arrival, per key, between a transaction and the later commands of this front end. A transaction
 * reaches its later shards a few messages after it starts; a command for one shard that shares a key with it would
 * overtake it. So such a command waits here until the transaction has ended, and so does every later command that
 * shares a key with a waiting one. Commands on other keys go on. With one shard none of this is ever used.
 */
import { FootprintQueue, type WaitingCommand } from '../../protocol/footprint-queue.ts';
import { FootprintSet, type Footprint } from '../../protocol/footprint.ts';
import type { AccountId } from '../../protocol/ids.ts';
import type { SharedCount } from '../../shared/shared-count.ts';

interface Waiting extends WaitingCommand {
  readonly start: () => void;
}

export interface TransactionOrderOptions {
  /** Counts the commands that wait here, in all front ends together: at most `waitingMax`. */
  readonly count: SharedCount;
  readonly waitingMax: number;
  /** Runs at the end of the current turn of the event loop. */
  readonly defer: (run: () => void) => void;
}

export class TransactionOrder {
  readonly #options: TransactionOrderOptions;
  readonly #underWay = new FootprintSet();
  readonly #waiting = new FootprintQueue<Waiting>();

  constructor(options: TransactionOrderOptions) {
    this.#options = options;
  }

  /** Nothing is under way and nothing waits: any command may start. */
  get idle(): boolean {
    return this.#underWay.empty && this.#waiting.size === 0;
  }

  /**
   * Starts the command now, or when all earlier commands that share a key with it have ended.
   *
   * @returns false when it would have to wait, and too many already do
   */
  admit(account: AccountId, footprint: Footprint, start: () => void): boolean {
    if (!this.#underWay.conflicts(footprint) && !this.#waiting.conflicts(footprint)) {
      start();
      return true;
    }
    const { count, waitingMax } = this.#options;
    if (!count.take(waitingMax)) return false;
    this.#waiting.add({ account, footprint, start });
    return true;
  }

  /** A transaction starts. It ends here when it has to wait for its lock: no command may depend on how long that takes. */
  begin(footprint: Footprint): void {
    this.#underWay.add(footprint);
  }

  end(account: AccountId, footprint: Footprint): void {
    this.#underWay.remove(footprint);
    this.#release(account);
  }

  #release(account: AccountId): void {
    const more = this.#waiting.release(
      account,
      (footprint) => this.#underWay.conflicts(footprint),
      ({ start }) => {
        this.#options.count.give();
        start();
      },
    );
    if (more) this.#options.defer(() => this.#release(account));
  }
}
