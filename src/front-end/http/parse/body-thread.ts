/**
 * Reads large bodies for one front end. To parse eight megabytes can take half a second, in which the front end would
 * serve nobody. The thread has a lower priority than the others, and one body at a time.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { Failure } from '../../../protocol/errors.ts';
import { Refusal } from '../../../protocol/refusal.ts';
import { encodeToShard } from '../../../protocol/wire/shard-wire.ts';
import type { ToShardWire } from '../../../protocol/wire/wire-reader.ts';
import { assert } from '../../../shared/assert.ts';
import type { Limits } from '../../../shared/limits.ts';
import { lowerThreadPriority } from '../../../shared/thread-priority.ts';
import { contentOfBody, type BodyContent, type BodyGiven, type BodyKind } from './body-kinds.ts';
import { textOfBody } from './body-text.ts';

export interface BodyThreadData {
  readonly limits: Limits;
}

export interface BodyToRead {
  readonly kind: BodyKind;
  readonly given: BodyGiven<BodyKind>;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export type BodyWasRead =
  | { readonly kind: 'refused'; readonly failure: Failure }
  /** Batches cross threads as they cross to a shard. */
  | { readonly kind: 'batches'; readonly wire: ToShardWire }
  | { readonly kind: 'content'; readonly content: BodyContent<Exclude<BodyKind, 'batch'>> };

assert(parentPort !== null, 'large bodies are read in a worker');
const port = parentPort;
const { limits } = workerData as BodyThreadData;
lowerThreadPriority();
port.on('message', (body: BodyToRead) => port.postMessage(read(body)));

function read({ kind, given, bytes }: BodyToRead): BodyWasRead {
  try {
    const content = contentOfBody(
      kind,
      textOfBody(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)),
      given as never,
      limits,
    );
    return kind === 'batch'
      ? { kind: 'batches', wire: wireOf(content as BodyContent<'batch'>) }
      : { kind: 'content', content: content as BodyContent<'value'> };
  } catch (error) {
    if (error instanceof Refusal) return { kind: 'refused', failure: error.failure };
    throw error;
  }
}

function wireOf(content: BodyContent<'batch'>): ToShardWire {
  if ('kind' in content) return encodeToShard([{ kind: 'request', id: 0, command: content }]);
  return encodeToShard([{ kind: 'array', id: 0, batches: content }]);
}
