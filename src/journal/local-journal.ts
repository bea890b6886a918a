import type { Revision, ShardId } from '../protocol/ids.ts';
import type { Journal, JournalSpace } from '../protocol/journal.ts';
import type { RecordChunk } from '../protocol/record.ts';
import { DurabilityWaiters } from './durability-waiters.ts';
import type { JournalWriter } from './file/journal-writer.ts';

/**
 * The journal in the shard's own thread, for a server with one shard. `append` returns when its records are durable,
 * and has called the listeners by then; only on a full disk are they called later. It refuses nothing: whoever takes a
 * revision asks `room` before (the shard asserts it), and a revision once taken must get into the log.
 */
export class LocalJournal implements Journal {
  readonly #writer: JournalWriter;
  readonly #awaited = new DurabilityWaiters();

  constructor(writer: JournalWriter) {
    this.#writer = writer;
    writer.onDurable((durable) => this.#awaited.reached(durable));
  }

  append(chunk: RecordChunk): void {
    this.#writer.enqueue(chunk);
    while (this.#writer.flush());
  }

  /** Called each time more is on disk. */
  onDurable(listener: (durable: Revision) => void): void {
    this.#writer.onDurable(listener);
  }

  whenDurable(rev: Revision, reached: () => void): void {
    this.#awaited.add(rev, reached);
  }

  space(): JournalSpace {
    return this.#writer.room;
  }

  checkpointed(shard: ShardId, watermark: Revision): void {
    this.#writer.checkpointed(shard, watermark);
  }
}
