import type { Reply } from '../../protocol/replies.ts';
import type { BatchReplySink, ReplySink } from '../dispatcher.ts';

/** The sink of one batch of an array. */
export class BatchArrayItem implements ReplySink {
  readonly #sink: BatchReplySink;
  readonly #place: number;

  constructor(sink: BatchReplySink, place: number) {
    this.#sink = sink;
    this.#place = place;
  }

  get disconnected(): boolean {
    return this.#sink.disconnected;
  }

  deliver(reply: Reply): void {
    this.#sink.deliver(this.#place, reply);
  }
}
