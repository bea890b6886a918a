import type { Revision, ShardId } from '../protocol/ids.ts';
import type { Journal, JournalSpace } from '../protocol/journal.ts';
import type { RecordChunk } from '../protocol/record.ts';
import { DurabilityWaiters } from './durability-waiters.ts';
import type { JournalWriter } from './file/journal-writer.ts';

/**
 * The journal in the shard's own thread, for a server with one shard. When `append` returns, its records are durable
 * and the listeners have been called; only on a full disk that happens later. It refuses nothing: the shard asks for
 * `space` before it takes a revision (it asserts that), and a revision that was taken must get into the log.
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

  /** Calls `listener` each time more is on disk. */
  onDurable(listener: (durable: Revision) => void): void {
    this.#writer.onDurable(listener);
  }

  whenDurable(rev: Revision, reached: () => void): void {
    this.#awaited.add(rev, reached);
  }

  space(): JournalSpace {
    return this.#writer.space;
  }

  checkpointed(shard: ShardId, watermark: Revision): void {
    this.#writer.checkpointed(shard, watermark);
  }
}
