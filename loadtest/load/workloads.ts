/**
 * What a connection does: a generator that yields requests and is handed their replies, so that a lock's handle finds
 * its way into the unlock. Everything goes to accounts that nothing else uses, and every reply must be 200.
 */
import type { HttpReply } from './http-connection.ts';

export interface Ask {
  readonly path: string;
  readonly body: string;
  /** Things of the figure's unit that are done when this request is answered: 1 for the unlock of a pair. */
  readonly units: number;
}

export type Conversation = Generator<Ask, never, HttpReply>;

export const value64 = 'v'.repeat(62);
export const accounts = 1000;
/** Keys of one account. */
const accountKeys = 100;

export function below(bound: number): number {
  return Math.floor(Math.random() * bound);
}

/** Asks that do not depend on replies; the external generator can send them too. */
export const singleAsks = {
  /** One 64-byte value (as JSON text) on a random key of a thousand accounts. */
  write: () => ({
    path: `/db/load${below(accounts)}`,
    body: `{"KVSet":[{"Key":"key-${below(accountKeys)}","Value":"${value64}"}]}`,
    units: 1,
  }),
  read: () => ({ path: `/db/load${below(accounts)}`, body: `{"KVGet":["key-${below(accountKeys)}"]}`, units: 1 }),
  array100: () => {
    const sets = Array.from(
      { length: 100 },
      () => `{"KVSet":[{"Key":"key-${below(accountKeys)}","Value":"${value64}"}]}`,
    );
    return { path: `/db/load${below(accounts)}`, body: `[${sets.join(',')}]`, units: 100 };
  },
} as const satisfies Record<string, () => Ask>;

export type SingleAsk = keyof typeof singleAsks;

const lockKeys = 1000;

const dialogues = {
  /** In memory, each connection a mutex of its own. */
  *mutex(index: number): Conversation {
    for (;;) {
      const reply = yield { path: `/db/load-mutex/mlock/m${index}?dur=30`, body: '', units: 0 };
      yield { path: `/db/load-mutex/munlock/m${index}?lock=${handleIn(reply)}`, body: '', units: 1 };
    }
  },
  *locks(): Conversation {
    for (;;) yield* lockAndUnlock(`lock-${below(lockKeys)}`);
  },
  *contended(): Conversation {
    for (;;) yield* lockAndUnlock('the-one');
  },
} as const satisfies Record<string, (index: number) => Conversation>;

export type Workload = SingleAsk | keyof typeof dialogues;

export function converse(workload: Workload, index: number): Conversation {
  return isSingle(workload) ? repeat(singleAsks[workload]) : dialogues[workload](index);
}

export function isSingle(workload: Workload): workload is SingleAsk {
  return Object.hasOwn(singleAsks, workload);
}

function* repeat(ask: () => Ask): Conversation {
  for (;;) yield ask();
}

function* lockAndUnlock(id: string): Generator<Ask, void, HttpReply> {
  const path = '/db/load-locks';
  const reply = yield { path, body: `{"LockID":"${id}","LockDur":30,"LockWait":60}`, units: 0 };
  yield { path, body: `{"UnlockID":"${id}","Unlock":${handleIn(reply)}}`, units: 1 };
}

function handleIn(reply: HttpReply): string {
  // Handles of mutexes are longer than a double holds only as text, so they stay text.
  return /"Lock":"?(\d+)"?/.exec(reply.body)?.[1] ?? 'missing';
}
