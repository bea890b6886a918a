/** The rows that have goals, with the peers that they are compared with. */
import { advisoryLockScript, updateScript } from '../load/pgbench.ts';
import type { Sample } from '../results.ts';
import { etcd, nats, ours, postgres, redis, redisDialogue, type Load } from './contestants.ts';
import { memoryRow } from './memory.ts';
import type { Goal, Row, Run, ServerSpec } from './row.ts';
import { watchReaction } from './watchers.ts';
import type { Workload } from '../load/types.ts';

const accounts = 1000;
const connections = 64;

/** As many keys on every server. Fewer keys for large values, so that they fit into memory everywhere. */
function writes(bytes: number): Extract<Workload, { kind: 'kv.write' }> {
  return { kind: 'kv.write', accounts, keys: bytes > 5000 ? 5 : 100, bytes };
}

const small = writes(64);
const smallKeys = small.accounts * small.keys;
const smallLoad: Load = { connections, workload: small };

function kvRow(bytes: number, size: string, connections: number, goals: readonly Goal[]): Row {
  const workload = writes(bytes);
  const load = { connections, workload };
  const keys = workload.accounts * workload.keys;
  return {
    name: `kv-${size}-${connections}`,
    title: `durable write of ${size}, one a request, ${connections} connections`,
    group: 'goals',
    unit: 'writes/s',
    better: 'more',
    goals,
    quick: bytes === 64 && connections === 64,
    contestants: [
      ours(load),
      redis({ test: 'set', connections, keys, bytes }),
      etcd(load),
      ...(bytes === 64 ? [postgres(updateScript(keys, bytes), connections)] : []),
    ],
  };
}

function atLeast(value: number, against: string, stretch?: number): Goal {
  return { bound: 'at least', value, against, ...(stretch !== undefined && { stretch }) };
}

/** Each run has locks of its own, so that a lock left held blocks no other run. */
function locks(keys: number, connections: number, among?: 'readers' | 'permits'): (run: Run) => Load {
  const mode = among === undefined ? {} : { among };
  return ({ id }) => ({ connections, workload: { kind: 'lock', accounts: 1, keys, run: id, ...mode } });
}

function sharedRow(among: 'readers' | 'permits', who: string): Row {
  return {
    name: `lock-${among}`,
    title: `LockUnlock by ${who} on 1,000 keys, ${connections} connections`,
    group: 'goals',
    unit: 'pairs/s',
    better: 'more',
    goals: [atLeast(0.8, exclusiveTitle)],
    contestants: [ours(locks(1000, connections, among)), ours(locks(1000, connections), { title: exclusiveTitle })],
  };
}

function p50({ latency }: Sample): number {
  return latency?.p50Ms ?? Number.NaN;
}

const oneConnection: Load = { connections: 1, workload: small };
const defaults: ServerSpec = { kind: 'dragonlock', settings: {} };
const kvTitle = 'the KV row';
const oneShardTitle = 'one shard';
const exclusiveTitle = 'exclusive locks';

export const goalRows: readonly Row[] = [
  kvRow(64, '64B', 64, [atLeast(3, 'etcd'), atLeast(0.58, 'Redis', 0.7)]),
  kvRow(64, '64B', 400, [atLeast(3, 'etcd'), atLeast(0.6, 'Redis', 0.7)]),
  kvRow(1024, '1KB', 64, [atLeast(0.7, 'Redis', 1)]),
  kvRow(10_240, '10KB', 64, [atLeast(0.7, 'Redis', 1)]),
  {
    name: 'arrays',
    title: `array bodies of 100 single-key writes of 64B, ${connections} connections`,
    group: 'goals',
    unit: 'writes/s',
    better: 'more',
    note: 'Redis: SET pipelined by 16',
    goals: [atLeast(0.8, 'Redis', 1)],
    contestants: [
      ours({ connections, workload: { ...small, kind: 'kv.array', writes: 100 } }),
      redis({ test: 'set', connections, keys: smallKeys, bytes: 64, pipeline: 16 }),
    ],
  },
  {
    name: 'one-connection',
    title: 'durable write of 64B, one connection alone: p50',
    group: 'goals',
    unit: 'ms',
    better: 'less',
    goals: [{ bound: 'at most', value: 2, stretch: 1.3, against: 'Redis' }],
    quick: true,
    contestants: [
      ours(oneConnection, { value: p50 }),
      redis({ test: 'set', connections: 1, keys: smallKeys, bytes: 64 }, p50),
      etcd(oneConnection, { value: p50 }),
    ],
  },
  {
    name: 'lock-contended',
    title: 'LockUnlock on one key, 50 contending clients',
    group: 'goals',
    unit: 'pairs/s',
    better: 'more',
    note: 'each client waits for the lock, holds it for a round trip and unlocks it',
    goals: [
      { bound: 'at least', value: 1500 },
      atLeast(3, 'etcd'),
      {
        bound: 'at most',
        value: 1.05,
        stretchOnly: true,
        of: { name: 'fdatasyncs a unit', unit: 'fdatasync a hand-over' },
      },
    ],
    quick: true,
    contestants: [ours(locks(1, 50), { generator: 'built-in' }), etcd(locks(1, 50), { generator: 'built-in' })],
  },
  {
    name: 'lock-1000',
    title: `LockUnlock on 1,000 keys, ${connections} connections`,
    group: 'goals',
    unit: 'pairs/s',
    better: 'more',
    note: 'Redis: SET NX PX and a script that deletes, without a wait queue and without fencing tokens',
    goals: [{ bound: 'at least', value: 12_000, stretch: 20_000 }],
    contestants: [
      ours(locks(1000, connections)),
      redisDialogue(locks(1000, connections)),
      etcd(locks(1000, connections)),
    ],
  },
  sharedRow('readers', 'readers'),
  sharedRow('permits', 'holders of one of ten permits'),
  {
    name: 'mutex-1000',
    title: `mutex LockUnlock on 1,000 keys, ${connections} connections`,
    group: 'goals',
    unit: 'pairs/s',
    better: 'more',
    note: 'in memory; PostgreSQL: advisory locks, in memory too',
    goals: [{ bound: 'at least', value: 20_000 }],
    quick: true,
    contestants: [
      ours(({ id }) => ({ connections, workload: { kind: 'mutex', accounts: 1, keys: 1000, run: id } })),
      postgres(advisoryLockScript(1000), connections),
    ],
  },
  {
    name: 'counter',
    title: `counter on one key, ${connections} connections`,
    group: 'goals',
    unit: 'increments/s',
    better: 'more',
    goals: [atLeast(0.9, kvTitle)],
    contestants: [
      ours({ connections, workload: { kind: 'counter', accounts: 1, keys: 1 } }, { server: defaults }),
      ours(smallLoad, { server: defaults, title: kvTitle }),
      // A keyspace of one makes every INCR use the same key.
      redis({ test: 'incr', connections, keys: 1, bytes: 64 }),
    ],
  },
  {
    name: 'watchers-10000',
    title: '10,000 watchers of one key: from the write to the last answer',
    group: 'goals',
    unit: 'ms',
    better: 'less',
    goals: [{ bound: 'at most', value: 250, stretch: 120 }],
    contestants: [watchReaction({ keys: 1, watchersPerKey: 10_000, by: 'key', latencyMs: 0 })],
  },
  memoryRow,
  {
    name: 'two-shards',
    title: `durable write of 64B, ${connections} connections, two shards`,
    group: 'goals',
    unit: 'writes/s',
    better: 'more',
    goals: [atLeast(0.9, oneShardTitle)],
    local: true,
    contestants: [
      ours(smallLoad, { settings: { shards: 2 } }),
      ours(smallLoad, { settings: { shards: 1 }, title: oneShardTitle }),
    ],
  },
  {
    name: 'kv-nats',
    title: `durable write of 64B, ${connections} connections, both by the built-in generator`,
    group: 'goals',
    unit: 'writes/s',
    better: 'more',
    note: 'NATS JetStream KV has no official load generator in Debian; see the versions for what it syncs',
    contestants: [ours(smallLoad, { generator: 'built-in' }), nats(smallLoad)],
  },
];
