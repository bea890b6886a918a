/** Queues: `Ack`, `Nack`, `Extend`, `Dequeue` and `Enqueue` in a batch. A queue is there once a message is. */
import { Type } from 'typebox';
import { dequeueMax, lockDurMsDefault, lockDurMsMax, priorityMax, ttlMsMax, waitMsMax } from '../../shared/limits.ts';
import { type MessageId } from '../message-id.ts';
import { refuseField } from '../refusal.ts';
import {
  anyJson,
  closed,
  jsonText,
  keyField,
  listField,
  readInteger,
  readKey,
  secondsField,
  secondsToMs,
} from './fields.ts';
import { listSection, singleSection, type BodyContext } from './section.ts';

/** In all operations `key` is the name of the queue. */
export interface EnqueueOperation {
  readonly key: string;
  /** JSON text. */
  readonly data: string;
  readonly group?: string;
  readonly dedup?: string;
  readonly delayMs: number;
  /** 0: no end. */
  readonly ttlMs: number;
  readonly priority: number;
}

/** `id.rev` 0: the revision of this commit. */
export interface EnqueueResult {
  readonly id: MessageId;
  readonly duplicate?: true;
}

export interface DequeueOperation {
  readonly key: string;
  readonly max: number;
  readonly groupMax: number;
  readonly durMs: number;
  readonly waitMs: number;
  readonly attempt?: string;
}

export interface DeliveredMessage {
  readonly id: MessageId;
  /** JSON text. */
  readonly data: string;
  readonly attempts: number;
  /** When it was enqueued, in wall-clock milliseconds. */
  readonly at: number;
  /** 0: the revision of this commit. */
  readonly lock: number;
  readonly till: number;
  readonly error?: string;
}

export interface DequeueResult {
  readonly messages: readonly DeliveredMessage[];
}

const priorityField = Type.Integer({
  minimum: 0,
  maximum: priorityMax,
  expected: `an integer from 0 to ${priorityMax}`,
});
const countField = Type.Integer({ minimum: 1, maximum: dequeueMax, expected: `an integer from 1 to ${dequeueMax}` });

const enqueueItem = Type.Object(
  {
    Queue: keyField,
    Data: anyJson,
    Group: Type.Optional(keyField),
    DedupID: Type.Optional(keyField),
    Delay: Type.Optional(secondsField('or zero', ttlMsMax)),
    TTL: Type.Optional(secondsField('or zero', ttlMsMax)),
    Priority: Type.Optional(priorityField),
  },
  { ...closed, expected: '{"Queue","Data"}' },
);

export const enqueueSection = listSection<EnqueueOperation, EnqueueResult>({
  body: 'Enqueue',
  schema: { Enqueue: Type.Optional(listField(enqueueItem, 'a list of {"Queue","Data"}')) },
  key: ({ key }) => key,
  effect: () => 'write',
  scope: () => 'write',
  read: ({ Enqueue }: { Enqueue?: Type.Static<typeof enqueueItem>[] }, context) =>
    Enqueue?.map((item, i) => readEnqueue(item, `${context.root}Enqueue[${i}]`, context)),
});

function readEnqueue(item: Type.Static<typeof enqueueItem>, path: string, { limits }: BodyContext): EnqueueOperation {
  const { Group, DedupID, Delay = 0, TTL = 0, Priority = 0 } = item;
  const most = { bytes: limits.value_bytes_max, name: 'limits.value_bytes_max' };
  return checkEnqueue(
    {
      key: readKey(item.Queue, `${path}.Queue`),
      data: jsonText(item.Data, `${path}.Data`, most),
      ...(Group !== undefined && { group: readKey(Group, `${path}.Group`) }),
      ...(DedupID !== undefined && { dedup: readKey(DedupID, `${path}.DedupID`) }),
      delayMs: secondsToMs(Delay),
      ttlMs: secondsToMs(TTL),
      priority: readInteger(Priority),
    },
    { ttl: `${path}.TTL`, priority: `${path}.Priority` },
  );
}

/** @throws Refusal, naming one of the `fields` */
export function checkEnqueue(
  operation: EnqueueOperation,
  fields: { readonly ttl: string; readonly priority: string },
): EnqueueOperation {
  const { ttlMs, delayMs, priority, group } = operation;
  if (ttlMs > 0 && ttlMs <= delayMs)
    refuseField(fields.ttl, `expected more than the delay of ${delayMs / 1000} s, got ${ttlMs / 1000} s`);
  if (priority > 0 && group !== undefined)
    refuseField(
      fields.priority,
      'given together with a group, whose messages keep their order; expected one of the two',
    );
  return operation;
}

const dequeueItem = Type.Object(
  {
    Queue: keyField,
    DequeueMax: Type.Optional(countField),
    GroupMax: Type.Optional(countField),
    LockDur: Type.Optional(secondsField('zero', lockDurMsMax)),
    LockWait: Type.Optional(secondsField('or zero', waitMsMax)),
    AttemptID: Type.Optional(keyField),
  },
  { ...closed, expected: '{"Queue"}' },
);

export const dequeueSection = singleSection<DequeueOperation, DequeueResult>({
  body: 'Dequeue',
  schema: { Dequeue: Type.Optional(dequeueItem) },
  key: ({ key }) => key,
  effect: () => 'free',
  scope: () => 'write',
  read: (body: { Dequeue?: Type.Static<typeof dequeueItem> }, { root }) => {
    const { Dequeue } = body;
    if (Dequeue === undefined) return undefined;
    const path = `${root}Dequeue`;
    const { DequeueMax = 1, GroupMax = 1, LockDur, LockWait = 0, AttemptID } = Dequeue;
    const others = Object.keys(body).filter((name) => name !== 'Dequeue');
    if (LockWait > 0 && others.length > 0) {
      const why = `a Dequeue that waits stands alone in its batch, got ${others.join(', ')} beside it`;
      return refuseField(`${path}.LockWait`, `${why}; expected 0, or a batch of its own`);
    }
    return checkDequeue(
      {
        key: readKey(Dequeue.Queue, `${path}.Queue`),
        max: DequeueMax,
        groupMax: GroupMax,
        durMs: LockDur === undefined ? lockDurMsDefault : secondsToMs(LockDur),
        waitMs: secondsToMs(LockWait),
        ...(AttemptID !== undefined && { attempt: readKey(AttemptID, `${path}.AttemptID`) }),
      },
      `${path}.GroupMax`,
    );
  },
});

/** @throws Refusal, naming `field` */
export function checkDequeue(operation: DequeueOperation, field: string): DequeueOperation {
  const { groupMax, max } = operation;
  if (groupMax > max) refuseField(field, `expected at most the ${max} messages of the whole call, got ${groupMax}`);
  return operation;
}
