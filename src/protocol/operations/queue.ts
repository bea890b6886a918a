/** Queues: `Ack`, `Nack`, `Extend`, `Dequeue` and `Enqueue` in a batch. A queue is there once a message is. */
import { Type } from 'typebox';
import {
  dequeueMax,
  lockDurMsDefault,
  lockDurMsMax,
  messageErrorBytesMax,
  priorityMax,
  ttlMsMax,
  waitMsMax,
} from '../../shared/limits.ts';
import { shown } from '../../shared/text.ts';
import { messageIdBytesMax, parseMessageId, type MessageId } from '../message-id.ts';
import { refuse, refuseField } from '../refusal.ts';
import {
  anyJson,
  closed,
  fenceField,
  jsonText,
  keyField,
  listField,
  readFence,
  readKey,
  secondsField,
  secondsToMs,
  yesOrNo,
} from './fields.ts';
import type { QueuePolicy } from './queue-policy.ts';
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

export interface AckOperation {
  readonly key: string;
  readonly id: string;
  /** Absent: only a dead message is acked. */
  readonly lock?: number;
}

export interface NackOperation {
  readonly key: string;
  readonly id: string;
  readonly lock: number;
  /** Absent: the backoff of the policy. */
  readonly delayMs?: number;
  readonly error?: string;
  /** Not begun: the attempt does not count, and it takes its old place. */
  readonly returned?: true;
}

export interface NackResult {
  /** When it is ready again, in wall-clock milliseconds. */
  readonly at?: number;
}

export interface ExtendOperation {
  readonly key: string;
  readonly id: string;
  readonly lock: number;
  readonly durMs: number;
}

export interface ExtendResult {
  readonly till: number;
}

const priorityField = Type.Integer({
  minimum: 0,
  maximum: priorityMax,
  expected: `an integer from 0 to ${priorityMax}`,
});
const countField = Type.Integer({ minimum: 1, maximum: dequeueMax, expected: `an integer from 1 to ${dequeueMax}` });
const idField = Type.String({ expected: 'the ID of a message' });

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
      priority: Priority,
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

const receiptItem = { Queue: keyField, ID: idField, Lock: fenceField };
const ackItem = Type.Object(
  { ...receiptItem, Lock: Type.Optional(fenceField) },
  { ...closed, expected: '{"Queue","ID","Lock"}' },
);

export const ackSection = listSection<AckOperation, true>({
  body: 'Ack',
  schema: { Ack: Type.Optional(listField(ackItem, 'a list of {"Queue","ID","Lock"}')) },
  key: ({ key }) => key,
  effect: () => 'free',
  scope: () => 'write',
  read: ({ Ack }: { Ack?: Type.Static<typeof ackItem>[] }, { root }) =>
    Ack?.map(({ Queue, ID, Lock }, i) => ({
      key: readKey(Queue, `${root}Ack[${i}].Queue`),
      id: readMessageId(ID, `${root}Ack[${i}].ID`),
      ...(Lock !== undefined && { lock: readFence(Lock, `${root}Ack[${i}].Lock`) }),
    })),
});

const nackItem = Type.Object(
  {
    ...receiptItem,
    Delay: Type.Optional(secondsField('or zero', ttlMsMax)),
    Error: Type.Optional(Type.String({ expected: 'a string' })),
    Return: Type.Optional(yesOrNo),
  },
  { ...closed, expected: '{"Queue","ID","Lock"}' },
);

export const nackSection = listSection<NackOperation, NackResult>({
  body: 'Nack',
  schema: { Nack: Type.Optional(listField(nackItem, 'a list of {"Queue","ID","Lock"}')) },
  key: ({ key }) => key,
  effect: () => 'free',
  scope: () => 'write',
  read: ({ Nack }: { Nack?: Type.Static<typeof nackItem>[] }, { root }) =>
    Nack?.map((item, i) => readNack(item, `${root}Nack[${i}]`)),
});

function readNack({ Queue, ID, Lock, Delay, Error: text, Return }: Type.Static<typeof nackItem>, path: string) {
  return checkNack(
    {
      key: readKey(Queue, `${path}.Queue`),
      id: readMessageId(ID, `${path}.ID`),
      lock: readFence(Lock, `${path}.Lock`),
      ...(Delay !== undefined && { delayMs: secondsToMs(Delay) }),
      ...(text !== undefined && { error: readError(text, `${path}.Error`) }),
      ...(Return === true && { returned: true as const }),
    },
    `${path}.Delay`,
  );
}

/** @throws Refusal, naming `field` */
export function checkNack(operation: NackOperation, field: string): NackOperation {
  if (operation.returned && operation.delayMs !== undefined)
    refuseField(field, 'given together with Return; expected one of the two');
  return operation;
}

export function readError(text: string, path: string): string {
  const bytes = Buffer.byteLength(text);
  if (bytes > messageErrorBytesMax)
    return refuse('too_large', `${path}: ${bytes} bytes; expected at most ${messageErrorBytesMax}`);
  return text.isWellFormed() ? text : refuseField(path, 'expected well-formed Unicode, got a lone surrogate');
}

const extendItem = Type.Object(
  { ...receiptItem, LockDur: Type.Optional(secondsField('zero', lockDurMsMax)) },
  { ...closed, expected: '{"Queue","ID","Lock","LockDur"}' },
);

export const extendSection = listSection<ExtendOperation, ExtendResult>({
  body: 'Extend',
  schema: { Extend: Type.Optional(listField(extendItem, 'a list of {"Queue","ID","Lock","LockDur"}')) },
  key: ({ key }) => key,
  effect: () => 'free',
  scope: () => 'write',
  read: ({ Extend }: { Extend?: Type.Static<typeof extendItem>[] }, { root }) =>
    Extend?.map(({ Queue, ID, Lock, LockDur }, i) => ({
      key: readKey(Queue, `${root}Extend[${i}].Queue`),
      id: readMessageId(ID, `${root}Extend[${i}].ID`),
      lock: readFence(Lock, `${root}Extend[${i}].Lock`),
      durMs: LockDur === undefined ? lockDurMsDefault : secondsToMs(LockDur),
    })),
});

/** Checks the id of a message. The text stays as it is. */
export function readMessageId(text: string, path: string): string {
  if (text.length <= messageIdBytesMax && parseMessageId(text) !== undefined) return text;
  return refuseField(path, `expected the ID of a message, as Enqueue and Dequeue answer it, got ${shown(text)}`);
}

/** What only an administrator of a queue may do. No member of a batch: a REST call makes it. */
export type QueueChange = { readonly key: string } & (
  | { readonly change: 'policy'; readonly policy: QueuePolicy }
  | { readonly change: 'delete' | 'pause' | 'resume' | 'purge' }
  | RedriveChange
);

export interface RedriveChange {
  readonly change: 'redrive';
  readonly how: 'retry' | 'skip';
  readonly id?: string;
  readonly group?: string;
  readonly limit: number;
}

export interface QueueChangeResult {
  readonly purged?: number;
  readonly redriven?: number;
  readonly skipped?: number;
  readonly policy?: QueuePolicy;
}

export const queueChangeSection = singleSection<QueueChange, QueueChangeResult>({
  // Names what fails of a change.
  body: 'queue',
  schema: {},
  key: ({ key }) => key,
  effect: (operation) =>
    ['delete', 'purge', 'resume'].includes(operation.change) || isSkip(operation) ? 'free' : 'write',
  scope: () => 'admin',
  read: () => undefined,
});

function isSkip(operation: QueueChange): boolean {
  return operation.change === 'redrive' && operation.how === 'skip';
}
