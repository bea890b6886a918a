/** The consumer at the end of a history: takes and acks until nothing is left but the dead, so that what is lost is missed. */
import type { AccountId } from '../../src/protocol/ids.ts';
import { completePolicy } from '../../src/protocol/operations/queue-policy.ts';
import type { Batch, Command } from '../../src/protocol/operations/operations.ts';
import type { ReplyBody } from './reply-body.ts';

type Stat = ReplyBody & Readonly<Record<'Ready' | 'InFlight' | 'Delayed' | 'Blocked' | 'Dead', number>>;

export interface DrainOptions {
  readonly ask: (command: Command) => Promise<ReplyBody>;
  readonly accounts: readonly AccountId[];
  readonly queues: readonly string[];
  /** As long as a lease that nobody knows of may last, over a start too. */
  readonly waitMs: number;
  /** Lets time pass, for a disk that was full: the journal looks for space each second. */
  readonly pause: () => Promise<unknown>;
}

const roundsMax = 100;

export async function drainQueues(options: DrainOptions): Promise<void> {
  for (const account of options.accounts) {
    for (const queue of options.queues) {
      const { Ready, InFlight, Delayed, Blocked, Dead } = await stat(options, account, queue);
      if (Ready + InFlight + Delayed + Blocked + Dead > 0) await drain(options, account, queue);
    }
  }
}

function stat({ ask }: DrainOptions, account: AccountId, queue: string): Promise<Stat> {
  return ask({ kind: 'queue.stat', account, queue }) as Promise<Stat>;
}

async function drain(options: DrainOptions, account: AccountId, queue: string): Promise<void> {
  const { ask, waitMs } = options;
  const batch = async (parts: Partial<Batch>): Promise<ReplyBody> => {
    for (let tries = 1; ; tries += 1) {
      const reply = await ask({ kind: 'batch', account, format: 'batch', ...parts });
      if (reply.Code !== 'disk_full' || tries > roundsMax) return reply;
      await options.pause();
    }
  };
  const key = queue;
  await batch({ format: 'queue.resume', queueChange: { key, change: 'resume' } });
  if (queue === options.queues[0]) {
    const policy = completePolicy({ MaxAttempts: 0 });
    await batch({ format: 'queue.policy', queueChange: { key, change: 'policy', policy } });
    await batch({ format: 'queue.redrive', queueChange: { key, change: 'redrive', how: 'retry', limit: 1000 } });
  }
  for (let round = 0; ; round += 1) {
    const { Ready, InFlight, Delayed, Blocked } = await stat(options, account, queue);
    if (Ready + InFlight + Delayed + Blocked === 0) break;
    if (round > roundsMax) throw new Error(`I17: ${queue} of ${account} is never empty`);
    const reply = await batch({ dequeue: { key, max: 1000, groupMax: 1000, durMs: 60_000, waitMs } });
    const messages = reply.Dequeue?.Messages ?? [];
    if (messages.length > 0) await batch({ ack: messages.map(({ ID, Lock }) => ({ key, id: ID, lock: Lock })) });
  }
  await ask({ kind: 'queue.peek', account, queue, state: 'dead', limit: 1000 });
}
