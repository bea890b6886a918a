/** The policy of a queue. It holds for what happens from then on; a queue without one has the defaults. */
import { Type } from 'typebox';
import { queueBackoffMsMax, queueWindowMsMax, ttlMsMax } from '../../shared/limits.ts';
import { closed, secondsField, yesOrNo } from './fields.ts';

const endings = ['dlq', 'drop', 'block'] as const;

const count = (most: number, expected: string) => Type.Integer({ minimum: 0, maximum: most, expected });

const backoff = Type.Object(
  {
    Min: Type.Optional(secondsField('or zero', queueBackoffMsMax)),
    Max: Type.Optional(secondsField('or zero', queueBackoffMsMax)),
    Factor: Type.Optional(Type.Number({ minimum: 1, maximum: 1000, expected: 'a number from 1 to 1000' })),
  },
  { ...closed, expected: '{"Min","Max","Factor"}' },
);

/** Durations are seconds. What is left out has its default. */
export const queuePolicySchema = Type.Object(
  {
    MaxAttempts: Type.Optional(count(1000, 'an integer from 0 (endless) to 1000')),
    Backoff: Type.Optional(backoff),
    DedupWindow: Type.Optional(
      Type.Union([secondsField('or zero', queueWindowMsMax), Type.Literal('pending')], {
        expected: `a number of seconds, 0 to ${queueWindowMsMax / 1000}, or "pending"`,
      }),
    ),
    Retention: Type.Optional(secondsField('or zero', ttlMsMax)),
    DeadRetention: Type.Optional(secondsField('or zero', ttlMsMax)),
    Parallel: Type.Optional(count(1e9, 'an integer from 0 (no limit) to 10^9')),
    MaxMessages: Type.Optional(count(1e12, 'an integer from 0 (no limit) to 10^12')),
    Fifo: Type.Optional(yesOrNo),
    OnFail: Type.Optional(Type.Enum(endings, { expected: `one of ${endings.join(', ')}` })),
  },
  { ...closed, expected: 'a policy: an object such as {"MaxAttempts":5}' },
);

/** As stored and as answered: complete. `DedupWindow` 0 means: while the message is in the queue. */
export interface QueuePolicy {
  readonly MaxAttempts: number;
  readonly Backoff: { readonly Min: number; readonly Max: number; readonly Factor: number };
  readonly DedupWindow: number;
  readonly Retention: number;
  readonly DeadRetention: number;
  readonly Parallel: number;
  readonly MaxMessages: number;
  readonly Fifo: boolean;
  readonly OnFail: (typeof endings)[number];
}

export const defaultQueuePolicy: QueuePolicy = {
  MaxAttempts: 5,
  Backoff: { Min: 1, Max: 3600, Factor: 2 },
  DedupWindow: 300,
  Retention: 0,
  DeadRetention: 14 * 24 * 60 * 60,
  Parallel: 0,
  MaxMessages: 0,
  Fifo: false,
  OnFail: 'dlq',
};

/** Completes a policy that fits the schema. */
export function completePolicy(given: Type.Static<typeof queuePolicySchema>): QueuePolicy {
  const { DedupWindow, Backoff } = given;
  return {
    ...defaultQueuePolicy,
    ...given,
    Backoff: { ...defaultQueuePolicy.Backoff, ...Backoff },
    DedupWindow: DedupWindow === 'pending' ? 0 : (DedupWindow ?? defaultQueuePolicy.DedupWindow),
  };
}
