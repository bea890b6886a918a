/**
 * The batches of array bodies under way. Each is a request of its own, counts as one and has its own reply, but they
 * travel together: one message to each shard, one number for all of it, and one answer for each turn that works some of
 * them off. A message takes batches only while it is the last one on its way to its shard, so that no batch overtakes
 * what was sent before it.
 */
import type { Answer, ToShard } from '../../protocol/wire/shard-messages.ts';
import type { Grant } from '../../protocol/replies.ts';
import { assert } from '../../shared/assert.ts';
import type { SharedCount } from '../../shared/shared-count.ts';
import type { BatchReplySink } from '../dispatcher.ts';
import { InFlightTable } from '../in-flight-table.ts';
import type { Batch } from '../../protocol/operations/operations.ts';

export interface ArrayRequestsOptions {
  readonly nextId: () => number;
  /** By shard, see `RouterCounts`. */
  readonly inFlight: readonly SharedCount[];
  readonly inFlightMax: number;
  /** The message that was last sent to the shard in this turn. */
  readonly lastSent: (shard: number) => ToShard | undefined;
  readonly send: (shard: number, message: ToShard) => void;
  readonly returnGrant: (grant: Grant) => void;
}

/** The messages of one array body that were begun, by shard. */
export type BegunMessages = (Begun | undefined)[];

interface Begun {
  readonly message: { readonly kind: 'array'; readonly id: number; readonly batches: Batch[] };
  readonly array: InFlight;
}

interface InFlight {
  readonly client: BatchReplySink;
  readonly shard: number;
  /** Of each batch of the message: its place in the array. */
  readonly places: number[];
  answered: number;
}

export class BatchArrayRequests {
  readonly #options: ArrayRequestsOptions;
  readonly #inFlight: InFlightTable<InFlight>;

  constructor(options: ArrayRequestsOptions) {
    this.#options = options;
    this.#inFlight = new InFlightTable(options.nextId);
  }

  /** Messages that are not answered in full. */
  get size(): number {
    return this.#inFlight.size;
  }

  /**
   * Sends a batch along with those before it.
   * @returns false when too many requests are in flight
   */
  add(batch: Batch, place: number, shard: number, client: BatchReplySink, begun: BegunMessages): boolean {
    if (!this.#options.inFlight[shard]!.take(this.#options.inFlightMax)) return false;
    let open = begun[shard];
    if (open === undefined || open.message !== this.#options.lastSent(shard)) {
      const array: InFlight = { client, shard, places: [], answered: 0 };
      begun[shard] = open = { array, message: { kind: 'array', id: this.#inFlight.add(array), batches: [] } };
      this.#options.send(shard, open.message);
    }
    open.message.batches.push(batch);
    open.array.places.push(place);
    return true;
  }

  /** Some of a message's batches are answered, and durable. */
  answer({ id, items }: Extract<Answer, { kind: 'items' }>): void {
    const array = this.#inFlight.get(id);
    assert(array !== undefined, 'a batch of an array is answered once');
    array.answered += items.length;
    assert(array.answered <= array.places.length, 'a batch of an array is answered once');
    if (array.answered === array.places.length) this.#inFlight.take(id);
    this.#options.inFlight[array.shard]!.give(items.length);
    for (const { item, reply } of items) {
      if (!array.client.gone) array.client.deliver(array.places[item]!, reply);
      else if (reply.grant !== undefined) this.#options.returnGrant(reply.grant);
    }
  }
}
