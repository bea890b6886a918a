/** What a turn may still write: less than everything when the journal or the store lacks space. */
import { failure } from '../protocol/errors.ts';
import type { Journal } from '../protocol/journal.ts';
import { lastRevision, noRevisionsLeft } from '../protocol/last-revision.ts';
import type { ShardState } from './core/state/state.ts';
import type { WritePressure } from './held-writes.ts';

const storeFullMessages = {
  disk_full: 'There is no disk space for the store. Reads, unlocks and deletes are still served.',
  quota_exceeded: 'The store has reached limits.store_bytes_max. Reads, unlocks and deletes are still served.',
  overloaded: 'Writes come faster than they can be stored, for longer than limits.write_wait_ms; try again later.',
} as const;

export type StoreFullCode = keyof typeof storeFullMessages;

/** Only what frees space is let through. */
export function reserveOnly(code: StoreFullCode): NonNullable<ShardState['outOfSpace']> {
  return { space: 'reserve', failure: failure(code, storeFullMessages[code]) };
}

export interface SpaceSources {
  readonly journal: Pick<Journal, 'space'>;
  readonly checkpoints: { full(): StoreFullCode | undefined; pressure(): WritePressure };
  readonly state: Pick<ShardState, 'lastRev'>;
}

export function outOfSpace({ journal, checkpoints, state }: SpaceSources): ShardState['outOfSpace'] {
  const space = journal.space();
  if (space !== 'open') {
    const left = space === 'full' ? 'Only reads are served.' : 'Reads, unlocks and deletes are still served.';
    const message = `There is no room for the journal: no disk space, or no more open files. ${left}`;
    return { space, failure: failure('disk_full', message) };
  }
  if (state.lastRev >= lastRevision) return { space: 'full', failure: noRevisionsLeft };
  const full = checkpoints.full() ?? (checkpoints.pressure() === 'all' ? 'overloaded' : undefined);
  return full === undefined ? undefined : reserveOnly(full);
}
