/**
 * What the journal does with its messages when it does not run in a shard's own thread:
 *
 *   a message arrives ─► turn: drain every port ─► flush one frame ─► tell ─► another turn if it wrote one
 *
 * What arrives while a frame is being synced is drained before the next one, and so shares its fdatasync. Turns follow
 * each other by `defer`, which lets the preparation of the spare segment go on beside them. It owns no thread and no
 * port: journal-thread.ts feeds it from MessagePorts, `test/support/in-process.ts` from a simulator's queues.
 * Nothing is caught here: an error ends the thread, and with it the process.
 */
import type { Revision } from '../protocol/ids.ts';
import { unreachable } from '../shared/assert.ts';
import { DurabilityWaiters } from './durability-waiters.ts';
import type { ToJournal } from './journal-wire.ts';
import type { JournalWriter } from './file/journal-writer.ts';

export interface JournalActorOptions {
  readonly writer: JournalWriter;
  /** By shard: takes the next message that has arrived on its port, if there is one. */
  readonly receive: readonly (() => ToJournal | undefined)[];
  readonly durable: () => Revision;
  /** Tells every router. */
  readonly tellRouters: (durable: Revision) => void;
  /** Tells a shard that has waited for it: others need not be woken with every commit. */
  readonly tellShard: (shard: number, durable: Revision) => void;
  /** Runs something in a turn of its own. */
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

  /** A message of this shard has arrived. */
  take(shard: number, message: ToJournal): void {
    if (this.#closed) return;
    this.#handle(shard, message);
    this.#scheduleTurn();
  }

  /** Shards have stopped by now: writes what they sent. */
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

  #handle(shard: number, message: ToJournal): void {
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
