import type { Reply } from '../../protocol/replies.ts';
import type { BatchReplySink, ReplySink } from '../dispatcher.ts';

/** One batch of an array where a client of its own is wanted. */
export class BatchArrayItem implements ReplySink {
  readonly #client: BatchReplySink;
  readonly #place: number;

  constructor(client: BatchReplySink, place: number) {
    this.#client = client;
    this.#place = place;
  }

  get disconnected(): boolean {
    return this.#client.gone;
  }

  deliver(reply: Reply): void {
    this.#client.deliver(this.#place, reply);
  }
}
