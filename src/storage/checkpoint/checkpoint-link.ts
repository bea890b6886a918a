/**
 * The two writers of a shard's checkpoints: the checkpoint thread (checkpoint-thread.ts), and the shard's own thread,
 * for tests and for repartitioning at start.
 */
import type { MessagePort } from 'node:worker_threads';
import type { Revision, ShardId } from '../../protocol/ids.ts';
import { assert } from '../../shared/assert.ts';
import { NoSpaceError, type CheckpointTarget } from '../checkpoint-store.ts';
import type { CheckpointWriter } from './checkpointer.ts';

/** Shard → checkpoint thread. Each shard has a port of its own. */
export type CheckpointRequest =
  | { readonly kind: 'checkpoint.begin' }
  /** Transfers `bytes`. */
  | { readonly kind: 'checkpoint.slice'; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'checkpoint.commit'; readonly watermark: Revision };

/** Checkpoint thread → shard, one for each commit. Any other error ends the thread, and with it the process. */
export type CheckpointAnswer =
  | { readonly kind: 'checkpoint.committed' }
  | { readonly kind: 'checkpoint.no-space'; readonly message: string };

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class ThreadCheckpointWriter implements CheckpointWriter {
  readonly #port: MessagePort;
  #waiting: Waiting | undefined;
  #closed = false;

  constructor(port: MessagePort) {
    this.#port = port;
    port.on('message', (answer: CheckpointAnswer) => this.#answered(answer));
    port.on('close', () => this.#gone());
  }

  begin(_shard: ShardId): void {
    this.#send({ kind: 'checkpoint.begin' });
  }

  slice(bytes: Uint8Array<ArrayBuffer>): void {
    this.#send({ kind: 'checkpoint.slice', bytes }, [bytes.buffer]);
  }

  commit(watermark: Revision): Promise<void> {
    assert(this.#waiting === undefined, 'a shard commits one checkpoint at a time');
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      if (this.#closed) this.#gone();
      else this.#send({ kind: 'checkpoint.commit', watermark });
    });
  }

  /** The checkpoint thread ends when all its ports are closed. */
  close(): void {
    this.#port.close();
  }

  #send(request: CheckpointRequest, transfer: ArrayBuffer[] = []): void {
    this.#port.postMessage(request, transfer);
  }

  #answered(answer: CheckpointAnswer): void {
    const waiting = this.#waiting;
    assert(waiting !== undefined, 'an answer belongs to a commit');
    this.#waiting = undefined;
    if (answer.kind === 'checkpoint.committed') waiting.resolve();
    else waiting.reject(new NoSpaceError(answer.message));
  }

  #gone(): void {
    this.#closed = true;
    this.#waiting?.reject(new Error('The checkpoint thread has ended.'));
    this.#waiting = undefined;
  }
}

export class LocalCheckpointWriter implements CheckpointWriter {
  readonly #targetOf: (shard: ShardId) => CheckpointTarget;
  #target: CheckpointTarget | undefined;
  #slices: Uint8Array[] = [];

  constructor(targetOf: (shard: ShardId) => CheckpointTarget) {
    this.#targetOf = targetOf;
  }

  begin(shard: ShardId): void {
    this.#target = this.#targetOf(shard);
    this.#slices = [];
  }

  slice(bytes: Uint8Array<ArrayBuffer>): void {
    this.#slices.push(bytes);
  }

  async commit(watermark: Revision): Promise<void> {
    assert(this.#target !== undefined, 'a checkpoint begins before it commits');
    const slices = this.#slices;
    this.#slices = [];
    this.#target.apply(slices, watermark);
  }
}
