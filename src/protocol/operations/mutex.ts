/** Mutexes: locks that live in memory only. */
import type { AccountId } from '../ids.ts';
import { call } from './call.ts';
import type { CommandSpec } from './command.ts';
import {
  lockGiven,
  lockParameters,
  noWayToUnlock,
  ownerNames,
  unlockGiven,
  unlockParameters,
  unlockScope,
  waysToUnlock,
  type LockOperation,
  type UnlockOperation,
} from './lock.ts';

export interface MutexLock {
  readonly kind: 'mutex.lock';
  readonly account: AccountId;
  readonly lock: LockOperation;
}

export interface MutexUnlock {
  readonly kind: 'mutex.unlock';
  readonly account: AccountId;
  readonly unlock: UnlockOperation;
}

export const mutexLock = {
  scope: () => 'write',
  keys: ({ lock }) => [lock.id],
  apart: true,
  waits: ({ lock }) => lock.waitMs > 0,
} as const satisfies CommandSpec<MutexLock>;

export const mutexUnlock = {
  scope: ({ unlock }) => unlockScope(unlock),
  keys: ({ unlock }) => [unlock.id],
  apart: true,
} as const satisfies CommandSpec<MutexUnlock>;

export const mutexCalls = {
  'mutex.lock': call({
    method: 'POST',
    path: 'mlock/*',
    summary: 'Take a lock in memory',
    query: lockParameters,
    onlyOneOf: ownerNames,
    command: (given) => ({ kind: 'mutex.lock', account: given.account, lock: lockGiven(given) }) as const,
  }),
  'mutex.unlock': call({
    method: 'POST',
    path: 'munlock/*',
    summary: 'Give a lock in memory back',
    query: unlockParameters,
    onlyOneOf: waysToUnlock,
    withoutAny: noWayToUnlock,
    command: (given) => ({ kind: 'mutex.unlock', account: given.account, unlock: unlockGiven(given) }) as const,
  }),
} as const;
