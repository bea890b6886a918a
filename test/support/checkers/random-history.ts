/**
 * Random histories: clients that use a few keys, locks and ids over and over, with answers that get lost and servers
 * that start again. Any server will do that answers commands; `ModelServer` is the contract model as one, whose
 * histories are good by definition.
 */
import { CommandGenerator, type Chances, type Mix } from '../generators/generators.ts';
import { LearningHabits } from '../generators/learning-habits.ts';
import type { SeededRandom } from '../seeded-random.ts';
import type { LogRecord } from './commit-log.ts';
import type { Answer, History, Operation, Restart } from './history.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';

export interface AnsweringServer {
  /** Milliseconds. */
  readonly now: number;
  /** Takes effect now, or waits; the function tells the answer as soon as there is one. */
  ask(command: Command): () => (Omit<Answer, 'at'> & { readonly at?: number }) | undefined;
  advance(ms: number): void;
  /** Waiters are never answered. */
  restart(downMs: number): void;
  /** What it wrote, if it tells. */
  readonly log?: readonly LogRecord[];
}

export interface RandomHistoryOptions {
  readonly operations: number;
  /** In a thousand: answers that get lost, and starts. */
  readonly lost?: number;
  readonly restarts?: number;
  /** How many keys, locks and so on there are. */
  readonly things?: number;
  /** Whether failures and replays tell their revision, as a router does and HTTP does not. */
  readonly revOfFailures?: boolean;
}

interface Sent {
  readonly id: number;
  readonly call: Command;
  readonly sentAt: number;
  readonly answerNow: ReturnType<AnsweringServer['ask']>;
  readonly lost: boolean;
}

export function randomHistory(server: AnsweringServer, random: SeededRandom, options: RandomHistoryOptions): History {
  const { lost = 20, restarts: starts = 5, revOfFailures = false } = options;
  const habits = new LearningHabits(random, options.things ?? 3);
  const commands = new CommandGenerator(habits, historyMix, { chances: historyChances });
  const operations: Operation[] = [];
  const restarts: Restart[] = [];
  let waiting: Sent[] = [];
  let lastRestart = -Infinity;

  const collect = (): void => {
    waiting = waiting.filter((sent) => {
      const answer = sent.answerNow();
      if (answer === undefined) return true;
      if (!sent.lost) habits.learn(sent.call, answer.body);
      operations.push(operationOf(sent, sent.lost ? undefined : { ...answer, at: server.now + random.next() * 3 }));
      return false;
    });
  };
  const operationOf = ({ id, call, sentAt }: Sent, answer: Answer | undefined): Operation => {
    const base = { id, client: id % 16, call, sentAt };
    if (answer === undefined) return base;
    const { rev, ...rest } = answer;
    return { ...base, answer: revOfFailures && rev !== undefined ? answer : rest };
  };

  for (let id = 0; id < options.operations; id++) {
    if (random.below(4) === 0) server.advance(random.below(20) === 0 ? random.below(8000) : random.below(40));
    collect();
    if (random.below(1000) < starts) {
      // Nothing is under way but who waits: their answers never come.
      server.advance(10);
      collect();
      const downAt = server.now;
      server.restart(random.below(3) === 0 ? 12_000 : 100);
      const rev = server.log?.at(-1)?.rev;
      restarts.push({ downAt, startedAt: server.now, upAt: server.now, ...(rev === undefined ? {} : { rev }) });
      for (const sent of waiting) operations.push(operationOf(sent, undefined));
      waiting = [];
      lastRestart = server.now;
    }
    const call = commands.next();
    const sentAt = Math.max(server.now - random.next() * 3, lastRestart);
    const isLost = random.below(1000) < lost;
    // Half of those that get lost never reach the server.
    if (isLost && random.below(2) === 0) {
      operations.push({ id, client: id % 16, call, sentAt });
      continue;
    }
    waiting.push({ id, call, sentAt, answerNow: server.ask(call), lost: isLost });
    collect();
  }
  for (const sent of waiting) operations.push(operationOf(sent, undefined));
  return { operations, restarts, ...(server.log === undefined ? {} : { log: server.log }) };
}

/** How often each is asked, in shares. */
export const historyMix: Mix = {
  batch: 7,
  'kv.get': 1,
  'kv.set': 2,
  'kv.delete': 1,
  'kv.list': 1,
  'counter.add': 2,
  'counter.get': 1,
  'limit.take': 1,
  'sequence.next': 2,
  'sequence.get': 1,
  'lock.acquire': 2,
  'lock.release': 2,
  'lock.inspect': 1,
  'mutex.lock': 1,
  'mutex.unlock': 1,
};
export const historyChances: Chances = {
  lock: 15,
  extend: 10,
  unlock: 0,
  guard: 8,
  check: 10,
  idempotency: 15,
  limit: 6,
  counter: 35,
  get: 60,
  set: 60,
  ops: 25,
};
