/**
 * Turns of calls that have met on a key: each holds the mutexes of the keys that it has lost, in ascending order, so that
 * no two can wait for each other. The mutexes are those of the shards, so they hold over all front ends. A call that
 * comes to a key on which others of this front end take turns takes its turn as well: it would only be in their way.
 */
import { nameOf } from '../protocol/footprint.ts';
import type { AccountId } from '../protocol/ids.ts';
import { isFailure } from '../protocol/replies.ts';
import type { CallRequests } from './call-requests.ts';

/** Longer than a try takes, unless its front end stands still. */
const holdMs = 5000;
/** Who has waited so long tries without its turn. */
const waitMs = 2000;
/** So many at most: a call that has lost more keys has others to wait for. */
const keysMax = 8;

export class Turns {
  readonly #taken = new Map<string, number>();

  /** Whether calls of this front end take turns on any key. */
  get any(): boolean {
    return this.#taken.size > 0;
  }

  isTaken(account: AccountId, key: string): boolean {
    return this.#taken.has(nameOf(account, key));
  }

  /** Waits for its turn on these keys. @returns a function that ends it */
  async take(account: AccountId, keys: Iterable<string>, requests: CallRequests): Promise<() => void> {
    const held: { readonly id: string; readonly fence: number }[] = [];
    const wanted = [...new Set(keys)].toSorted().slice(0, keysMax);
    for (const key of wanted) this.#count(nameOf(account, key), 1);
    const end = (): void => {
      for (const key of wanted) this.#count(nameOf(account, key), -1);
      for (const unlock of held) requests.tell({ kind: 'mutex.unlock', account, unlock });
    };
    try {
      for (const key of wanted) {
        const id = mutexOf(key);
        const reply = await requests.ask({ kind: 'mutex.lock', account, lock: { id, durMs: holdMs, waitMs } });
        if (isFailure(reply.outcome)) break;
        held.push({ id, fence: (JSON.parse(reply.body) as { readonly Lock: number }).Lock });
      }
    } catch (error) {
      end();
      throw error;
    }
    return end;
  }

  #count(name: string, change: 1 | -1): void {
    const count = (this.#taken.get(name) ?? 0) + change;
    if (count > 0) this.#taken.set(name, count);
    else this.#taken.delete(name);
  }
}

/** No client can name it: its names are well-formed. */
function mutexOf(key: string): string {
  return `\ud800${key}`;
}
