import { measureOnce, type Generator } from '../load/measure.ts';
import { residentBytes } from '../process-stats.ts';
import type { Scenario } from '../scenario.ts';
import { thousands } from '../statistics.ts';

const keys = 1_000_000;
const keysPerBatch = 1000;
/** Of the long run; read in between, because what levels off is no leak. */
const parts = 4;
const partSeconds = 15;
const partSecondsQuick = 4;

/** What a million small keys take, and whether anything grows that should not. */
export function memory(generator: Generator): Scenario {
  return {
    name: 'memory',
    about: `resident memory: ${thousands(keys)} small keys, then a long run of writes`,
    async run(bench) {
      const server = await bench.startServer();
      const empty = residentBytes(server.pid);
      for (let first = 0; first < keys; first += keysPerBatch) {
        const KVSet = Array.from({ length: keysPerBatch }, (_, i) => ({ Key: `small-${first + i}`, Value: first + i }));
        await server.call('/db/load-memory', { KVSet });
      }
      const full = residentBytes(server.pid);
      bench.progress(`${mb(full)} with ${thousands(keys)} keys`);

      const writing = await bench.startServer();
      const order = { connections: 64, workload: 'write' } as const;
      await measureOnce(writing, generator, { ...order, seconds: 10 });
      const readings = [residentBytes(writing.pid)];
      const seconds = bench.options.quick ? partSecondsQuick : partSeconds;
      let requests = 0;
      for (let part = 0; part < parts; part++) {
        const run = await measureOnce(writing, generator, { ...order, seconds });
        requests += run.requests;
        readings.push(residentBytes(writing.pid));
        bench.progress(`${mb(readings.at(-1)!)} after ${thousands(requests)} writes`);
      }
      const growth = readings.at(-1)! - readings[0]!;
      return [
        {
          name: `memory with ${thousands(keys)} small keys`,
          measured: mb(full),
          notes: [`empty: ${mb(empty)}`],
          values: { bytes: full, bytesEmpty: empty },
        },
        {
          name: `memory growth over ${parts * seconds} s of writes`,
          measured: `${growth >= 0 ? '+' : '−'}${mb(Math.abs(growth))}`,
          notes: [
            `${readings.map(mb).join(', ')}; garbage that is not collected yet included; ${thousands(requests)} writes on ` +
              '100,000 keys',
          ],
          values: { bytesBefore: readings[0]!, bytesAfter: readings.at(-1)!, requests },
        },
      ];
    },
  };
}

function mb(bytes: number): string {
  return `${thousands(bytes / 1e6)} MB`;
}
