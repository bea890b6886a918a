/** Single things for `linearizability.ts`: a key with versions, a counter, a sequence, a lock with fencing tokens. */
import type { SequentialModel } from './linearizability.ts';

/** `version`: the condition of a set, 0 for "only if there is none". Values are texts. */
export type RegisterInput =
  | { readonly op: 'get' }
  | { readonly op: 'set'; readonly value: string; readonly version?: number }
  | { readonly op: 'delete'; readonly version?: number };

/** What a get showed, the version that a set was given, or the version that stood in the way of a condition. */
export type RegisterOutput =
  | { readonly version: number; readonly value?: string }
  | { readonly mismatch: number }
  /** Of a delete. */
  | { readonly deleted: boolean };

interface Register {
  /** 0: there is none. Undefined: one that nobody was told. */
  readonly version: number | undefined;
  readonly value: string | undefined;
  /** Versions never come again. */
  readonly highest: number;
}

export const registerModel: SequentialModel<Register, RegisterInput, RegisterOutput> = {
  init: { version: 0, value: undefined, highest: 0 },
  hash: ({ version, value, highest }) => `${version} ${highest} ${value}`,
  step: (state, input, output) => {
    if (input.op === 'get') {
      if (output === undefined) return state;
      return 'version' in output && output.value === state.value ? named(state, output.version) : undefined;
    }
    if (output !== undefined && 'mismatch' in output) {
      return input.version === undefined || input.version === output.mismatch
        ? undefined
        : named(state, output.mismatch);
    }
    const before = input.version === undefined ? state : named(state, input.version);
    // A condition that does not hold: without an answer it may have failed, which changes nothing.
    if (before === undefined) return output === undefined ? state : undefined;
    if (input.op === 'delete') {
      if (output !== undefined && (!('deleted' in output) || output.deleted !== (before.value !== undefined)))
        return undefined;
      return { ...before, version: 0, value: undefined };
    }
    if (output === undefined) return { version: undefined, value: input.value, highest: before.highest };
    if (!('version' in output) || output.version <= before.highest) return undefined;
    return { version: output.version, value: input.value, highest: output.version };
  },
};

/** The same state, if it can have this version: one that nobody was told yet is learned. */
function named(state: Register, version: number): Register | undefined {
  if (state.version === version) return state;
  if (state.version !== undefined || version <= state.highest) return undefined;
  return { ...state, version, highest: version };
}

export type CounterInput =
  | { readonly op: 'get' | 'reset' }
  | { readonly op: 'add'; readonly n: number; readonly floor?: number; readonly ceil?: number }
  | { readonly op: 'max' | 'min'; readonly n: number }
  | { readonly op: 'set'; readonly n: number; readonly ifEq?: number };

/** `old` is told of writes. `isnt`: IfEq or a bound failed, and what the counter is. */
export type CounterOutput = { readonly value: number; readonly old?: number } | { readonly isnt: number };

export const counterModel: SequentialModel<number, CounterInput, CounterOutput> = {
  init: 0,
  hash: String,
  step: (state, input, output) => {
    const fails = isRefused(state, input);
    if (output !== undefined && 'isnt' in output) return fails && output.isnt === state ? state : undefined;
    if (fails) return output === undefined ? state : undefined;
    const value = count(state, input);
    if (output === undefined) return value;
    if (output.old !== undefined && output.old !== state) return undefined;
    return output.value === value ? value : undefined;
  },
};

function isRefused(state: number, input: CounterInput): boolean {
  if (input.op === 'set') return input.ifEq !== undefined && input.ifEq !== state;
  if (input.op !== 'add') return false;
  const { n, floor = -Infinity, ceil = Infinity } = input;
  return state + n < Math.min(state, floor) || state + n > Math.max(state, ceil);
}

function count(state: number, input: CounterInput): number {
  switch (input.op) {
    case 'get':
      return state;
    case 'reset':
      return 0;
    case 'add':
      return state + input.n;
    case 'max':
      return Math.max(state, input.n);
    case 'min':
      return Math.min(state, input.n);
    default:
      return input.n;
  }
}

export interface SequenceInput {
  readonly op: 'next' | 'get' | 'reset';
  readonly n?: number;
}

export interface SequenceOutput {
  readonly from?: number;
  readonly to: number;
}

export const sequenceModel: SequentialModel<number, SequenceInput, SequenceOutput> = {
  init: 0,
  hash: String,
  step: (last, { op, n = 1 }, output) => {
    const to = op === 'next' ? last + n : op === 'reset' ? 0 : last;
    if (output === undefined) return to;
    if (op === 'next' && output.from !== undefined && output.from !== last + 1) return undefined;
    return op === 'reset' || output.to === to ? to : undefined;
  },
};

export type LockInput =
  | { readonly op: 'acquire'; readonly durMs: number; readonly owner?: string }
  | { readonly op: 'extend'; readonly fence: number; readonly durMs: number }
  | { readonly op: 'release'; readonly fence?: number; readonly owner?: string }
  | { readonly op: 'force' };

/** A fence and until when; or that it was refused: busy, or lost. */
export type LockOutput = { readonly fence: number; readonly till: number } | { readonly ok: boolean };

interface Lock {
  readonly held: boolean;
  /** Undefined: nobody was told. */
  readonly fence: number | undefined;
  readonly owner: string | undefined;
  /** It cannot end by itself before, nor last longer. */
  readonly lo: number;
  readonly hi: number;
  readonly highest: number;
  readonly released: readonly Released[];
}

interface Released {
  /** A handle or an owner. */
  readonly by: number | string;
  /** It was not released before. */
  readonly from: number;
}

/**
 * A lock that may end at its time, on clocks that differ by no more than this. A release that was answered well may be
 * the same one again, and is so for as long as the lock remembers the first. Not for histories with restarts, which
 * lengthen leases.
 */
export function lockModel(toleranceMs: number, rememberedMs: number): SequentialModel<Lock, LockInput, LockOutput> {
  return {
    init: { held: false, fence: undefined, owner: undefined, lo: 0, hi: 0, highest: 0, released: [] },
    hash: (lock) => JSON.stringify(lock),
    step: (lock, input, output, { sentAt, answeredAt = Infinity }) => {
      const mayBeOver = !lock.held || lock.lo <= answeredAt + toleranceMs;
      const mayBeHeld = lock.held && lock.hi > sentAt - toleranceMs;
      if (input.op === 'force') return { ...lock, held: false };
      const refused = output !== undefined && 'ok' in output && !output.ok;
      const own = mayBeHeld && isOwn(lock, input);
      if (input.op === 'release') {
        const again = lock.released.findLast(({ by }) => by === (input.fence ?? input.owner));
        const isKnown = again !== undefined && answeredAt + toleranceMs < again.from + rememberedMs;
        if (refused) return (own && !mayBeOver) || isKnown ? undefined : lock;
        if (own) {
          const by = [lock.fence ?? input.fence, lock.owner].filter((name) => name !== undefined);
          const released = by.map((name) => ({ by: name, from: sentAt }));
          return { ...lock, held: false, released: [...lock.released.slice(-14), ...released] };
        }
        return output === undefined || again !== undefined ? lock : undefined;
      }
      if (refused) {
        const could = input.op === 'extend' ? !own || mayBeOver : mayBeHeld && !own;
        return could ? lock : undefined;
      }
      const given = output !== undefined && 'fence' in output ? output : undefined;
      // What nobody was told of may be given back as soon as the client is gone.
      const lease = { held: true, lo: given?.till ?? 0, hi: given?.till ?? Infinity };
      if (own && (given === undefined || lock.fence === undefined || given.fence === lock.fence)) {
        return { ...lock, ...lease, fence: given?.fence ?? lock.fence };
      }
      if (input.op === 'extend' || !mayBeOver) return output === undefined ? lock : undefined;
      if (given !== undefined && given.fence <= lock.highest) return undefined;
      // This lease of the owner may end otherwise than the one that it has released.
      const released = lock.released.filter(({ by }) => by !== input.owner);
      const { owner } = input;
      return { ...lock, ...lease, fence: given?.fence, owner, highest: given?.fence ?? lock.highest, released };
    },
  };
}

function isOwn(lock: Lock, input: Exclude<LockInput, { readonly op: 'force' }>): boolean {
  if (input.op === 'acquire') return input.owner !== undefined && input.owner === lock.owner;
  if (input.op === 'release' && input.fence === undefined) return input.owner === lock.owner;
  return lock.fence === undefined ? lock.owner === undefined : lock.fence === input.fence;
}
