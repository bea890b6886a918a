/** Makes commands as the HTTP front end would, and fills in what tests seldom care about. */
import { accountId } from '../../src/protocol/ids.ts';
import type { Batch } from '../../src/protocol/operations/operations.ts';
import type { IdempotencyRequest } from '../../src/protocol/operations/idempotency.ts';
import type { KvList } from '../../src/protocol/operations/kv-pages.ts';
import type { LockOperation, LockInspect, LockList, UnlockOperation } from '../../src/protocol/operations/lock.ts';
import type { MutexLock, MutexUnlock } from '../../src/protocol/operations/mutex.ts';
import type { WatchKey } from '../../src/protocol/operations/watch.ts';

export const acme = accountId('acme');

export function batch(parts: Partial<Omit<Batch, 'kind'>>): Batch {
  return { kind: 'batch', account: acme, format: 'batch', ...parts };
}

/** Takes a lock for ten seconds; `waitMs` 0 is a try. */
export function lock(id: string, ask: Partial<LockOperation> = {}, more: Partial<Omit<Batch, 'kind'>> = {}): Batch {
  return batch({ lock: { id, durMs: 10_000, waitMs: 0, ...ask }, ...more });
}

export function unlock(id: string, how: Omit<UnlockOperation, 'id'> = {}): Batch {
  return batch({ format: 'lock.release', unlock: { id, ...how } });
}

export function extend(id: string, fence: number, durMs = 10_000): Batch {
  return lock(id, { extend: fence, durMs });
}

export function set(key: string, value: unknown, more: { version?: number; ttlMs?: number } = {}): Batch {
  return batch({ set: [{ key, value: JSON.stringify(value), ...more }] });
}

export function remove(key: string, version?: number): Batch {
  return batch({ set: [version === undefined ? { key } : { key, version }] });
}

export function get(...keys: string[]): Batch {
  return batch({ get: keys });
}

export function once(
  ids: string | string[],
  more: Partial<IdempotencyRequest> = {},
): { idempotency: IdempotencyRequest } {
  const list = typeof ids === 'string' ? [ids] : ids;
  return { idempotency: { ids: list, ttlMs: 60_000, mode: 'refuse', fingerprint: 'f', ...more } };
}

export function next(key: string, n = 1): Batch {
  return batch({ format: 'sequence.next', sequence: { key, op: 'next', n } });
}

export function kvList(prefix: string, more: Partial<KvList> = {}): KvList {
  return { kind: 'kv.list', account: acme, prefix, limit: 100, ...more };
}

export function lockList(prefix: string, more: Partial<LockList> = {}): LockList {
  return { kind: 'lock.list', account: acme, prefix, limit: 100, ...more };
}

export function inspect(id: string, fence?: number): LockInspect {
  return { kind: 'lock.inspect', account: acme, id, ...(fence === undefined ? {} : { fence }) };
}

export function mlock(id: string, ask: Partial<LockOperation> = {}): MutexLock {
  return { kind: 'mutex.lock', account: acme, lock: { id, durMs: 10_000, waitMs: 0, ...ask } };
}

export function munlock(id: string, how: Omit<UnlockOperation, 'id'> = {}): MutexUnlock {
  return { kind: 'mutex.unlock', account: acme, unlock: { id, ...how } };
}

export function watch(key: string, version: number): WatchKey {
  return { kind: 'watch.key', account: acme, key, version };
}
