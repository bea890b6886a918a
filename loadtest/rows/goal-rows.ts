/** The rows that have goals, and the peers beside them. */
import { advisoryLockScript, updateScript } from '../load/pgbench.ts';
import type { Workload } from '../load/workloads.ts';
import type { Sample } from '../results.ts';
import { etcd, nats, ours, oursTitle, postgres, redis, redisDialogue } from './contestants.ts';
import type { Goal, Row } from './row.ts';

const accounts = 1000;

/** As many keys on every server; fewer of the large ones, so that they fit into memory everywhere. */
function writes(bytes: number): Extract<Workload, { kind: 'kv.write' }> {
  return { kind: 'kv.write', accounts, keys: bytes > 5000 ? 5 : 100, bytes };
}

function keysOf({ accounts, keys }: { accounts: number; keys: number }): number {
  return accounts * keys;
}

function kvRow(bytes: number, size: string, connections: number, goals: readonly Goal[]): Row {
  const workload = writes(bytes);
  const load = { connections, workload };
  return {
    name: `kv-${size}-${connections}`,
    title: `durable write of ${size}, one a request, ${connections} connections`,
    group: 'goals',
    unit: 'writes/s',
    better: 'more',
    goals,
    contestants: [
      ours(load),
      redis({ test: 'set', connections, keys: keysOf(workload), bytes }),
      etcd(load),
      ...(bytes === 64 ? [postgres(updateScript(keysOf(workload), bytes), connections)] : []),
    ],
  };
}

const atLeast = (value: number, against: string, stretch?: number): Goal => ({
  bound: 'at least',
  value,
  against,
  ...(stretch !== undefined && { stretch }),
});

const p50 = (sample: Sample): number => sample.latency?.p50Ms ?? Number.NaN;

export const goalRows: readonly Row[] = [
  kvRow(64, '64B', 64, [atLeast(3, 'etcd'), atLeast(0.6, 'Redis', 1)]),
  kvRow(64, '64B', 400, [atLeast(3, 'etcd'), atLeast(0.4, 'Redis', 0.6)]),
  kvRow(1024, '1KB', 64, [atLeast(0.7, 'Redis', 1)]),
  kvRow(10_240, '10KB', 64, [atLeast(0.7, 'Redis', 1)]),
];
void [p50, advisoryLockScript, nats, oursTitle, redisDialogue];
