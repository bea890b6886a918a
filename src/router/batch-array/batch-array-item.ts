import type { Reply } from '../../protocol/replies.ts';
import type { ArrayClient, Client } from '../dispatcher.ts';

/** One batch of an array where a client of its own is wanted. */
export class ArrayItem implements Client {
  readonly #client: ArrayClient;
  readonly #place: number;

  constructor(client: ArrayClient, place: number) {
    this.#client = client;
    this.#place = place;
  }

  get gone(): boolean {
    return this.#client.gone;
  }

  deliver(reply: Reply): void {
    this.#client.deliver(this.#place, reply);
  }
}
