/** What a consumer says of a message that it holds: `Ack`, `Nack`, `Extend`. */
import { Type } from 'typebox';
import { lockDurMsDefault, lockDurMsMax, messageErrorBytesMax, ttlMsMax } from '../../shared/limits.ts';
import { shown } from '../../shared/text.ts';
import { messageIdBytesMax, parseMessageId } from '../message-id.ts';
import { refuse, refuseField } from '../refusal.ts';
import {
  closed,
  fenceField,
  keyField,
  listField,
  readFence,
  readKey,
  secondsField,
  secondsToMs,
  yesOrNo,
} from './fields.ts';
import { listSection } from './section.ts';

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

export const aMessageId = 'the ID of a message';
const idField = Type.String({ expected: aMessageId });
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
