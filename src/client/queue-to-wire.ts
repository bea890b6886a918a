/** Checks the messages of a batch, and writes them as the HTTP API wants them. */
import type {
  DequeueOperation,
  EnqueueOperation,
  ExtendOperation,
  MessageReceipt,
  NackOperation,
} from './queue-batch.ts';
import { lockDurMsMax, ttlMsMax, waitMsMax } from '../shared/limits.ts';
import { anId, durationMs, integerIf, invalid, secondsIf } from './checks.ts';
import { checkJson } from './json-values.ts';
import { checkOptions, type NamesOf } from './option-names.ts';

export const receiptNames: NamesOf<MessageReceipt> = { queue: true, id: true, lock: true };
const nackNames: NamesOf<NackOperation> = { ...receiptNames, delay: true, error: true, return: true };
const extendNames: NamesOf<ExtendOperation> = { ...receiptNames, ttl: true };
const dequeueNames: NamesOf<DequeueOperation> = {
  queue: true,
  max: true,
  groupMax: true,
  ttl: true,
  wait: true,
  attempt: true,
};
const enqueueNames: NamesOf<EnqueueOperation> = {
  queue: true,
  data: true,
  group: true,
  dedup: true,
  delay: true,
  ttl: true,
  priority: true,
};

/** A message of this client is a receipt, too. */
export function receiptToWire(receipt: MessageReceipt, place: string, names: Readonly<Record<string, true>>): object {
  if (typeof receipt !== 'object' || receipt === null) checkOptions(receipt, names, place);
  if (Object.getPrototypeOf(receipt) === Object.prototype) checkOptions(receipt, names, place);
  const { queue, id, lock } = receipt;
  if (typeof id !== 'string') throw invalid(`${place}.id: expected the ID of a message`);
  return { Queue: anId(queue, `${place}.queue`), ID: id, Lock: integerIf(lock, `${place}.lock`, 1) };
}

export function nackToWire(nack: NackOperation, i: number): object {
  const place = `nack[${i}]`;
  const receipt = receiptToWire(nack, place, nackNames);
  return {
    ...receipt,
    Delay: secondsIf(nack.delay, `${place}.delay`, { min: 0, max: ttlMsMax }),
    Error: nack.error,
    Return: nack.return === true ? true : undefined,
  };
}

export function extendToWire(extend: ExtendOperation, i: number): object {
  const place = `extend[${i}]`;
  const receipt = receiptToWire(extend, place, extendNames);
  return { ...receipt, LockDur: durationMs(extend.ttl, `${place}.ttl`, { max: lockDurMsMax }) / 1000 };
}

export function dequeueToWire(dequeue: DequeueOperation): object {
  checkOptions(dequeue, dequeueNames, 'dequeue');
  const { queue, max, groupMax, ttl, wait, attempt } = dequeue;
  return {
    Queue: anId(queue, 'dequeue.queue'),
    DequeueMax: integerIf(max, 'dequeue.max', 1),
    GroupMax: integerIf(groupMax, 'dequeue.groupMax', 1),
    LockDur: secondsIf(ttl, 'dequeue.ttl', { min: 1, max: lockDurMsMax }),
    LockWait: wait ? secondsIf(wait, 'dequeue.wait', { min: 0, max: waitMsMax }) : undefined,
    AttemptID: attempt === undefined ? undefined : anId(attempt, 'dequeue.attempt'),
  };
}

export function enqueueToWire(enqueue: EnqueueOperation, i: number): object {
  const place = `enqueue[${i}]`;
  checkOptions(enqueue, enqueueNames, place);
  const { queue, data, group, dedup, delay, ttl, priority } = enqueue;
  checkJson(data, `${place}.data`);
  return {
    Queue: anId(queue, `${place}.queue`),
    Data: data,
    Group: group === undefined ? undefined : anId(group, `${place}.group`),
    DedupID: dedup === undefined ? undefined : anId(dedup, `${place}.dedup`),
    Delay: secondsIf(delay, `${place}.delay`, { min: 0, max: ttlMsMax }),
    TTL: secondsIf(ttl, `${place}.ttl`, { min: 1, max: ttlMsMax }),
    Priority: integerIf(priority, `${place}.priority`, 0),
  };
}
