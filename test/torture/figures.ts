/**
 * The figures to reach: how much of each kind of torture must have passed before we believe it. Steps say which of
 * their counts go towards which figure (see steps.ts); `npm run torture -- --figures` runs them until all are reached.
 */
import { failpoints } from '../../src/shared/failpoints.ts';
import { seededBugs } from '../seeded-bugs/bugs.ts';

export interface Target {
  readonly target: number;
  /** What one is, where the name does not say it. */
  readonly unit?: string;
}

export const figures = {
  'simulator seeds': { target: 5000, unit: 'a run of the whole server, with faults' },
  'simulated crash points': { target: 200_000, unit: 'a disk call at which a simulated server ends' },
  'simulated disk errors': { target: 20_000, unit: 'a disk call that fails, with the code of an error' },
  'kill -9 rounds': { target: 300, unit: 'a kill under load with something to lose' },
  'failpoint kills': { target: 20 * failpoints.length, unit: `20 at each of ${failpoints.length} failpoints` },
  'EIO at the K-th fdatasync': { target: 200, unit: 'each K of 1 to 100, with one shard and with three' },
  'torn tails': { target: 5 * 65_536, unit: 'a byte of the last 64 KiB of 5 logs' },
  'bit flips': { target: 20_000, unit: 'a bit of a log, none lost in silence' },
  salvages: { target: 20_000, unit: 'a log with damage and checkpoints, salvaged, and its history read' },
  'witness-checked operations': { target: 5_000_000 },
  'searched histories': { target: 1000, unit: 'a history searched for a linearization' },
  'fuzz inputs: http': { target: 1_000_000, unit: 'a request that a server took, or refused with its connection' },
  'fuzz inputs: bodies': { target: 1_000_000, unit: 'a JSON body' },
  'fuzz inputs: decoders': { target: 1_000_000, unit: 'a frame, window, header or record' },
  'fuzz inputs: recovery': { target: 1_000_000, unit: 'a journal that was tampered with' },
  'fuzz inputs: lane': { target: 10_000_000, unit: 'a connection, read by the fast lane and by Node’s parser' },
  'slow clients': { target: 3000, unit: 'a connection that does not read, or sends slowly, until it is ended' },
  'seeded bugs caught': { target: seededBugs.length },
} as const satisfies Readonly<Record<string, Target>>;

export type Figure = keyof typeof figures;
