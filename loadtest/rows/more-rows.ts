/** Rows for information, which are not in the original table and have no goal. */
import { etcd, ours, redis, redisDialogue, type Load } from './contestants.ts';
import { fillEtcd, fillOurs, fillRedis } from './fill.ts';
import type { ServerContestant, Row, Run } from './row.ts';
import { watchReaction } from './watchers.ts';
import type { Workload } from '../load/types.ts';

const connections = 64;
const accounts = 1000;
const keys = 100;
const bytes = 64;
const space = { accounts, keys } as const;
const readLoad: Load = { connections, workload: { kind: 'kv.read', ...space } };
const singleShard = { shards: 1 } as const;
const twoShards = { shards: 2 } as const;

const batch: Load = { connections, workload: { kind: 'kv.batch', accounts, keys, bytes, writes: 4 } };

export const moreRows: readonly Row[] = [
  rate('reads', `reads of 64B, ${connections} connections`, 'reads/s', [
    { ...ours(readLoad), prepare: (_, { target }) => fillOurs(target, space, bytes) },
    {
      ...redis({ test: 'get', connections, keys: accounts * keys, bytes }),
      prepare: (_, { target }) => fillRedis(target, accounts * keys, bytes),
    },
    { ...etcd(readLoad), prepare: (_, { target }) => fillEtcd(target, space, bytes) },
  ]),
  rate('sequence-one', `sequence on one key, ${connections} connections`, 'numbers/s', [
    ours({ connections, workload: { kind: 'sequence', accounts: 1, keys: 1 } }),
  ]),
  rate('sequence-1000', `sequences on 1,000 keys, ${connections} connections`, 'numbers/s', [
    ours({ connections, workload: { kind: 'sequence', accounts: 1, keys: 1000 } }),
  ]),
  rate('mutex-contended', 'mutex LockUnlock on one key, 50 contending clients', 'pairs/s', [
    ours(({ id }) => ({ connections: 50, workload: { kind: 'mutex', accounts: 1, keys: 1, run: id } })),
  ]),
  {
    ...rate('batch-shards', `atomic batches of 4 keys over two shards, ${connections} connections`, 'batches/s', [
      ours(batch, { settings: twoShards }),
      ours(batch, { settings: singleShard, title: 'one shard' }),
    ]),
    local: true,
  },
  {
    ...rate('front-ends', `durable write of 64B, ${connections} connections, two front ends`, 'writes/s', [
      ours(
        { connections, workload: { kind: 'kv.write', accounts, keys, bytes } },
        { settings: { http: { threads: 2 } } },
      ),
      ours(
        { connections, workload: { kind: 'kv.write', accounts, keys, bytes } },
        { settings: { http: { threads: 1 } }, title: 'one front end' },
      ),
    ]),
    local: true,
  },
  rate('idempotent', `durable write of 64B under an idempotency id, ${connections} connections`, 'writes/s', [
    ours({ connections, workload: { kind: 'kv.idempotent', accounts, keys, bytes } }),
    ours(
      { connections, workload: { kind: 'kv.write', accounts, keys, bytes } },
      { generator: 'built-in', title: 'without an id' },
    ),
  ]),
  {
    ...rate('mixed', `the mix of a SaaS backend, ${connections} connections`, 'req/s', [
      ours((run: Run) => ({ connections, workload: mixed(run) })),
    ]),
    note:
      'of 100 requests 50 reads, 20 writes, 10 counters, 5 batches of 3 keys and a counter, 5 lock pairs, ' +
      '5 arrays of 10',
  },
  {
    name: 'prefix-watchers',
    title: '1,000 watchers of one prefix: from the write to the last answer',
    group: 'more',
    unit: 'ms',
    better: 'less',
    contestants: [watchReaction({ keys: 1, watchersPerKey: 1000, by: 'prefix', latencyMs: 0 })],
  },
  {
    name: 'bulk-10KB',
    title: 'durable write of 10 KB over a million keys of 1,000 accounts, 400 connections, sustained',
    group: 'goals',
    unit: 'writes/s',
    better: 'more',
    note: 'a refusal fails the row; what checkpoints cannot take waits',
    goals: [{ bound: 'at least', value: 8000, stretch: 15_000 }],
    secondsMin: 30,
    repeats: 1,
    contestants: [ours({ connections: 400, workload: { kind: 'kv.write', accounts, keys: 1000, bytes: 10_240 } })],
  },
  atRate(1000, { value: 3, stretch: 2 }),
  atRate(5000, { value: 5, stretch: 3 }),
  atRate(10_000, { value: 8, stretch: 5 }),
];

function rate(name: string, title: string, unit: string, contestants: readonly ServerContestant[]): Row {
  return { name, title, group: 'more', unit, better: 'more', contestants };
}

function mixed({ id }: Run): Workload {
  return { kind: 'mixed', accounts, keys, run: id };
}

/** All contestants under the built-in generator, on the same schedule. */
function atRate(arrivalsPerSecond: number, goal: { readonly value: number; readonly stretch: number }): Row {
  const load: Load = {
    connections: 256,
    workload: { kind: 'kv.write', accounts, keys, bytes },
    arrivalsPerSecond,
  };
  const value = { value: ({ latency }: { latency?: { p99Ms: number } }) => latency?.p99Ms ?? Number.NaN };
  return {
    name: `latency-${arrivalsPerSecond}`,
    title: `durable write of 64B, ${arrivalsPerSecond.toLocaleString('en-US')} arrivals a second: p99`,
    group: 'latency',
    unit: 'ms',
    better: 'less',
    goals: [{ bound: 'at most', ...goal }],
    secondsMin: 30,
    note: 'Poisson arrivals over 256 connections, each timed from its due time, whether or not a connection was free',
    contestants: [
      ours(load, { ...value, generator: 'built-in' }),
      redisDialogue(load, value),
      etcd(load, { ...value, generator: 'built-in' }),
    ],
  };
}
