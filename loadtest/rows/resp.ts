/** Rows of the door for Redis clients, under Redis' own generator and against Redis. */
import type { Sample } from '../results.ts';
import { ours, oursOverResp, redis, withResp } from './contestants.ts';
import type { Goal, Row } from './row.ts';

const keys = 100_000;
const bytes = 64;

export const respRows: readonly Row[] = [
  set('resp-64', { connections: 64 }, { value: 0.65, stretch: 0.8 }),
  set('resp-400', { connections: 400 }, { value: 0.65, stretch: 0.8 }),
  set('resp-64-P16', { connections: 64, pipeline: 16 }, { value: 0.6, stretch: 0.8 }),
  {
    name: 'resp-one-connection',
    title: 'durable SET of 64B, one connection alone: p50',
    group: 'goals',
    unit: 'ms',
    better: 'less',
    goals: [{ bound: 'at most', value: 1.4, stretch: 1.2, against: 'Redis' }],
    local: true,
    contestants: [
      oursOverResp({ test: 'set', connections: 1, keys, bytes }, p50),
      redis({ test: 'set', connections: 1, keys, bytes }, p50),
    ],
  },
  {
    name: 'resp-lock-1000',
    title: 'DL.LOCK and DL.UNLOCK on 1,000 keys, 64 connections',
    group: 'goals',
    unit: 'pairs/s',
    better: 'more',
    goals: [{ bound: 'at least', value: 20_000, stretch: 30_000 }],
    local: true,
    contestants: [
      ours(
        ({ id }) => ({ connections: 64, door: 'resp', workload: { kind: 'lock', accounts: 1, keys: 1000, run: id } }),
        { server: withResp },
      ),
    ],
  },
];

function p50({ latency }: Sample): number {
  return latency?.p50Ms ?? Number.NaN;
}

interface Commands {
  readonly connections: number;
  readonly pipeline?: number;
}

function set(name: string, commands: Commands, goal: Pick<Goal, 'value' | 'stretch'>): Row {
  const { connections, pipeline } = commands;
  const load = { test: 'set', keys, bytes, ...commands } as const;
  const pipelined = pipeline === undefined ? '' : ` pipelined by ${pipeline}`;
  return {
    name,
    title: `durable SET of 64B over RESP, ${connections} connections${pipelined}`,
    group: 'goals',
    unit: 'writes/s',
    better: 'more',
    note: 'redis-benchmark on both',
    goals: [{ bound: 'at least', ...goal, against: 'Redis' }],
    local: true,
    contestants: [oursOverResp(load), redis(load)],
  };
}
