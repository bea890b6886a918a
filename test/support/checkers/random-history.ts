/**
 * Random histories: clients that use a few keys, locks and ids over and over, with answers that get lost and servers
 * that start again. Any server will do that answers commands; `ModelServer` is the naive model as one, whose histories
 * are good by definition.
 */
import type { CounterOperation, Batch, Command, LockOperation, SetOperation } from '../../../src/protocol/commands.ts';
import { accountId } from '../../../src/protocol/ids.ts';
import type { SeededRandom } from '../seeded-random.ts';
import type { LogRecord } from './commit-log.ts';
import type { Body } from '../contract/expected.ts';
import type { Answer, History, Operation, Restart } from './history.ts';

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
  const commands = new RandomCommands(random, options.things ?? 3);
  const operations: Operation[] = [];
  const restarts: Restart[] = [];
  let waiting: Sent[] = [];
  let lastRestart = -Infinity;

  const collect = (): void => {
    waiting = waiting.filter((sent) => {
      const answer = sent.answerNow();
      if (answer === undefined) return true;
      if (!sent.lost) commands.learn(sent.call, answer.body);
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

const account = accountId('acme');

/** Commands that often hit: they remember versions and handles that were told. */
export class RandomCommands {
  readonly #random: SeededRandom;
  readonly #things: number;
  readonly #versions = new Map<string, number>();
  readonly #handles = new Map<string, number>();
  #count = 0;

  constructor(random: SeededRandom, things: number) {
    this.#random = random;
    this.#things = things;
  }

  learn(call: Command, { KV, Rev, Lock }: Body): void {
    for (const { Key, Version } of KV ?? []) this.#versions.set(Key!, Version!);
    if (call.kind === 'batch')
      for (const { key } of call.set ?? []) if (Rev !== undefined) this.#versions.set(key, Rev);
    if ((call.kind === 'batch' || call.kind === 'mutex.lock') && call.lock && Lock !== undefined) {
      this.#handles.set(call.lock.id, Lock);
    }
  }

  next(): Command {
    this.#count += 1;
    const batch = { kind: 'batch', account } as const;
    const key = this.#name('k');
    const id = this.#name('l');
    const mutex = this.#name('m');
    const rest = { ...batch, format: 'batch' } as const;
    switch (this.#random.below(20)) {
      case 0:
        return { ...batch, format: 'kv.get', get: [key] };
      case 1:
        return { ...batch, format: 'kv.set', set: [{ ...this.#set(key), value: this.#value() }] };
      case 2:
        return {
          ...batch,
          format: 'kv.delete',
          set: [this.#chance(50) ? { key } : { key, version: this.#version(key) }],
        };
      case 3:
        return { ...batch, format: 'counter.add', counter: [{ key: this.#name('c'), op: 'add', n: 1 }] };
      case 4:
        return { ...batch, format: 'counter.get', counter: [{ key: this.#name('c'), op: 'get', n: 0 }] };
      case 5:
        return {
          ...batch,
          format: 'sequence.next',
          sequence: { key: this.#name('s'), op: 'next', n: 1 + this.#random.below(3) },
        };
      case 6:
        return { ...batch, format: 'sequence.get', sequence: { key: this.#name('s'), op: 'get', n: 1 } };
      case 7:
      case 8:
        return { ...batch, format: 'lock.acquire', lock: this.#lock(id) };
      case 9:
      case 10:
        return { ...batch, format: 'lock.release', unlock: this.#unlock(id) };
      case 11:
        return { ...rest, lock: { id, durMs: 3000, waitMs: 0, extend: this.#handle(id) } };
      case 12:
        return { kind: 'lock.inspect', account, id, ...(this.#chance(50) ? { fence: this.#handle(id) } : {}) };
      case 13:
        return { kind: 'kv.list', account, prefix: 'k', limit: 1 + this.#random.below(4) };
      case 14:
        return { kind: 'mutex.lock', account, lock: { id: mutex, durMs: 2000, waitMs: this.#chance(30) ? 500 : 0 } };
      case 15:
        return { kind: 'mutex.unlock', account, unlock: this.#unlock(mutex) };
      case 16:
        return { ...rest, guard: [{ id, handle: this.#handle(id) }], set: [this.#set(key)] };
      default:
        return this.#batch(rest);
    }
  }

  #batch(rest: Pick<Batch, 'kind' | 'account'> & { readonly format: 'batch' }): Batch {
    const some = <Item>(make: () => Item): Item[] => Array.from({ length: 1 + this.#random.below(2) }, make);
    const key = this.#name('k');
    const fingerprint = this.#chance(80) ? 'f' : 'g';
    const mode = this.#chance(50) ? 'replay' : 'refuse';
    const ids = [`i${this.#random.below(this.#things * 4)}`];
    return {
      ...rest,
      ...(this.#chance(15) ? { lock: this.#lock(this.#name('l')) } : {}),
      ...(this.#chance(15) ? { check: [{ key, version: this.#version(key) }] } : {}),
      ...(this.#chance(15) ? { idempotency: { ids, ttlMs: 5000, mode, fingerprint } } : {}),
      ...(this.#chance(40) ? { counter: some(() => this.#atomic()) } : {}),
      ...(this.#chance(60) ? { get: some(() => this.#name('k')) } : {}),
      ...(this.#chance(60) ? { set: some(() => this.#set(this.#name('k'))) } : {}),
    };
  }

  #set(key: string): SetOperation {
    const condition = this.#chance(70) ? {} : { version: this.#version(key) };
    if (this.#chance(15)) return { key, ...condition };
    return { key, ...condition, value: this.#value(), ...(this.#chance(15) ? { ttlMs: 1500 } : {}) };
  }

  #atomic(): CounterOperation {
    const key = this.#name('c');
    const op = (['add', 'add', 'set', 'max', 'min'] as const)[this.#random.below(5)]!;
    return {
      key,
      op,
      n: this.#random.below(20),
      ...(op === 'set' && this.#chance(50) ? { ifEq: this.#random.below(4) } : {}),
    };
  }

  #lock(id: string): LockOperation {
    return {
      id,
      durMs: this.#chance(50) ? 1000 : 15_000,
      waitMs: this.#chance(40) ? 800 : 0,
      ...(this.#chance(30) ? { owner: `o${this.#random.below(3)}` } : {}),
      ...(this.#chance(30) ? { meta: String(this.#count) } : {}),
    };
  }

  #unlock(id: string): { id: string; handle?: number; owner?: string } {
    if (this.#chance(10)) return { id };
    return this.#chance(20) ? { id, owner: `o${this.#random.below(3)}` } : { id, handle: this.#handle(id) };
  }

  /** No two are equal, so that what was read tells who wrote it. */
  #value(): string {
    return JSON.stringify(this.#chance(50) ? `v${this.#count}` : { n: this.#count, list: [1, null] });
  }

  #version(key: string): number {
    return this.#chance(20) ? 0 : (this.#versions.get(key) ?? 0);
  }

  #handle(id: string): number {
    return this.#handles.get(id) ?? 1;
  }

  #name(letter: string): string {
    return `${letter}${this.#random.below(this.#things)}`;
  }

  #chance(percent: number): boolean {
    return this.#random.below(100) < percent;
  }
}
