/** Leaders are holders of a lock: who gets it leads, and who gives it back resigns. */
import { NotLockedError } from './errors.ts';
import type { Lock, LockOptions } from './lock.ts';
import { waitMsMax } from '../shared/limits.ts';

/** Options of `client.elect`. */
export type ElectOptions = Omit<LockOptions, 'wait' | 'read'>;

/** Who leads. */
export interface Leader {
  /** What it has passed as `meta`. */
  readonly meta: unknown;
  /** Since when: milliseconds since the epoch, by the server's clock. */
  readonly since: number;
}

interface Candidate {
  lock(id: string, options: LockOptions): Promise<Lock>;
}

/** Stands for election until it leads, however long that takes. */
export async function campaign(client: Candidate, name: string, options: ElectOptions): Promise<Lock> {
  for (;;) {
    try {
      return await client.lock(name, { ...options, wait: waitMsMax });
    } catch (error) {
      if (!(error instanceof NotLockedError) || error.details['Why'] !== undefined) throw error;
    }
  }
}
