/** Random histories for the model tests: numbers from fast-check become commands that fit the state of the model. */
import * as fc from 'fast-check';
import type {
  CounterOperation,
  Batch,
  Command,
  LockOperation,
  SetOperation,
  UnlockOperation,
} from '../../src/protocol/commands.ts';
import { integerMax } from '../../src/shared/limits.ts';
import { acme } from './commands.ts';
import type { ContractState } from './contract/state.ts';
import { nameOf, type KvEntry, type LockEntry, type NumberEntry } from './contract/state.ts';
import { seededRandom, type SeededRandom } from './seeded-random.ts';

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

const lockIds = ['l0', 'l1', 'l2'];
const mutexIds = ['m0', 'm1'];
const keyNames = ['k0', 'k1', 'k2', 'p/0', 'p/1'];
const counterNames = ['c0', 'c1', 'c2'];
const sequenceNames = ['s0', 's1'];
const requestIds = ['i0', 'i1', 'i2'];
const owners = ['o0', 'o0', 'o0', 'o1'];

/** The steps of a history, one at a time, because each depends on what the ones before have come to. */
export function* stepsOf({ seed, steps }: History, state: ContractState, restarts: boolean): Generator<Step> {
  const dice = new Dice(seededRandom(seed));
  for (let i = 0; i < steps; i++) yield stepOf(dice, state, restarts);
}

function stepOf(dice: Dice, state: ContractState, restarts: boolean): Step {
  const kind = dice.below(100);
  if (kind < 16) return { kind: 'advance', ms: dice.one([100, 500, 1000, 1000, 3000, 12_000]) };
  if (kind < 19) return { kind: 'cancel', pick: dice.below(1000) };
  if (kind < 22 && restarts) {
    return { kind: 'restart', how: dice.one(['stop', 'crash']), downMs: dice.one([0, 1000, 20_000]) };
  }
  return { kind: 'command', command: commandOf(dice, state) };
}

class Dice {
  readonly #random: SeededRandom;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  below(bound: number): number {
    return this.#random.below(bound);
  }

  one<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)]!;
  }

  /** True in so many of a hundred cases. */
  percent(chance: number): boolean {
    return this.below(100) < chance;
  }

  some<Item>(most: number, make: () => Item): Item[] {
    return Array.from({ length: 1 + this.below(most) }, make);
  }
}

function commandOf(dice: Dice, state: ContractState): Command {
  const kind = dice.below(100);
  if (kind < 40) return batchOf(dice, state);
  if (kind < 52) return restBatchOf(dice, state);
  if (kind < 62)
    return { kind: 'batch', account: acme, format: 'lock.acquire', lock: lockAsk(dice, dice.one(lockIds)) };
  if (kind < 72) {
    return {
      kind: 'batch',
      account: acme,
      format: 'lock.release',
      unlock: unlockAsk(dice, dice.one(lockIds), 'lock', state),
    };
  }
  if (kind < 79) return { kind: 'mutex.lock', account: acme, lock: lockAsk(dice, dice.one(mutexIds)) };
  if (kind < 85)
    return { kind: 'mutex.unlock', account: acme, unlock: unlockAsk(dice, dice.one(mutexIds), 'mutex', state) };
  if (kind < 89) {
    const after = dice.percent(40) ? { after: dice.one(keyNames) } : {};
    return {
      kind: 'kv.list',
      account: acme,
      prefix: dice.one(['', 'p/', 'k', 'x']),
      ...after,
      limit: 1 + dice.below(6),
    };
  }
  if (kind < 91) return { kind: 'lock.list', account: acme, prefix: dice.one(['', 'l', 'x']), limit: 100 };
  if (kind < 96) {
    const id = dice.one(lockIds);
    const fence = dice.percent(50) ? { fence: handleOf(dice, id, 'lock', state) } : {};
    return { kind: 'lock.inspect', account: acme, id, ...fence };
  }
  const key = dice.one(keyNames);
  return { kind: 'watch.key', account: acme, key, version: versionOf(dice, key, state) ?? 0 };
}

function batchOf(dice: Dice, state: ContractState): Batch {
  const batch: { -readonly [Name in keyof Batch]: Batch[Name] } = { kind: 'batch', account: acme, format: 'batch' };
  const id = dice.one(lockIds);
  const how = dice.below(100);
  if (how < 25) batch.lock = lockAsk(dice, id);
  else if (how < 35) {
    batch.lock = { id, durMs: durOf(dice), waitMs: 0, extend: handleOf(dice, id, 'lock', state) };
  }
  if (batch.lock?.extend === undefined && dice.percent(15)) {
    const other = dice.one(lockIds);
    if (other !== batch.lock?.id) batch.unlock = unlockAsk(dice, other, 'lock', state);
  }
  if (dice.percent(15)) {
    batch.guard = dice.some(2, () => {
      const guarded = dice.one(lockIds);
      return { id: guarded, handle: handleOf(dice, guarded, 'lock', state) };
    });
  }
  if (dice.percent(20)) {
    batch.check = dice.some(2, () => {
      const key = dice.one(keyNames);
      return { key, version: versionOf(dice, key, state) ?? 0 };
    });
  }
  if (dice.percent(35)) {
    batch.idempotency = {
      ids: [...new Set(dice.some(2, () => dice.one(requestIds)))],
      ttlMs: dice.one([2000, 30_000]),
      mode: dice.one(['refuse', 'replay']),
      fingerprint: dice.one(['f', 'f', 'f', 'g']),
    };
  }
  // Whoever is granted in the same step as another must not depend on which of them was first.
  const waits = (batch.lock?.waitMs ?? 0) > 0;
  const own = (name: string): string => (waits ? `${id}/${name}` : name);
  if (dice.percent(40)) batch.counter = dice.some(3, () => atomicAsk(dice, own(dice.one(counterNames)), state));
  if (dice.percent(40)) batch.get = dice.some(3, () => own(dice.one(keyNames)));
  if (dice.percent(50) || Object.keys(batch).length === 3) {
    batch.set = dice.some(3, () => setAsk(dice, own(dice.one(keyNames)), state));
  }
  return batch;
}

function restBatchOf(dice: Dice, state: ContractState): Batch {
  const batch = { kind: 'batch', account: acme } as const;
  const key = dice.one(keyNames);
  const counter = dice.one(counterNames);
  const sequence = dice.one(sequenceNames);
  switch (dice.below(10)) {
    case 0:
      return { ...batch, format: 'kv.get', get: [key] };
    case 1:
      return { ...batch, format: 'kv.set', set: [{ ...setAsk(dice, key, state), value: '7' }] };
    case 2: {
      const version = versionOf(dice, key, state);
      return { ...batch, format: 'kv.delete', set: [version === undefined ? { key } : { key, version }] };
    }
    case 3:
      return { ...batch, format: 'counter.get', counter: [{ key: counter, op: 'get', n: 0 }] };
    case 4:
      return { ...batch, format: 'counter.add', counter: [{ key: counter, op: 'add', n: 1 }] };
    case 5:
      return { ...batch, format: 'counter.reset', counter: [{ key: counter, op: 'reset', n: 0 }] };
    case 6:
      return {
        ...batch,
        format: dice.one(['sequence.get', 'sequence.get']),
        sequence: { key: sequence, op: 'get', n: 1 },
      };
    default: {
      if (dice.percent(20))
        return { ...batch, format: 'sequence.reset', sequence: { key: sequence, op: 'reset', n: 1 } };
      const n = dice.one([1, 3, integerMax - 2, integerMax - 2]);
      return { ...batch, format: 'sequence.next', sequence: { key: sequence, op: 'next', n } };
    }
  }
}

/** Leases end at whole tenths of a second and waits between them, so that the two never meet. */
function durOf(dice: Dice): number {
  return dice.one([700, 1500, 5000, 30_000]);
}

function lockAsk(dice: Dice, id: string): LockOperation {
  return {
    id,
    durMs: durOf(dice),
    waitMs: dice.one([0, 1050, 4050]),
    ...(dice.percent(60) ? { owner: dice.one(owners) } : {}),
    ...(dice.percent(30) ? { meta: String(dice.below(5)) } : {}),
  };
}

function unlockAsk(dice: Dice, id: string, kind: 'lock' | 'mutex', state: ContractState): UnlockOperation {
  const how = dice.below(100);
  if (how < 10) return { id };
  if (how < 30) return { id, owner: dice.one(owners) };
  return { id, handle: handleOf(dice, id, kind, state) };
}

function handleOf(dice: Dice, id: string, kind: 'lock' | 'mutex', state: ContractState): number {
  const how = dice.below(100);
  const lockAt = (name: string): LockEntry | undefined => state.get(nameOf(kind, acme, name)) as LockEntry | undefined;
  const lock = lockAt(id);
  const other = lockAt(dice.one([...state.keys(kind, acme, '', undefined), id]))?.lease?.handle;
  const stale = lock?.ended[dice.below(4)]?.handle;
  return (how < 60 ? lock?.lease?.handle : how < 85 ? stale : other) ?? 987_654_321;
}

function versionOf(dice: Dice, key: string, state: ContractState): number | undefined {
  const how = dice.below(100);
  if (how < 30) return undefined;
  if (how < 45) return 0;
  return ((state.get(nameOf('kv', acme, key)) as KvEntry | undefined)?.version ?? 0) + (how < 90 ? 0 : 1);
}

function setAsk(dice: Dice, key: string, state: ContractState): SetOperation {
  const version = versionOf(dice, key, state);
  const condition = version === undefined || dice.percent(40) ? {} : { version };
  if (dice.percent(25)) return { key, ...condition };
  const ttl = dice.percent(30) ? { ttlMs: dice.one([1000, 4000]) } : {};
  return { key, value: String(dice.below(50)), ...condition, ...ttl };
}

function atomicAsk(dice: Dice, key: string, state: ContractState): CounterOperation {
  const op = dice.one(['add', 'add', 'set', 'max', 'min'] as const);
  const n = dice.percent(8) ? integerMax : dice.below(20) - 5;
  if (op !== 'set' || dice.percent(40)) return { key, op, n };
  return {
    key,
    op,
    n,
    ifEq: dice.percent(70) ? ((state.get(nameOf('counter', acme, key)) as NumberEntry | undefined)?.n ?? 0) : 3,
  };
}
