/** Options and results of queues. */
import { durationMs, type Duration } from './checks.ts';
import { checkOptions, type NamesOf } from './option-names.ts';
import type { CallOptions } from './store-calls.ts';

/** Options of `queue.take` and `queue.messages`. */
export interface TakeOptions extends CallOptions {
  /** How many messages at most. Default 1. */
  readonly max?: number | undefined;
  /** How many of one group at most. Default 1. */
  readonly groupMax?: number | undefined;
  /** Milliseconds, or `'60s'`, for which they are out without a renewal. Default 30 seconds. */
  readonly ttl?: Duration | undefined;
  /** Milliseconds, or `'20s'`, to wait for a message, at most 5 minutes. Default 0. */
  readonly wait?: Duration | undefined;
}

/** The wait before a message is tried again. */
export interface QueueBackoff {
  /** Milliseconds, or `'1s'`, after the first attempt. Default 1 second. */
  readonly min?: Duration | undefined;
  /** At most this. Default 1 hour. */
  readonly max?: Duration | undefined;
  /** So many times longer after each further attempt. Default 2. */
  readonly factor?: number | undefined;
}

/** The policy of a queue. Durations are milliseconds, or have their unit. What is left out has its default. */
export interface QueuePolicyOptions {
  /** Deliveries before `onFail`; 0: endless. Default 5. */
  readonly maxAttempts?: number | undefined;
  /** The wait after a nack: `min` at first, `factor` times longer each time, at most `max`. */
  readonly backoff?: QueueBackoff | undefined;
  /** How long a `dedup` counts, or `'pending'`: while its message is in the queue. Default 5 minutes. */
  readonly dedupWindow?: Duration | 'pending' | undefined;
  /** Messages are dropped after this; 0: never. */
  readonly retention?: Duration | undefined;
  /** Dead messages are dropped after this; 0: never. Default 14 days. */
  readonly deadRetention?: Duration | undefined;
  /** Messages that are out at most; 0: no limit. */
  readonly parallel?: number | undefined;
  /** Messages in the queue at most; 0: no limit. */
  readonly maxMessages?: number | undefined;
  /** Messages without a group form one line. */
  readonly fifo?: boolean | undefined;
  /** What becomes of a message after its last attempt. Default `dlq`: it is kept as a dead message. */
  readonly onFail?: 'dlq' | 'drop' | 'block' | undefined;
}

/** What is in a queue. */
export interface QueueStats {
  /** Name of the queue. */
  readonly queue: string;
  /** Messages that can be delivered, or stand behind another of their group. */
  readonly ready: number;
  /** Messages that are out. */
  readonly inFlight: number;
  /** Messages that wait for their time. */
  readonly delayed: number;
  /** Messages whose last attempt has failed. */
  readonly dead: number;
  /** Messages that stand still until `redrive`. */
  readonly blocked: number;
  /** Groups that have messages. */
  readonly groups: number;
  /** Groups that stand still until `redrive`. */
  readonly blockedGroups: number;
  /** What the queue takes in the store. */
  readonly bytes: number;
  /** Age in milliseconds of what is first in line. */
  readonly oldest: number;
  /** Calls that wait for a message. */
  readonly consumers: number;
  /** Whether deliveries have stopped. */
  readonly paused: boolean;
  /** The policy, in the names of the HTTP API. */
  readonly policy: Readonly<Record<string, unknown>>;
}

/** A message that was looked at. */
export interface PeekedMessage {
  /** Its ID. */
  readonly id: string;
  /** What was sent. */
  readonly data: unknown;
  /** Its group, if it has one. */
  readonly group?: string;
  /** As it was asked for. */
  readonly state: string;
  /** How often it was delivered. */
  readonly attempts: number;
  /** When it was enqueued: milliseconds since the epoch, by the server's clock. */
  readonly at: number;
  /** What the last consumer said when it gave the message back. */
  readonly lastError?: string;
}

/** Options of `queue.peek`. */
export interface PeekOptions extends CallOptions {
  /** Default `ready`. */
  readonly state?: 'ready' | 'inflight' | 'delayed' | 'dead' | 'blocked' | undefined;
  /** From the page before. */
  readonly after?: string | undefined;
  /** Messages of one page. Default 100, at most 1000. */
  readonly limit?: number | undefined;
}

/** Options of `queue.redrive`. */
export interface RedriveOptions extends CallOptions {
  /** Only this message. */
  readonly id?: string | undefined;
  /** Only messages of this group. */
  readonly group?: string | undefined;
  /** So many at most. Default 1000. */
  readonly limit?: number | undefined;
}

const policyNames: NamesOf<QueuePolicyOptions> = {
  maxAttempts: true,
  backoff: true,
  dedupWindow: true,
  retention: true,
  deadRetention: true,
  parallel: true,
  maxMessages: true,
  fifo: true,
  onFail: true,
};

export function statsOf(body: Readonly<Record<string, unknown>>): QueueStats {
  const number = (name: string): number => Number(body[name]);
  return {
    queue: String(body['Queue']),
    ready: number('Ready'),
    inFlight: number('InFlight'),
    delayed: number('Delayed'),
    dead: number('Dead'),
    blocked: number('Blocked'),
    groups: number('Groups'),
    blockedGroups: number('BlockedGroups'),
    bytes: number('Bytes'),
    oldest: number('OldestMs'),
    consumers: number('Consumers'),
    paused: body['Paused'] === true,
    policy: body['Policy'] as QueueStats['policy'],
  };
}

export function policyToWire(policy: QueuePolicyOptions): object {
  checkOptions(policy, policyNames, 'policy');
  const { backoff, dedupWindow } = policy;
  return {
    MaxAttempts: policy.maxAttempts,
    Backoff: backoff && {
      Min: seconds(backoff.min, 'backoff.min'),
      Max: seconds(backoff.max, 'backoff.max'),
      Factor: backoff.factor,
    },
    DedupWindow: dedupWindow === 'pending' ? 'pending' : seconds(dedupWindow, 'dedupWindow'),
    Retention: seconds(policy.retention, 'retention'),
    DeadRetention: seconds(policy.deadRetention, 'deadRetention'),
    Parallel: policy.parallel,
    MaxMessages: policy.maxMessages,
    Fifo: policy.fifo,
    OnFail: policy.onFail,
  };
}

function seconds(duration: Duration | undefined, name: string): number | undefined {
  return duration === undefined ? undefined : durationMs(duration, `policy.${name}`, { min: 0 }) / 1000;
}
