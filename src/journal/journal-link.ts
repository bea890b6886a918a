import { Worker } from 'node:worker_threads';
import { unreachable } from '../shared/assert.ts';
import { AwaitedRevisions } from './awaited-revisions.ts';
import type { Revision, ShardId } from '../protocol/ids.ts';
import type { Journal, JournalRoom } from '../protocol/journal.ts';
import type { RecordChunk } from '../protocol/record.ts';
import type { JournalLog } from './journal-options.ts';
import type { JournalStats } from '../protocol/stats.ts';
import { roomFromCode, type DurableMessage, type FromMain } from './journal-wire.ts';
import type { JournalThreadData, ToJournal, ToMain } from './journal-wire.ts';

/** The shard's end of its channel to the journal: a MessagePort, or a simulator's. */
export interface JournalPort {
  postMessage(message: ToJournal, transfer: ArrayBuffer[]): void;
  on(event: 'message', listener: (message: DurableMessage) => void): unknown;
}

/** The journal as a shard sees it when it runs in a thread of its own. */
export class ThreadJournal implements Journal {
  readonly #port: JournalPort;
  readonly #room: Int32Array;
  readonly #awaited = new AwaitedRevisions();

  /** @param room the memory that the thread keeps up to date, see `allocateRoom`. */
  constructor(port: JournalPort, room: SharedArrayBuffer) {
    this.#port = port;
    this.#room = new Int32Array(room);
    port.on('message', ({ durable }: DurableMessage) => this.#awaited.reached(durable));
  }

  append(chunk: RecordChunk): void {
    // The shard's buffer is used again in its next turn.
    const bytes = new Uint8Array(chunk.bytes);
    const { first, last, count } = chunk;
    this.#port.postMessage({ kind: 'append', first, last, count, bytes } satisfies ToJournal, [bytes.buffer]);
  }

  whenDurable(rev: Revision, reached: () => void): void {
    this.#awaited.add(rev, reached);
    this.#port.postMessage({ kind: 'await', rev } satisfies ToJournal, []);
  }

  room(): JournalRoom {
    return roomFromCode(Atomics.load(this.#room, 0));
  }

  checkpointed(shard: ShardId, watermark: Revision): void {
    this.#port.postMessage({ kind: 'checkpointed', shard, watermark } satisfies ToJournal, []);
  }
}

/** The journal's thread as the main thread sees it. Its `error` must take the process down. */
export class JournalThread {
  readonly worker: Worker;
  readonly #asked = new Map<number, (stats: JournalStats) => void>();
  readonly #closed: Promise<void>;
  #nextId = 1;

  constructor(data: JournalThreadData, log: JournalLog, onError: (error: unknown) => void) {
    this.worker = new Worker(new URL('./journal-thread.ts', import.meta.url), {
      workerData: data,
      transferList: [...data.shardPorts, ...data.routerPorts],
      name: 'journal',
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#closed = promise;
    let closed = false;
    this.worker.on('error', onError);
    this.worker.on('message', (message: ToMain) => {
      switch (message.kind) {
        case 'stats':
          this.#asked.get(message.id)?.(message.stats);
          this.#asked.delete(message.id);
          return;
        case 'log':
          return log(message.level, message.message, message.details);
        case 'closed':
          // Not in a `then`: the exit may follow within the same tick.
          closed = true;
          return resolve();
        default:
          return unreachable(message);
      }
    });
    this.worker.on('exit', (code) => {
      if (!closed) onError(new Error(`The journal thread has ended with code ${code}`));
    });
  }

  stats(): Promise<JournalStats> {
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#asked.set(id, resolve);
      this.#send({ kind: 'stats', id });
    });
  }

  /** After the shards have stopped: writes what they have sent, then ends the thread. */
  close(): Promise<void> {
    this.#send({ kind: 'close' });
    return this.#closed;
  }

  #send(message: FromMain): void {
    this.worker.postMessage(message, []);
  }
}
