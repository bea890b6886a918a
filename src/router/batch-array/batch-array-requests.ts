/**
 * The batches of array bodies in flight. Each is a request of its own, counts as one and has its own reply, but they
 * travel together: one message to each shard, one id for the message, and one answer for each turn in which the shard
 * works some of them off. A message takes batches only while it is the last one on its way to its shard, so that no
 * batch overtakes an earlier message.
 */
import type { Answer, ToShard } from '../../protocol/wire/shard-messages.ts';
import type { Grant } from '../../protocol/replies.ts';
import { assert } from '../../shared/assert.ts';
import type { SharedCount } from '../../shared/shared-count.ts';
import type { BatchReplySink } from '../dispatcher.ts';
import { InFlightTable } from '../in-flight-table.ts';
import type { Failure } from '../../protocol/errors.ts';
import { failure } from '../../protocol/errors.ts';
import type { Load, RequestLoads } from '../request-loads.ts';
import type { Batch } from '../../protocol/operations/operations.ts';

export interface BatchArrayRequestsOptions {
  readonly loads: RequestLoads;
  readonly nextId: () => number;
  /** By shard, see `RouterCounts`. */
  readonly inFlight: readonly SharedCount[];
  readonly inFlightMax: number;
  /** The message that was last sent to the shard in this turn. */
  readonly lastSent: (shard: number) => ToShard | undefined;
  readonly send: (shard: number, message: ToShard) => void;
  readonly returnGrant: (grant: Grant) => void;
}

/** One array body on its way to the shards. */
export interface BatchArray {
  readonly sink: BatchReplySink;
  /** Of all its batches. */
  readonly load: Load;
  /** The messages that were begun, by shard. */
  readonly begun: (Begun | undefined)[];
}

interface Begun {
  readonly message: { readonly kind: 'array'; readonly id: number; readonly batches: Batch[] };
  readonly array: InFlight;
}

interface InFlight {
  readonly sink: BatchReplySink;
  readonly load: Load;
  readonly shard: number;
  /** For each batch of the message, its place in the array. */
  readonly places: number[];
  answered: number;
}

export class BatchArrayRequests {
  readonly #options: BatchArrayRequestsOptions;
  readonly #inFlight: InFlightTable<InFlight>;

  constructor(options: BatchArrayRequestsOptions) {
    this.#options = options;
    this.#inFlight = new InFlightTable(options.nextId);
  }

  /** Messages that are not fully answered. */
  get size(): number {
    return this.#inFlight.size;
  }

  /**
   * Sends a batch together with the earlier ones of its array.
   * @returns why it is refused
   */
  add({ sink, begun, load }: BatchArray, batch: Batch, place: number, shard: number): Failure | undefined {
    const { loads, inFlight, inFlightMax } = this.#options;
    if (!inFlight[shard]!.take(inFlightMax)) {
      loads.drop(load);
      return overloaded;
    }
    const refused = loads.takeOne(load);
    if (refused !== undefined) {
      inFlight[shard]!.give();
      loads.drop(load);
      return refused;
    }
    let open = begun[shard];
    if (open === undefined || open.message !== this.#options.lastSent(shard)) {
      const array: InFlight = { sink, load, shard, places: [], answered: 0 };
      begun[shard] = open = { array, message: { kind: 'array', id: this.#inFlight.add(array), batches: [] } };
      this.#options.send(shard, open.message);
    }
    open.message.batches.push(batch);
    open.array.places.push(place);
    return undefined;
  }

  /** Delivers the replies to some batches of a message; they are durable. */
  answer({ id, items }: Extract<Answer, { kind: 'items' }>): void {
    const array = this.#inFlight.get(id);
    assert(array !== undefined, 'a batch of an array is answered once');
    array.answered += items.length;
    assert(array.answered <= array.places.length, 'a batch of an array is answered once');
    if (array.answered === array.places.length) this.#inFlight.take(id);
    this.#options.inFlight[array.shard]!.give(items.length);
    for (let left = items.length; left > 0; left -= 1) this.#options.loads.give(array.load);
    for (const { item, reply } of items) {
      if (!array.sink.disconnected) array.sink.deliver(array.places[item]!, reply);
      else if (reply.grant !== undefined) this.#options.returnGrant(reply.grant);
    }
  }
}

export const overloaded = failure(
  'overloaded',
  'Too many requests are in flight (limits.inflight_per_shard_max); nothing was done.',
  { Quota: 'inflight' },
);
