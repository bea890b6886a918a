/**
 * The seam between shards and the log: what a shard needs of a journal, whichever thread, or one day machine, it is on.
 */
import type { RecordChunk } from './record.ts';
import type { Revision, ShardId } from './ids.ts';

/** What may be written at the moment. `reserve`: only what frees space or gives a lock back. `full`: nothing. */
export type JournalSpace = 'open' | 'reserve' | 'full';

export interface Journal {
  /** Hands over one turn's records, ascending. They are written in revision order over all shards. */
  append(chunk: RecordChunk): void;
  /** Calls back, in a turn of its own or within `append`, once everything up to `rev` is on disk, which it is not yet. */
  whenDurable(rev: Revision, reached: () => void): void;
  space(): JournalSpace;
  /** Everything of this shard up to and including `watermark` is in the checkpoint: older segments may go. */
  checkpointed(shard: ShardId, watermark: Revision): void;
}

/**
 * The counter from which every commit takes its revision, and the durable revision behind it. Shared by all threads.
 */
export interface Revisions {
  /** Takes the next revision. Whoever takes one hands its record to the journal in the same turn. */
  next(): Revision;
  /** The highest revision taken so far. */
  current(): Revision;
  /** The highest revision on disk. */
  durable(): Revision;
  setDurable(revision: Revision): void;
}
