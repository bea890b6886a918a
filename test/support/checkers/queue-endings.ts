/** Revisions of queues that no answer names: what was not answered, and what ends by itself. See revision-gaps.ts. */
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import { claimedRevision, type History, type Operation } from './history.ts';
import type { Explainer } from './revision-gaps.ts';
import { isOfQueues } from './without-queues.ts';

/** Of an enqueue: its delay, its TTL, the window of its DedupID. */
const endsOfEnqueue = 3;
/** Of a message that was out: its next delay, what is remembered of its death. */
const endsOfDelivery = 2;
/** A purge is swept in several turns. */
const endsOfChange = 10;

/** @param lo for each operation: the highest revision that was told before it was sent */
export function queueEndings({ operations, restarts = [] }: History, lo: Float64Array): Explainer[] {
  return operations.flatMap((operation, i) => {
    const { call, answer } = operation;
    if (call.kind !== 'batch' || !isOfQueues(call)) return [];
    if (answer !== undefined && answer.status !== 200) return [];
    const starts = restarts.reduce((sum, { downAt, starts: each = 1 }) => {
      return sum + (downAt >= operation.sentAt ? each : 0);
    }, 0);
    // Its own revision, and that of its return.
    const own = answer === undefined ? 2 : 0;
    const from = (answer && claimedRevision(answer)) ?? lo[i]!;
    const ends: Explainer = { from, to: Infinity, count: own + endsLeftBy(call, operation, starts) };
    return [ends];
  });
}

/** A lease that has got its grace is written down at each start. */
function endsLeftBy(call: Batch, { answer }: Operation, starts: number): number {
  const { dequeue, enqueue = [], nack = [], extend = [], queueChange } = call;
  const { Dequeue, Messages } = (answer?.body ?? {}) as { Dequeue?: { Messages: unknown[] }; Messages?: unknown[] };
  const delivered = dequeue === undefined ? 0 : ((Dequeue?.Messages ?? Messages)?.length ?? dequeue.max);
  const attempt = dequeue?.attempt === undefined ? 0 : 1;
  return (
    enqueue.length * endsOfEnqueue +
    (delivered + extend.length) * (1 + starts + endsOfDelivery) +
    attempt +
    nack.length * endsOfDelivery +
    (queueChange === undefined ? 0 : endsOfChange)
  );
}
