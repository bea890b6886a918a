/** Figures without a goal, each a rate: what else the same machine does. */
import { cpuNote, measure, median, msOf, rateOf, type Generator } from '../load/measure.ts';
import { accounts, value64, type Workload } from '../load/workloads.ts';
import type { Figure, Scenario } from '../scenario.ts';
import type { ServerSettings, ServerUnderLoad } from '../server-under-load.ts';
import { thousands } from '../statistics.ts';

interface Rate {
  readonly name: string;
  readonly about: string;
  readonly unit: string;
  readonly workload: Workload;
  readonly connections: number;
  readonly settings?: ServerSettings;
  readonly prepare?: (server: ServerUnderLoad) => Promise<void>;
}

const rates: readonly Rate[] = [
  { name: 'mutexes', about: 'mutex, 64 connections', unit: 'lock+unlock/s', workload: 'mutex', connections: 64 },
  {
    name: 'locks',
    about: 'durable locks, 1,000 keys, 64 connections',
    unit: 'lock+unlock/s',
    workload: 'locks',
    connections: 64,
  },
  {
    name: 'contended',
    about: 'durable lock, one key, 50 connections',
    unit: 'lock+unlock/s',
    workload: 'contended',
    connections: 50,
  },
  {
    name: 'reads',
    about: 'reads, 64 connections',
    unit: 'req/s',
    workload: 'read',
    connections: 64,
    prepare: writeAllKeys,
  },
  {
    name: 'arrays',
    about: 'durable writes in arrays of 100, 8 connections',
    unit: 'writes/s',
    workload: 'array100',
    connections: 8,
  },
  {
    name: 'one-shard',
    about: 'durable writes, 1 shard',
    unit: 'req/s',
    workload: 'write',
    connections: 64,
    settings: { shards: 1 },
  },
  {
    name: 'three-shards',
    about: 'durable writes, 3 shards',
    unit: 'req/s',
    workload: 'write',
    connections: 64,
    settings: { shards: 3 },
  },
  {
    name: 'two-front-ends',
    about: 'durable writes, 2 front ends',
    unit: 'req/s',
    workload: 'write',
    connections: 64,
    settings: { http: { threads: 2 } },
  },
];

/** @param generatorOf the cheapest generator that can send the workload */
export function rateScenarios(generatorOf: (workload: Workload) => Generator): readonly Scenario[] {
  return rates.map((rate) => ({
    name: rate.name,
    about: rate.about,
    async run(bench): Promise<Figure[]> {
      const { workload, connections, unit, about } = rate;
      const server = await bench.startServer(rate.settings);
      await rate.prepare?.(server);
      const generator = generatorOf(workload);
      const run = median(await measure(bench, server, generator, { connections, workload }));
      return [
        {
          name: about,
          measured: `${thousands(rateOf(run))} ${unit}`,
          notes: [
            `p50 ${msOf(run.p50Micros)}, p99 ${msOf(run.p99Micros)}; ${cpuNote(run)}; generator: ${generator.name}`,
          ],
          values: { perSecond: rateOf(run), p50Micros: run.p50Micros, p99Micros: run.p99Micros },
        },
      ];
    },
  }));
}

/** So that every read finds its key. */
async function writeAllKeys(server: ServerUnderLoad): Promise<void> {
  const KVSet = Array.from({ length: 100 }, (_, i) => ({ Key: `key-${i}`, Value: value64 }));
  for (let account = 0; account < accounts; account++) await server.call(`/db/load${account}`, { KVSet });
}
