/**
 * The checkpoint thread: LMDB's one writer, for all shards.
 *
 * LMDB has one write lock. If every shard wrote its own checkpoint, its thread and all its clients would wait for the
 * other shards' commits. Here the commits queue, and no shard's turn waits. The thread gathers the slices of a
 * checkpoint until its commit arrives, then writes them in one synchronous, durable transaction. Before that it holds
 * no lock, and a shard that stops midway leaves nothing.
 *
 * The thread answers a failed commit only if disk space was lacking. On any other error it throws, its worker ends with
 * an error, and the process goes down. The thread ends when the last shard has closed its port.
 */
import { workerData, type MessagePort } from 'node:worker_threads';
import { type Revision, shardId } from '../../protocol/ids.ts';
import { unreachable } from '../../shared/assert.ts';
import { NoSpaceError, type CheckpointTarget } from '../checkpoint-store.ts';
import { LmdbStore } from '../lmdb/lmdb-store.ts';
import type { CheckpointAnswer, CheckpointRequest } from './checkpoint-link.ts';

/** `workerData` of this thread. `ports` are also in the transfer list. The store has its layout already. */
export interface CheckpointThreadData {
  readonly kind: 'checkpoint-thread';
  readonly dataDirectory: string;
  readonly mapBytes?: number;
  /** By shard. */
  readonly ports: readonly MessagePort[];
}

type CheckpointSlice = Uint8Array<ArrayBuffer>;

function run(data: CheckpointThreadData): void {
  const store = new LmdbStore(data.dataDirectory, data.mapBytes === undefined ? {} : { mapBytes: data.mapBytes });
  let open = data.ports.length;
  for (const [index, port] of data.ports.entries()) {
    serve(port, store.shard(shardId(index)));
    port.on('close', () => {
      open -= 1;
      if (open === 0) void store.close();
    });
  }
}

function serve(port: MessagePort, target: CheckpointTarget): void {
  let slices: CheckpointSlice[] = [];
  port.on('message', (request: CheckpointRequest) => {
    switch (request.kind) {
      case 'checkpoint.begin':
        slices = [];
        return;
      case 'checkpoint.slice':
        slices.push(request.bytes);
        return;
      case 'checkpoint.commit': {
        const gathered = slices;
        slices = [];
        port.postMessage(commit(target, gathered, request.watermark));
        return;
      }
      default:
        unreachable(request);
    }
  });
}

function commit(target: CheckpointTarget, slices: readonly CheckpointSlice[], watermark: Revision): CheckpointAnswer {
  try {
    target.apply(usedUp(slices), watermark);
    return { kind: 'checkpoint.committed' };
  } catch (error) {
    if (error instanceof NoSpaceError) return { kind: 'checkpoint.no-space', message: error.message };
    throw error;
  }
}

/**
 * Frees each slice's memory when its rows are in the transaction, which needs about as much for its pages. After a
 * failed commit the shard sends everything again.
 */
function* usedUp(slices: readonly CheckpointSlice[]): Generator<CheckpointSlice, void, undefined> {
  for (const slice of slices) {
    yield slice;
    slice.buffer.transfer(0);
  }
}

run(workerData);
