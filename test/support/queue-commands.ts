/** Commands of queues, as the HTTP front end would make them. */
import type { Batch } from '../../src/protocol/operations/operations.ts';
import { completePolicy, type QueuePolicy } from '../../src/protocol/operations/queue-policy.ts';
import type { QueuePeek } from '../../src/protocol/operations/queue-calls.ts';
import type { DequeueOperation, EnqueueOperation } from '../../src/protocol/operations/queue.ts';
import type { NackOperation } from '../../src/protocol/operations/queue-receipts.ts';
import type { QueueChange } from '../../src/protocol/operations/queue-change.ts';
import { acme, batch } from './commands.ts';

export function message(data: unknown, more: Partial<EnqueueOperation> = {}): EnqueueOperation {
  return { key: 'q', data: JSON.stringify(data), delayMs: 0, ttlMs: 0, priority: 0, ...more };
}

export function send(...data: (EnqueueOperation | string | number)[]): Batch {
  return batch({ enqueue: data.map((each) => (typeof each === 'object' ? each : message(each))) });
}

export function take(more: Partial<DequeueOperation> = {}): Batch {
  return batch({ dequeue: { key: 'q', max: 1, groupMax: 1, durMs: 30_000, waitMs: 0, ...more } });
}

export interface Taken {
  readonly ID: string;
  readonly Data: unknown;
  readonly Group?: string;
  readonly Attempts: number;
  readonly At: number;
  readonly Lock: number;
  readonly Till: number;
  readonly TillMs: number;
  readonly LastError?: string;
}

export function taken(body: object): Taken[] {
  return (body as { Dequeue: { Messages: Taken[] } }).Dequeue.Messages;
}

type Held = Pick<Taken, 'ID' | 'Lock'>;

export function ack(...held: Partial<Held>[]): Batch {
  return batch({ ack: held.map(({ ID, Lock }) => ({ key: 'q', id: ID!, ...(Lock !== undefined && { lock: Lock }) })) });
}

export function nack({ ID, Lock }: Held, more: Partial<NackOperation> = {}): Batch {
  return batch({ nack: [{ key: 'q', id: ID, lock: Lock, ...more }] });
}

export function extendMessage({ ID, Lock }: Held, durMs: number): Batch {
  return batch({ extend: [{ key: 'q', id: ID, lock: Lock, durMs }] });
}

export function policy(given: Partial<QueuePolicy>): Batch {
  return batch({ format: 'queue.policy', queueChange: { key: 'q', change: 'policy', policy: completePolicy(given) } });
}

export function change(kind: 'pause' | 'resume' | 'purge' | 'delete'): Batch {
  return batch({ format: `queue.${kind}`, queueChange: { key: 'q', change: kind } });
}

export function redrive(how: 'retry' | 'skip', more: Partial<Extract<QueueChange, { change: 'redrive' }>> = {}): Batch {
  const queueChange = { key: 'q', change: 'redrive', how, limit: 1000, ...more } as const;
  return batch({ format: 'queue.redrive', queueChange });
}

export const stat = { kind: 'queue.stat', account: acme, queue: 'q' } as const;
export const queueList = (prefix: string) => ({ kind: 'queue.list', account: acme, prefix, limit: 100 }) as const;

export function peek(state: QueuePeek['state'], more: Partial<QueuePeek> = {}): QueuePeek {
  return { kind: 'queue.peek', account: acme, queue: 'q', state, limit: 100, ...more };
}
