import { DurabilityWaiters } from './durability-waiters.ts';
import type { Revision, ShardId } from '../protocol/ids.ts';
import type { Journal, JournalSpace } from '../protocol/journal.ts';
import type { RecordChunk } from '../protocol/record.ts';
import { spaceFromCode, type DurableMessage, type JournalFromShard } from './journal-wire.ts';

/** The shard's end of its channel to the journal: a MessagePort, or a queue of the simulator. */
interface JournalPort {
  postMessage(message: JournalFromShard, transfer: ArrayBuffer[]): void;
  on(event: 'message', listener: (message: DurableMessage) => void): unknown;
}

/** The journal as a shard sees it when it runs in a thread of its own. */
export class ThreadJournal implements Journal {
  readonly #port: JournalPort;
  readonly #space: Int32Array;
  readonly #awaited = new DurabilityWaiters();

  /** @param space shared memory that the journal's thread keeps up to date, see `allocateSpace` */
  constructor(port: JournalPort, space: SharedArrayBuffer) {
    this.#port = port;
    this.#space = new Int32Array(space);
    port.on('message', ({ durable }: DurableMessage) => this.#awaited.reached(durable));
  }

  append(chunk: RecordChunk): void {
    // A copy, because the shard uses its buffer again in its next turn.
    const bytes = new Uint8Array(chunk.bytes);
    const { first, last, count } = chunk;
    this.#port.postMessage({ kind: 'append', first, last, count, bytes } satisfies JournalFromShard, [bytes.buffer]);
  }

  whenDurable(rev: Revision, reached: () => void): void {
    this.#awaited.add(rev, reached);
    this.#port.postMessage({ kind: 'await', rev } satisfies JournalFromShard, []);
  }

  space(): JournalSpace {
    return spaceFromCode(Atomics.load(this.#space, 0));
  }

  checkpointed(shard: ShardId, watermark: Revision): void {
    this.#port.postMessage({ kind: 'checkpointed', shard, watermark } satisfies JournalFromShard, []);
  }
}
