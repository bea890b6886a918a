/** Everything that can be asked, by noun, and batches of anything. */
import { count, counter } from './counter.ts';
import type { Habits } from './habits.ts';
import { once } from './idempotency.ts';
import { change, check, kv } from './kv.ts';
import { limit, takeFrom } from './limit.ts';
import { extend, giveBack, guard, lock, take } from './lock.ts';
import { mutex } from './mutex.ts';
import { queue } from './queue.ts';
import { samePages, script } from './script.ts';
import { sequence } from './sequence.ts';
import { stringOp } from './string-op.ts';
import { task } from './task.ts';
import { usage } from './usage.ts';
import type { Batch, Command } from '../../../src/protocol/operations/operations.ts';

const calls = { ...kv, ...counter, ...sequence, ...lock, ...mutex, ...limit, ...queue, ...task, ...script, ...usage };

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

/** How often a batch has each of its parts, in a hundred. */
export type Chances = Readonly<
  Record<
    'lock' | 'extend' | 'unlock' | 'guard' | 'check' | 'idempotency' | 'limit' | 'counter' | 'get' | 'set' | 'ops',
    number
  >
>;

/** Shares of a mix: each call is made so often, and a batch of anything so often. */
export type Mix = Readonly<Partial<Record<keyof typeof calls | 'batch', number>>>;

export class CommandGenerator {
  readonly #habits: Habits;
  readonly #chances: Chances;
  readonly #deck: readonly (keyof Mix)[];
  readonly #lockedNames: (lock: string, name: string) => string;

  /** @param lockedNames which name stands for this one in a batch that waits for this lock */
  constructor(
    habits: Habits,
    mix: Mix,
    {
      chances,
      lockedNames = (_, name) => name,
    }: { chances: Chances; lockedNames?: (lock: string, name: string) => string },
  ) {
    this.#habits = habits;
    this.#chances = chances;
    this.#deck = Object.entries(mix).flatMap(([name, share]) => Array.from({ length: share }, () => name as keyof Mix));
    this.#lockedNames = lockedNames;
  }

  next(): Command {
    const name = this.#habits.one(this.#deck);
    return name === 'batch' ? this.batch() : calls[name](this.#habits);
  }

  /** Never empty, which would be malformed. */
  batch(): Batch {
    const h = this.#habits;
    const chance = (part: keyof Chances): boolean => h.chance(this.#chances[part]);
    const batch: Mutable<Batch> = { kind: 'batch', account: h.account, format: 'batch' };
    const empty = Object.keys(batch).length;
    if (chance('lock')) batch.lock = take(h);
    else if (chance('extend')) batch.lock = extend(h);
    if (batch.lock?.extend === undefined && chance('unlock')) {
      const unlock = giveBack(h, 'lock');
      if (unlock.id !== batch.lock?.id) batch.unlock = unlock;
    }
    if (chance('guard')) batch.guard = guard(h, 2);
    if (chance('check')) batch.check = check(h, 2);
    const { lock: wanted } = batch;
    const own = (name: string): string =>
      wanted === undefined || wanted.waitMs === 0 ? name : this.#lockedNames(wanted.id, name);
    if (chance('limit')) batch.limit = h.some('limit', 2).map((key) => takeFrom(h, own(key)));
    if (chance('counter')) batch.counter = h.some('counter', 3).map((key) => count(h, own(key)));
    if (chance('get')) batch.get = h.some('kv', 3).map(own);
    if (chance('ops')) batch.ops = h.some('string', 4).map((key) => stringOp(h, own(key)));
    if (batch.get !== undefined && wanted === undefined && h.ranges())
      batch.range = { prefix: h.one(h.prefixes), limit: 1 + h.below(h.limitMax), place: h.below(batch.get.length + 1) };
    else if (wanted === undefined && h.ranges()) batch.same = samePages(h);
    if (chance('set') || Object.keys(batch).length === empty) {
      batch.set = h.some('kv', 3).map((key) => change(h, own(key)));
    }
    if (chance('idempotency')) batch.idempotency = once(h, 2);
    return batch;
  }
}
