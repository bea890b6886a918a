/** What open watches use of the server, and of their account: their number, and their memory. */
import { failure, type Failure } from '../../protocol/errors.ts';
import type { AccountId } from '../../protocol/ids.ts';
import type { Limits } from '../../shared/limits.ts';
import type { AccountUse } from '../account-counts.ts';
import { requestBytes, watchedKeyBytes } from '../memory-costs.ts';
import type { RouterCounts } from '../router-counts.ts';

type Kind = 'keyWatches' | 'prefixWatches';
export type WatchCounts = Pick<RouterCounts, Kind | 'streams' | 'watchingBytes' | 'accounts'>;

/** A watch that is counted. */
export interface WatchLoad {
  readonly kind: Kind;
  readonly use: AccountUse;
  readonly bytes: number;
}

/** @param keys the watched keys, or the prefix */
export function watchBytes(keys: readonly { readonly key: string }[]): number {
  // A character takes two bytes at most, and a name lies in the front end and in the shard.
  return keys.reduce((bytes, { key }) => bytes + watchedKeyBytes + 4 * key.length, requestBytes);
}

export class WatchLoads {
  readonly #limits: Limits;
  readonly #counts: WatchCounts;

  constructor(limits: Limits, counts: WatchCounts) {
    this.#limits = limits;
    this.#counts = counts;
  }

  /** Counts a watch. @returns why it is refused; undefined: call `give` when it is over */
  take(load: WatchLoad): Failure | undefined {
    const { use, kind, bytes } = load;
    const { watchers_max, account_watchers_max, watching_bytes_max, account_watching_bytes_max } = this.#limits;
    const counts = this.#counts;
    /** Gives back what was taken, the last first. */
    const undo: (() => void)[] = [() => counts.accounts.release(use)];
    const refuse = (why: Failure): Failure => {
      for (const step of undo) step();
      return why;
    };
    if (!counts[kind].take(watchers_max))
      return refuse(tooMany(`${watchers_max} watchers are open`, 'watchers_max', 'watchers', watchers_max));
    undo.unshift(() => counts[kind].give());
    if (!use.take('watchers', account_watchers_max)) {
      const limit = use.limit('watchers', account_watchers_max);
      return refuse(tooMany(`${limit} watchers of this account are open`, 'account_watchers_max', 'watchers', limit));
    }
    undo.unshift(() => use.give('watchers'));
    if (!use.takeBytes('watchingBytes', bytes, account_watching_bytes_max)) {
      const limit = account_watching_bytes_max;
      const who = `Watches of this account hold ${limit} bytes`;
      return refuse(tooMany(who, 'account_watching_bytes_max', 'watching_bytes', limit));
    }
    undo.unshift(() => use.giveBytes('watchingBytes', bytes));
    if (counts.watchingBytes.takeBytes(bytes, watching_bytes_max)) return undefined;
    const who = `Watches hold ${watching_bytes_max} bytes`;
    return refuse(tooMany(who, 'watching_bytes_max', 'watching_bytes', watching_bytes_max));
  }

  /** Returns the account, in use, for a load. */
  use(account: AccountId): AccountUse {
    return this.#counts.accounts.use(account);
  }

  give({ use, kind, bytes }: WatchLoad): void {
    this.#counts[kind].give();
    this.#counts.watchingBytes.giveBytes(bytes);
    use.give('watchers');
    use.giveBytes('watchingBytes', bytes);
    this.#counts.accounts.release(use);
  }
}

function tooMany(who: string, limit: string, quota: string, max: number): Failure {
  const what =
    quota === 'watchers' ? 'end some, or watch several keys, or a prefix, with one' : 'watch fewer keys, or a prefix';
  return failure('too_many_waiters', `${who} already (limits.${limit}); ${what}.`, { Quota: quota, Limit: max });
}
