/** How crash tests reach each failpoint: a new one needs a line here. */
import type { Failpoint } from '../../src/shared/failpoints.ts';

export interface WayToFailpoint {
  /** How often it is passed before it ends the process: the last time counts. */
  readonly passes: number;
  readonly shards: number;
  /** It is passed before the server serves. `perhaps`: if work is left from the run before. */
  readonly starting?: true | 'perhaps';
  readonly padBytes?: number;
  readonly keepBytes?: number;
}

const big = 12_000;
export const waysToFailpoints: Readonly<Record<Failpoint, WayToFailpoint>> = {
  'journal.before-write': { passes: 40, shards: 3 },
  'journal.written': { passes: 40, shards: 1 },
  'journal.synced': { passes: 40, shards: 3 },
  'journal.segment-prepared': { passes: 1, shards: 3, padBytes: big },
  'journal.segment-renamed': { passes: 1, shards: 1, padBytes: big },
  'journal.segment-trimmed': { passes: 1, shards: 3, padBytes: big, keepBytes: 5 << 20, starting: 'perhaps' },
  'checkpoint.before-commit': { passes: 2, shards: 3, padBytes: big, starting: 'perhaps' },
  'checkpoint.committed': { passes: 2, shards: 3, padBytes: big, starting: 'perhaps' },
  'recovery.tail-copied': { passes: 1, shards: 3, starting: true },
  'repartition.copied': { passes: 1, shards: 1, starting: true },
  'repartition.switched': { passes: 1, shards: 2, starting: true },
  'transaction.committed': { passes: 25, shards: 3 },
  'transaction.applied': { passes: 25, shards: 3 },
};
