/** Idempotency ids: the reply of a batch is stored with it, and answers later requests under the same ids. */
import type { Body } from './expected.ts';
import { refuse, type Moment, type Outcome } from './moment.ts';
import { nameOf, type Change, type StoredEntry } from './state.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';

export const idempotency = {
  /** The reply that was stored under one of the ids, or word of it. */
  early(at: Moment, { account, idempotency: request }: Batch): Outcome | undefined {
    if (request === undefined) return undefined;
    let first: StoredEntry | undefined;
    const known: string[] = [];
    for (const id of request.ids) {
      const name = nameOf('stored', account, id);
      const entry = at.state.get(name) as StoredEntry | undefined;
      if (entry === undefined || at.over(name, entry, entry.till, false)) continue;
      // The ids may have been used in different requests: which one is told of is up to the server.
      if (first === undefined || entry.rev === at.said?.Rev) first = entry;
      known.push(id);
    }
    if (first === undefined) return undefined;
    const { body, rev: Rev } = first;
    // Of several ids it is enough to name one, as one shard does that does not keep the others.
    const told = at.said?.IDs ?? [];
    const IDs = told.length > 0 && told.every((id) => known.includes(id)) ? told : known;
    const Same = first.fingerprint === request.fingerprint;
    if (request.mode === 'refuse') return refuse('duplicate_request', { IDs, Rev, Same, Response: body });
    if (!Same) return refuse('idempotency_mismatch', { IDs, Rev });
    return { status: 200, body, changes: [], replayed: true };
  },

  /** The ids are used in the commit of the batch. */
  stored(at: Moment, { account, idempotency: request }: Batch, body: Body): Change[] {
    if (request === undefined) return [];
    const { ids, fingerprint, ttlMs } = request;
    const entry: StoredEntry = { fingerprint, body: at.said ?? body, rev: at.rev, till: at.now.plus(ttlMs) };
    return ids.map((id) => ({ name: nameOf('stored', account, id), entry }));
  },
};
