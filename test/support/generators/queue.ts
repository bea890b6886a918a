/** Queues: messages with and without groups, receipts that are live, stale or made up, and what administrators do. */
import type { Habits } from './habits.ts';
import { once } from './idempotency.ts';
import { completePolicy } from '../../../src/protocol/operations/queue-policy.ts';
import type { Batch, Command } from '../../../src/protocol/operations/operations.ts';
import type { DequeueOperation, EnqueueOperation } from '../../../src/protocol/operations/queue.ts';
import type { AckOperation, ExtendOperation, NackOperation } from '../../../src/protocol/operations/queue-receipts.ts';

export function enqueue(h: Habits): EnqueueOperation {
  const grouped = h.chance(45) ? { group: h.one(['g0', 'g1']) } : {};
  const delayMs = h.chance(20) ? h.one([700, 2000, 5000]) : 0;
  return {
    key: h.name('queue'),
    data: h.value(),
    ...grouped,
    ...(h.chance(25) && { dedup: h.one(['d0', 'd1', 'd2']) }),
    delayMs,
    ttlMs: h.chance(20) ? delayMs + h.one([900, 3000]) : 0,
    priority: grouped.group === undefined && h.chance(20) ? 1 + h.below(9) : 0,
  };
}

export function dequeue(h: Habits, waitMs = 0): DequeueOperation {
  const max = h.one([1, 1, 2, 5]);
  return {
    key: h.name('queue'),
    max,
    groupMax: 1 + h.below(max),
    durMs: h.durMs(),
    waitMs,
    ...(h.chance(15) && { attempt: h.one(['u0', 'u1']) }),
  };
}

export function ack(h: Habits): AckOperation {
  const { key, id, lock } = h.receipt();
  return { key, id, ...(!h.chance(10) && { lock }) };
}

export function nack(h: Habits): NackOperation {
  const receipt = h.receipt();
  const how = h.below(10);
  if (how < 3) return { ...receipt, returned: true };
  return { ...receipt, ...(how < 8 && { delayMs: h.one([0, 0, 1300, 4000]) }), ...(h.chance(50) && { error: 'why' }) };
}

export function extend(h: Habits): ExtendOperation {
  return { ...h.receipt(), durMs: h.durMs() };
}

const policies = [
  {},
  { MaxAttempts: 1 },
  { MaxAttempts: 2, OnFail: 'drop' },
  { MaxAttempts: 1, OnFail: 'block', Backoff: { Min: 0 } },
  { Parallel: 2, MaxMessages: 2 },
  { Retention: 4, DedupWindow: 0 },
  { DedupWindow: 3, DeadRetention: 5, MaxAttempts: 1, Backoff: { Min: 2, Factor: 3 } },
  { Fifo: true },
] as const;

const one = (h: Habits, format: Batch['format'], parts: Partial<Batch>): Command => ({
  kind: 'batch',
  account: h.account,
  format,
  ...parts,
});

export const queue = {
  'queue.send': (h: Habits): Command => one(h, 'queue.send', { enqueue: [enqueue(h)] }),
  'queue.take': (h: Habits): Command => one(h, 'batch', { dequeue: dequeue(h, h.waitMs()) }),
  'queue.ack': (h: Habits): Command => one(h, 'queue.ack', { ack: [ack(h)] }),
  'queue.nack': (h: Habits): Command => one(h, 'queue.nack', { nack: [nack(h)] }),
  'queue.extend': (h: Habits): Command => one(h, 'queue.extend', { extend: [extend(h)] }),
  /** What a busy consumer sends, with a write of its own. */
  'queue.life': (h: Habits): Command => {
    const id = h.chance(25);
    return one(h, 'batch', {
      ...(h.chance(85) && { ack: [ack(h)] }),
      ...(h.chance(30) && { nack: [nack(h)] }),
      ...(h.chance(30) && { set: [{ key: h.name('kv'), value: h.value() }] }),
      ...(!id && h.chance(70) && { dequeue: dequeue(h) }),
      ...(id && { idempotency: once(h, 2), extend: [extend(h)] }),
      enqueue: h.chance(40) ? [enqueue(h), enqueue(h)] : [enqueue(h)],
    });
  },
  'queue.policy': (h: Habits): Command => {
    const queueChange = { key: h.changedQueue(), change: 'policy', policy: completePolicy(h.one(policies)) } as const;
    return one(h, 'queue.policy', { queueChange });
  },
  'queue.change': (h: Habits): Command => {
    const change = h.one(['pause', 'resume', 'resume', 'purge', 'delete'] as const);
    return one(h, `queue.${change}`, { queueChange: { key: h.changedQueue(), change } });
  },
  'queue.redrive': (h: Habits): Command => {
    const queueChange = {
      key: h.changedQueue(),
      change: 'redrive',
      how: h.one(['retry', 'skip'] as const),
      limit: h.one([1, 1000]),
      ...(h.chance(20) && { group: 'g0' }),
    } as const;
    return one(h, 'queue.redrive', { queueChange });
  },
  'queue.stat': (h: Habits): Command => ({ kind: 'queue.stat', account: h.account, queue: h.name('queue') }),
  'queue.list': (h: Habits): Command => ({ kind: 'queue.list', account: h.account, prefix: '', limit: 10 }),
  'queue.peek': (h: Habits): Command => ({
    kind: 'queue.peek',
    account: h.account,
    queue: h.name('queue'),
    state: h.one(['ready', 'delayed', 'dead', 'blocked'] as const),
    limit: 100,
  }),
};
