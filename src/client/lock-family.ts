/** Requests for durable locks and for mutexes in memory: the same steps, with different calls of the HTTP API. */
import { lockName, mutexName } from './call-names.ts';
import { invalid } from './checks.ts';
import type { Call } from './pending-call.ts';
import { pathOf } from './paths.ts';

export interface AcquireRequest {
  readonly id: string;
  readonly owner: string;
  readonly ttlMs: number;
  readonly meta: unknown;
  /** Of durable locks: with other readers, or one of so many permits. */
  readonly read?: boolean | undefined;
  readonly limit?: number | undefined;
  /** Milliseconds left of the wait. */
  readonly leftMs: () => number;
}

/** `batch`: the text of the batch, if the call can travel in an array. */
export type LockCall = Pick<Call, 'method' | 'path' | 'body'> & { readonly batch?: string };

export interface LockFamily {
  readonly kind: 'lock' | 'mutex';
  namesOf(id: string): readonly string[];
  acquire(request: AcquireRequest): LockCall;
  renew(of: { id: string; fence: number; owner: string; ttlMs: number }): LockCall;
  release(of: { id: string; fence: number }): LockCall;
  releaseByOwner(id: string, owner: string): readonly LockCall[];
}

export function durableLocks(account: string): LockFamily {
  const path = `/db/${account}`;
  const batchCall = (batch: string): LockCall => ({ method: 'POST', path, body: () => batch, batch });
  return {
    kind: 'lock',
    namesOf: (id) => [lockName(id)],
    acquire({ id, owner, ttlMs, meta, leftMs, read, limit }) {
      const body = (): string =>
        JSON.stringify({
          LockID: id,
          LockDur: ttlMs / 1000,
          LockWait: leftMs() / 1000,
          LockOwner: owner,
          LockMeta: meta,
          RLock: read === true ? true : undefined,
          LockLimit: limit,
        });
      return { ...batchCall(body()), body };
    },
    renew: ({ id, fence, ttlMs }) =>
      batchCall(JSON.stringify({ LockID: id, UnlockID: id, Unlock: fence, LockDur: ttlMs / 1000 })),
    release: ({ id, fence }) => batchCall(JSON.stringify({ UnlockID: id, Unlock: fence })),
    releaseByOwner: (id, owner) => [ofOwner(account, id, owner)],
  };
}

function ofOwner(account: string, id: string, owner: string): LockCall {
  return { method: 'DELETE', path: pathOf(account, 'lock', id, { owner }) };
}

/** Several locks under one fence. No array takes such a batch, so it travels alone. */
export function lockSets(account: string, ids: readonly string[]): LockFamily {
  const call = (body: () => object): LockCall => ({
    method: 'POST',
    path: `/db/${account}`,
    body: () => JSON.stringify(body()),
  });
  return {
    kind: 'lock',
    namesOf: () => ids.map(lockName),
    acquire: ({ owner, ttlMs, meta, leftMs }) =>
      call(() => ({
        LockIDs: ids,
        LockDur: ttlMs / 1000,
        LockWait: leftMs() / 1000,
        LockOwner: owner,
        LockMeta: meta,
      })),
    renew: ({ fence, ttlMs }) => call(() => ({ LockIDs: ids, UnlockIDs: ids, Unlock: fence, LockDur: ttlMs / 1000 })),
    release: ({ fence }) => call(() => ({ UnlockIDs: ids, Unlock: fence })),
    releaseByOwner: (_, owner) => ids.map((id) => ofOwner(account, id, owner)),
  };
}

export function mutexes(account: string): LockFamily {
  return {
    kind: 'mutex',
    namesOf: (id) => [mutexName(id)],
    acquire({ id, owner, ttlMs, meta, leftMs }) {
      if (meta !== undefined && typeof meta !== 'string')
        throw invalid(`meta: expected a string for a mutex, got ${typeof meta}`);
      return {
        method: 'POST',
        path: () => pathOf(account, 'mlock', id, { owner, dur: ttlMs / 1000, wait: leftMs() / 1000, meta }),
      };
    },
    renew: ({ id, owner, ttlMs }) => ({
      method: 'POST',
      path: pathOf(account, 'mlock', id, { owner, dur: ttlMs / 1000 }),
    }),
    release: ({ id, fence }) => ({ method: 'POST', path: pathOf(account, 'munlock', id, { lock: fence }) }),
    releaseByOwner: (id, owner) => [{ method: 'POST', path: pathOf(account, 'munlock', id, { owner }) }],
  };
}
