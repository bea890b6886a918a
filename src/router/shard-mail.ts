/** What the router sends: all messages of one turn of the event loop travel to a shard as one. */
import type { ToShard } from '../protocol/wire/shard-messages.ts';
import type { ShardLink } from './shard-link.ts';

export class ShardMail {
  readonly #links: readonly ShardLink[];
  readonly #defer: (run: () => void) => void;
  readonly #outgoing: ToShard[][];
  #flushing = false;

  /** @param defer calls `run` at the end of the current turn of the event loop */
  constructor(links: readonly ShardLink[], defer: (run: () => void) => void) {
    this.#links = links;
    this.#defer = defer;
    this.#outgoing = links.map(() => []);
  }

  get shards(): number {
    return this.#links.length;
  }

  /** The message that was last sent to the shard in this turn. */
  lastSent(shard: number): ToShard | undefined {
    return this.#outgoing[shard]!.at(-1);
  }

  send(shard: number, message: ToShard): void {
    this.#outgoing[shard]!.push(message);
    if (this.#flushing) return;
    this.#flushing = true;
    this.#defer(() => this.#flush());
  }

  sendToAll(message: ToShard): void {
    for (let shard = 0; shard < this.shards; shard += 1) this.send(shard, message);
  }

  #flush(): void {
    this.#flushing = false;
    this.#outgoing.forEach((messages, shard) => {
      if (messages.length === 0) return;
      this.#outgoing[shard] = [];
      this.#links[shard]!.send(messages);
    });
  }
}
