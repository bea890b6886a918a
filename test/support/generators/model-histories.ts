/** Random histories for the model tests: numbers from fast-check become commands that fit the state of the model. */
import * as fc from 'fast-check';
import { integerMax } from '../../../src/shared/limits.ts';
import type { QueueEntry } from '../contract/queue-state.ts';
import {
  nameOf,
  type ContractState,
  type KvEntry,
  type LockEntry,
  type TaskEntry,
  type NumberEntry,
} from '../contract/state.ts';
import { seededRandom, type SeededRandom } from '../seeded-random.ts';
import { CommandGenerator, type Mix } from './generators.ts';
import { Habits } from './habits.ts';
import type { SameOperation } from '../../../src/protocol/operations/script.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';

export type Step =
  | { readonly kind: 'command'; readonly command: Command }
  | { readonly kind: 'advance'; readonly ms: number }
  | { readonly kind: 'cancel'; readonly pick: number }
  | { readonly kind: 'restart'; readonly how: 'stop' | 'crash'; readonly downMs: number };

/** A random history: shrinking makes it shorter. */
export interface History {
  readonly seed: number;
  readonly steps: number;
}

export const historyOf = (steps: number): fc.Arbitrary<History> =>
  fc.record({ seed: fc.noShrink(fc.nat()), steps: fc.noBias(fc.integer({ min: 1, max: steps })) });

/** The seed that repeats a failure is part of fast-check's message; it is given back in `DRAGONLOCK_SEED`. */
export function seeded(numRuns: number): fc.Parameters<unknown> {
  const seed = Number(process.env['DRAGONLOCK_SEED'] ?? 20_261_120);
  return { seed, numRuns, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: true };
}

const mix: Mix = {
  batch: 42,
  'kv.get': 1,
  'kv.set': 1,
  'kv.delete': 1,
  'kv.clear': 2,
  'kv.list': 3,
  'kv.list after': 2,
  'counter.get': 1,
  'counter.add': 3,
  'counter.reset': 1,
  'counter.list': 1,
  'sequence.get': 1,
  'sequence.next': 3,
  'sequence.reset': 1,
  'limit.take': 9,
  'lock.acquire': 10,
  'lock.release': 10,
  'lock.inspect': 5,
  'lock.list': 2,
  'mutex.lock': 7,
  'mutex.unlock': 6,
  'watch.key': 4,
  'queue.send': 8,
  'queue.take': 9,
  'queue.ack': 5,
  'queue.nack': 4,
  'queue.extend': 2,
  'queue.life': 8,
  'queue.policy': 2,
  'queue.change': 1,
  'queue.redrive': 2,
  'queue.stat': 2,
  'queue.list': 1,
  'queue.peek': 2,
  'task.create': 5,
  'task.batch': 2,
  'task.cancel': 2,
  'task.change': 3,
  'task.get': 2,
  'task.list': 2,
  'flow.set': 2,
  'flow.delete': 1,
  'flow.get': 1,
  'account.usage': 3,
  'script.put': 2,
  'script.delete': 1,
  'script.get': 2,
  'script.list': 1,
};
const chances = {
  lock: 25,
  extend: 13,
  unlock: 15,
  guard: 15,
  check: 20,
  idempotency: 40,
  limit: 10,
  counter: 40,
  get: 40,
  set: 50,
  ops: 30,
};

/** The steps of a history, one at a time, because each depends on what the ones before have come to. */
export function* stepsOf({ seed, steps }: History, state: ContractState, restarts: boolean): Generator<Step> {
  const habits = new ModelHabits(seededRandom(seed), state);
  // What two do that are granted in one step must not depend on which of them was first.
  const generator = new CommandGenerator(habits, mix, { chances, lockedNames: (lock, name) => `${lock}/${name}` });
  for (let i = 0; i < steps; i++) {
    const kind = habits.below(100);
    if (kind < 16) yield { kind: 'advance', ms: habits.one([100, 500, 1000, 1000, 3000, 12_000]) };
    else if (kind < 19) yield { kind: 'cancel', pick: habits.below(1000) };
    else if (kind < 22 && restarts)
      yield { kind: 'restart', how: habits.one(['stop', 'crash']), downMs: habits.one([0, 1000, 20_000]) };
    else yield { kind: 'command', command: generator.next() };
  }
}

/** Knows all that the model does. */
class ModelHabits extends Habits {
  override readonly prefixes = ['', 'p/', 'k', 'x'];
  readonly names = {
    kv: ['k0', 'k1', 'k2', 'p/0', 'p/1'],
    string: ['k0', 't0', 't1'],
    counter: ['c0', 'c1', 'c2'],
    sequence: ['s0', 's1'],
    lock: ['l0', 'l1', 'l2'],
    mutex: ['m0', 'm1'],
    id: ['i0', 'i1', 'i2'],
    limit: ['g0', 'g1', 'g2'],
    queue: ['q0', 'q1'],
    task: ['t0', 't1', 't2'],
    script: ['j0', 'j1'],
  };
  readonly #state: ContractState;
  readonly #receipts: { readonly key: string; readonly id: string; readonly lock: number }[] = [];

  constructor(random: SeededRandom, state: ContractState) {
    super(random);
    this.#state = state;
  }

  knownVersion(key: string): number {
    return (this.#state.get(nameOf('kv', this.account, key)) as KvEntry | undefined)?.version ?? 0;
  }

  override knownTask(id: string): number {
    return (this.#state.get(nameOf('task', this.account, id)) as TaskEntry | undefined)?.version ?? 0;
  }

  /** The holder's, one that has ended, or another's. */
  handle(noun: 'lock' | 'mutex', id: string): number {
    const leaseOf = (name: string): LockEntry | undefined =>
      this.#state.get(nameOf(noun, this.account, name)) as LockEntry | undefined;
    const shares = [...this.#state.keys('share', this.account, `${id}\0`, undefined)];
    if (noun === 'lock' && shares.length > 0 && this.chance(60)) return Number(this.one(shares).split('\0')[1]);
    const how = this.below(100);
    const stale = leaseOf(id)?.ended[this.below(4)];
    const lease = how < 60 ? leaseOf(id)?.lease : how < 85 ? stale : leaseOf(this.name(noun))?.lease;
    return lease?.fence ?? 987_654_321;
  }

  /** Of a message that is out or has been; sometimes with the Lock of another, or one that was purged. */
  override receipt(): { readonly key: string; readonly id: string; readonly lock: number } {
    const key = this.name('queue');
    const entry = this.#state.get(nameOf('queue', this.account, key)) as QueueEntry | undefined;
    const messages = (entry?.messages ?? []).filter(({ lock }) => lock > 0);
    const out = messages.filter(({ state }) => state === 'out');
    const from = out.length > 0 && this.chance(75) ? out : messages;
    const message = from[this.below(Math.max(1, from.length))];
    if (message === undefined || this.chance(5)) return super.receipt();
    this.#receipts.push({ key, id: message.id, lock: message.lock });
    if (this.chance(15)) return this.one(this.#receipts);
    return { key, id: message.id, lock: message.lock + (this.chance(4) ? 1 : 0) };
  }

  value(): string {
    const n = this.below(50);
    return this.chance(70) ? String(n) : this.one([`{"n":${n},"x":{"y":1}}`, `{"x":{"y":1},"n":${n}}`, `[${n}]`]);
  }

  override equals(key: string): string {
    const entry = this.#state.get(nameOf('kv', this.account, key)) as KvEntry | undefined;
    if (entry === undefined || this.chance(20)) return this.value();
    const { value } = entry.value;
    // The same in another order.
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return entry.value.text;
    return JSON.stringify(Object.fromEntries(Object.entries(value).toReversed()));
  }

  override sharing(): ReturnType<Habits['sharing']> {
    if (this.chance(50)) return {};
    const how = this.one([{ read: true }, { read: true }, { limit: 2 }, { limit: 3 }] as const);
    return { ...how, owner: this.one(this.owners) };
  }

  override rowsBelow(prefix: string, limit: number): SameOperation {
    const rows = [...this.#state.keys('kv', this.account, prefix, undefined)].map((key) => {
      return [key, this.knownVersion(key)] as const;
    });
    const last = rows[limit - 1]?.[0];
    return last === undefined ? { prefix, rows } : { prefix, last, rows: rows.slice(0, limit) };
  }

  override ranges(): boolean {
    return this.chance(20);
  }

  override merges(): boolean {
    return this.chance(25);
  }

  override counterTtl(): { ttlMs?: number } {
    return this.chance(20) ? { ttlMs: this.one([1000, 4000]) } : {};
  }

  ttl(): { ttlMs?: number } {
    return this.chance(30) ? { ttlMs: this.one([1000, 4000]) } : {};
  }

  /** Leases end at whole tenths of a second and waits between them, so that the two never meet. */
  durMs(): number {
    return this.one([700, 1500, 5000, 30_000]);
  }

  waitMs(): number {
    return this.one([0, 1050, 4050]);
  }

  override count(): number {
    return this.one([1, 3, integerMax - 2, integerMax - 2]);
  }

  override number(): number {
    return this.chance(8) ? integerMax : this.below(20) - 5;
  }

  override ifEq(key: string): { ifEq?: number } {
    const entry = this.#state.get(nameOf('counter', this.account, key)) as NumberEntry | undefined;
    return this.chance(15) ? { ifEq: this.chance(70) ? (entry?.n ?? 0) : 3 } : {};
  }
}
