/** The REST calls of queues. Ids may hold slashes, so verbs stand in front. */
import {
  dequeueMax,
  lockDurMsDefault,
  lockDurMsMax,
  messageErrorBytesMax,
  pageLimitDefault,
  pageLimitMax,
  priorityMax,
  redriveMax,
  ttlMsMax,
  waitMsMax,
} from '../../shared/limits.ts';
import type { AccountId } from '../ids.ts';
import { messageIdBytesMax } from '../message-id.ts';
import {
  call,
  integerParameter,
  keyParameter,
  requiredParameter,
  secondsParameter,
  wordParameter,
  wordsParameter,
  type GivenToCall,
} from './call.ts';
import type { CommandSpec, PageRequest } from './command.ts';
import { pageOf, pageParameters } from './kv-pages.ts';
import { completePolicy, type queuePolicySchema } from './queue-policy.ts';
import { checkDequeue, checkEnqueue } from './queue.ts';
import { checkNack } from './queue-receipts.ts';
import type { QueueChange } from './queue-change.ts';
import type { Type } from 'typebox';

export interface QueueList extends PageRequest {
  readonly kind: 'queue.list';
}

export interface QueueStat {
  readonly kind: 'queue.stat';
  readonly account: AccountId;
  readonly queue: string;
}

const states = ['ready', 'inflight', 'delayed', 'dead', 'blocked'] as const;
export type MessageState = (typeof states)[number];

export interface QueuePeek {
  readonly kind: 'queue.peek';
  readonly account: AccountId;
  readonly queue: string;
  readonly state: MessageState;
  readonly after?: string;
  readonly limit: number;
}

export const queueList = {
  scope: () => 'read',
  prefix: ({ prefix }) => prefix,
  list: 'Queues',
} as const satisfies CommandSpec<QueueList>;

export const queueStat = {
  scope: () => 'read',
  keys: ({ queue }) => [queue],
} as const satisfies CommandSpec<QueueStat>;

export const queuePeek = {
  scope: () => 'read',
  keys: ({ queue }) => [queue],
} as const satisfies CommandSpec<QueuePeek>;

const afterParameter = { type: 'string', bytesMax: messageIdBytesMax + 2, limitName: 'the length of an ID' } as const;
const errorParameter = {
  type: 'string',
  bytesMax: messageErrorBytesMax + 2,
  limitName: 'the limit of Error',
} as const;
const messageParameter = requiredParameter({ type: 'message' }, 'the ID of a message');
const receiptParameters = {
  id: messageParameter,
  lock: requiredParameter(integerParameter(1), 'the Lock of the delivery'),
} as const;
const yes = wordParameter('true');

type Admin = 'queue.delete' | 'queue.pause' | 'queue.resume' | 'queue.purge';

function admin<const Format extends Admin>(format: Format, change: 'delete' | 'pause' | 'resume' | 'purge') {
  return ({ account, id }: GivenToCall<{}>) =>
    ({ kind: 'batch', account, format, queueChange: { key: id, change } satisfies QueueChange }) as const;
}

export const queueCalls = {
  'queue.list': call({
    method: 'GET',
    path: 'queue',
    summary: 'List queues below a prefix, with what is in them',
    query: pageParameters,
    command: (given) => ({ kind: 'queue.list', ...pageOf(given) }) as const,
  }),
  'queue.stat': call({
    method: 'GET',
    path: 'queue/*',
    summary: 'See what is in a queue, and its policy',
    query: {},
    command: ({ account, id }) => ({ kind: 'queue.stat', account, queue: id }) as const,
  }),
  'queue.send': call({
    method: 'POST',
    path: 'queue/*',
    summary: 'Enqueue the body',
    query: {
      group: keyParameter,
      dedup: keyParameter,
      delay: secondsParameter('or zero', ttlMsMax),
      ttl: secondsParameter('or zero', ttlMsMax),
      priority: integerParameter(0, priorityMax),
      as: wordParameter('text'),
    },
    body: 'value',
    command: ({ account, id, query: { group, dedup, delay = 0, ttl = 0, priority = 0 }, value }) => {
      const enqueue = checkEnqueue(
        {
          key: id,
          data: value,
          ...(group !== undefined && { group }),
          ...(dedup !== undefined && { dedup }),
          delayMs: delay,
          ttlMs: ttl,
          priority,
        },
        { ttl: '?ttl', priority: '?priority' },
      );
      return { kind: 'batch', account, format: 'queue.send', enqueue: [enqueue] } as const;
    },
  }),
  'queue.policy': call({
    method: 'PUT',
    path: 'queue/*',
    summary: 'Set the policy of a queue; what is left out has its default',
    query: {},
    body: 'policy',
    command: ({ account, id, value }) => {
      const policy = completePolicy(JSON.parse(value) as Type.Static<typeof queuePolicySchema>);
      const queueChange: QueueChange = { key: id, change: 'policy', policy };
      return { kind: 'batch', account, format: 'queue.policy', queueChange } as const;
    },
  }),
  'queue.delete': call({
    method: 'DELETE',
    path: 'queue/*',
    summary: 'Purge a queue, and forget its policy and what it has seen',
    query: {},
    command: admin('queue.delete', 'delete'),
  }),
  'queue.take': call({
    method: 'POST',
    path: 'dequeue/*',
    summary: 'Take messages',
    query: {
      max: integerParameter(1, dequeueMax),
      groupmax: integerParameter(1, dequeueMax),
      dur: secondsParameter('zero', lockDurMsMax),
      wait: secondsParameter('or zero', waitMsMax),
      attempt: keyParameter,
    },
    command: ({ account, id, query: { max = 1, groupmax = 1, dur = lockDurMsDefault, wait = 0, attempt } }) => {
      const dequeue = checkDequeue(
        {
          key: id,
          max,
          groupMax: groupmax,
          durMs: dur,
          waitMs: wait,
          ...(attempt !== undefined && { attempt }),
        },
        '?groupmax',
      );
      return { kind: 'batch', account, format: 'queue.take', dequeue } as const;
    },
  }),
  'queue.ack': call({
    method: 'POST',
    path: 'ack/*',
    summary: 'Say that a message is done',
    query: { id: messageParameter, lock: integerParameter(1) },
    command: ({ account, id: key, query: { id, lock } }) => {
      const ack = { key, id, ...(lock !== undefined && { lock }) };
      return { kind: 'batch', account, format: 'queue.ack', ack: [ack] } as const;
    },
  }),
  'queue.nack': call({
    method: 'POST',
    path: 'nack/*',
    summary: 'Give a message back',
    query: {
      ...receiptParameters,
      delay: secondsParameter('or zero', ttlMsMax),
      error: errorParameter,
      return: yes,
    },
    onlyOneOf: ['delay', 'return'],
    command: ({ account, id: key, query: { id, lock, delay, error, return: returned } }) => {
      const nack = checkNack(
        {
          key,
          id,
          lock,
          ...(delay !== undefined && { delayMs: delay }),
          ...(error !== undefined && { error: JSON.parse(error) as string }),
          ...(returned !== undefined && { returned: true as const }),
        },
        '?delay',
      );
      return { kind: 'batch', account, format: 'queue.nack', nack: [nack] } as const;
    },
  }),
  'queue.extend': call({
    method: 'POST',
    path: 'extend/*',
    summary: 'Keep a message for longer',
    query: { ...receiptParameters, dur: secondsParameter('zero', lockDurMsMax) },
    command: ({ account, id: key, query: { id, lock, dur = lockDurMsDefault } }) => {
      const extend = { key, id, lock, durMs: dur };
      return { kind: 'batch', account, format: 'queue.extend', extend: [extend] } as const;
    },
  }),
  'queue.peek': call({
    method: 'GET',
    path: 'peek/*',
    summary: 'Look at messages and take none',
    query: { state: wordsParameter(states), after: afterParameter, limit: integerParameter(1, pageLimitMax) },
    command: ({ account, id, query: { state = 'ready', after, limit = pageLimitDefault } }) =>
      ({
        kind: 'queue.peek',
        account,
        queue: id,
        state,
        ...(after !== undefined && { after: JSON.parse(after) as string }),
        limit,
      }) as const,
  }),
  'queue.pause': call({
    method: 'POST',
    path: 'pause/queue/*',
    summary: 'Deliver nothing until the queue is resumed',
    query: {},
    command: admin('queue.pause', 'pause'),
  }),
  'queue.resume': call({
    method: 'POST',
    path: 'resume/queue/*',
    summary: 'Deliver again',
    query: {},
    command: admin('queue.resume', 'resume'),
  }),
  'queue.purge': call({
    method: 'POST',
    path: 'purge/*',
    summary: 'Empty a queue at once',
    query: {},
    command: admin('queue.purge', 'purge'),
  }),
  'queue.redrive': call({
    method: 'POST',
    path: 'redrive/*',
    summary: 'Try dead and blocked messages again, or drop them',
    query: {
      do: requiredParameter(wordsParameter(['retry', 'skip']), 'retry or skip'),
      id: { type: 'message' },
      group: keyParameter,
      limit: integerParameter(1, redriveMax),
    },
    onlyOneOf: ['id', 'group'],
    command: ({ account, id: key, query: { do: how, id, group, limit = redriveMax } }) => {
      const queueChange: QueueChange = {
        key,
        change: 'redrive',
        how,
        ...(id !== undefined && { id }),
        ...(group !== undefined && { group }),
        limit,
      };
      return { kind: 'batch', account, format: 'queue.redrive', queueChange } as const;
    },
  }),
} as const;
