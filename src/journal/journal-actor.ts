/**
 * The journal's message loop when it does not run in a shard's own thread:
 *
 *   a message arrives ─► turn: drain every port ─► flush one frame ─► tell ─► another turn if it wrote one
 *
 * Messages that arrive while a frame is being synced are drained before the next frame, and so share its fdatasync. The
 * actor starts each turn with `defer`, so that the spare segment is prepared between the turns. It owns no thread and
 * no port: journal-thread.ts feeds it from MessagePorts, `test/support/in-process.ts` from a simulator's queues. It
 * catches nothing: an error ends the thread, and with it the process.
 */
import type { Revision } from '../protocol/ids.ts';
import { unreachable } from '../shared/assert.ts';
import { DurabilityWaiters } from './durability-waiters.ts';
import type { JournalFromShard } from './journal-wire.ts';
import type { JournalWriter } from './file/journal-writer.ts';

interface JournalActorOptions {
  readonly writer: JournalWriter;
  /** By shard: takes the next message that has arrived on the shard's port, if there is one. */
  readonly receive: readonly (() => JournalFromShard | undefined)[];
  readonly durable: () => Revision;
  /** Tells the routers that wait for it what is durable. */
  readonly tellRouters: (durable: Revision) => void;
  /** Tells a shard that has waited for this revision; the others are not woken with every commit. */
  readonly tellShard: (shard: number, durable: Revision) => void;
  /** Calls `run` in an event-loop turn of its own. */
  readonly defer: (run: () => void) => void;
}

export class JournalActor {
  readonly #options: JournalActorOptions;
  readonly #awaited = new DurabilityWaiters();
  #turnScheduled = false;
  #closed = false;

  constructor(options: JournalActorOptions) {
    this.#options = options;
    options.writer.onDurable((durable) => {
      options.tellRouters(durable);
      this.#awaited.reached(durable);
    });
  }

  /** Handles a message that has arrived from this shard. */
  take(shard: number, message: JournalFromShard): void {
    if (this.#closed) return;
    this.#handle(shard, message);
    this.#scheduleTurn();
  }

  /** Writes what the shards have sent. They have stopped by now. */
  close(): void {
    this.#drain();
    while (this.#options.writer.flush());
    this.#closed = true;
  }

  #scheduleTurn(): void {
    if (this.#turnScheduled) return;
    this.#turnScheduled = true;
    this.#options.defer(() => this.#turn());
  }

  #turn(): void {
    this.#turnScheduled = false;
    if (this.#closed) return;
    this.#drain();
    if (this.#options.writer.flush()) this.#scheduleTurn();
  }

  #drain(): void {
    this.#options.receive.forEach((receive, shard) => {
      for (let message = receive(); message !== undefined; message = receive()) this.#handle(shard, message);
    });
  }

  #handle(shard: number, message: JournalFromShard): void {
    switch (message.kind) {
      case 'append':
        return this.#options.writer.enqueue(message, true);
      case 'checkpointed':
        return this.#options.writer.checkpointed(message.shard, message.watermark);
      case 'await':
        return this.#await(shard, message.rev);
      default:
        return unreachable(message);
    }
  }

  #await(shard: number, rev: Revision): void {
    const { durable, tellShard } = this.#options;
    if (durable() >= rev) tellShard(shard, durable());
    else this.#awaited.add(rev, () => tellShard(shard, durable()));
  }
}
