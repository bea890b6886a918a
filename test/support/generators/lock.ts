/** Locks: taken, extended, given back, exchanged, guarded by, looked at. */
import type { Habits } from './habits.ts';
import type { Batch, Command } from '../../../src/protocol/operations/operations.ts';
import type { LockOperation, UnlockOperation } from '../../../src/protocol/operations/lock.ts';

export function take(h: Habits): LockOperation {
  return { ...takeAlone(h), ...h.sharing() };
}

export function takeAlone(h: Habits): LockOperation {
  const client = { ...h.owner(), ...h.meta() };
  const waitMs = h.waitMs();
  return { id: h.name('lock'), durMs: h.durMs(), waitMs, ...client };
}

export function extend(h: Habits): LockOperation {
  const { id, fence } = h.held('lock');
  return { id, durMs: h.durMs(), waitMs: 0, extend: fence };
}

export function giveBack(h: Habits, noun: 'lock' | 'mutex'): UnlockOperation {
  const { id, fence } = h.held(noun);
  return { id, ...h.proof(noun, fence) };
}

export function guard(h: Habits, most = 1): NonNullable<Batch['guard']> {
  return Array.from({ length: most === 1 ? 1 : 1 + h.below(most) }, () => h.held('lock'));
}

/** The front end takes the same id twice for an extension: the two locks are different ones. */
export function exchange(h: Habits): { readonly lock: LockOperation; readonly unlock: UnlockOperation } {
  const unlock = h.held('lock');
  return { lock: { ...take(h), id: h.names.lock.find((id) => id !== unlock.id)! }, unlock };
}

export const lock = {
  'lock.acquire': (h: Habits): Command => ({
    kind: 'batch',
    account: h.account,
    format: 'lock.acquire',
    lock: take(h),
  }),
  'lock.release': (h: Habits): Command => ({
    kind: 'batch',
    account: h.account,
    format: 'lock.release',
    unlock: giveBack(h, 'lock'),
  }),
  'lock.inspect': (h: Habits): Command => {
    const { id, fence } = h.held('lock');
    return { kind: 'lock.inspect', account: h.account, id, ...(h.below(2) === 0 ? { fence: fence } : {}) };
  },
  'lock.list': (h: Habits): Command => ({ kind: 'lock.list', account: h.account, prefix: '', limit: 10 }),
};
