/**
 * Holds: they make a batch over several shards atomic for all readers.
 *
 * While a transaction runs, each shard that it has visited holds the keys that it touches. A command that needs a held
 * key is blocked. So is a command that needs a key for which an earlier command is blocked: that keeps the order of
 * arrival per key. Commands on other keys go on. A list holds every key under its prefix. Names are those of `nameOf`:
 * a KV key, a lock and a counter of the same name share a hold, which costs a little waiting and no correctness.
 */
import type { Revision } from '../../../protocol/ids.ts';
import type { PendingEffect } from '../../../protocol/wire/shard-messages.ts';
import { FootprintSet, type Footprint } from '../../../protocol/footprint.ts';
import type { Batch, ListCommand } from '../../../protocol/operations/operations.ts';

export interface Hold {
  readonly transaction: string;
  readonly footprint: Footprint;
  readonly command: Batch | ListCommand;
  /** The effects of this shard's part of the batch, to be applied when the commit is durable. */
  readonly pending: readonly PendingEffect[];
  /** The revision counter when the hold was placed: no watermark may pass it. */
  readonly placedAt: Revision;
}

export class Holds {
  readonly #held = new Map<string, Hold>();
  readonly #footprints = new FootprintSet();

  get size(): number {
    return this.#held.size;
  }

  place(hold: Hold): void {
    this.#held.set(hold.transaction, hold);
    this.#footprints.add(hold.footprint);
  }

  get(transaction: string): Hold | undefined {
    return this.#held.get(transaction);
  }

  release(transaction: string): Hold | undefined {
    const hold = this.#held.get(transaction);
    if (hold === undefined) return undefined;
    this.#held.delete(transaction);
    this.#footprints.remove(hold.footprint);
    return hold;
  }

  conflicts(footprint: Footprint): boolean {
    return !this.#footprints.empty && this.#footprints.conflicts(footprint);
  }

  /** Holds are placed in ascending order of the counter, so the first is the oldest. */
  oldest(): Revision | undefined {
    return this.#held.values().next().value?.placedAt;
  }
}
