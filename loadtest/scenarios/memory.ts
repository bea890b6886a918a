import { measureOnce, type Generator } from '../load/measure.ts';
import { residentBytes } from '../process-stats.ts';
import type { Scenario } from '../scenario.ts';
import { thousands } from '../statistics.ts';

const keys = 1_000_000;
const keysPerBatch = 1000;
const writeSeconds = 60;
const writeSecondsQuick = 20;

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
      const early = residentBytes(writing.pid);
      const seconds = bench.options.quick ? writeSecondsQuick : writeSeconds;
      const run = await measureOnce(writing, generator, { ...order, seconds });
      const late = residentBytes(writing.pid);
      return [
        {
          name: `memory with ${thousands(keys)} small keys`,
          measured: mb(full),
          notes: [`empty: ${mb(empty)}`],
          values: { bytes: full, bytesEmpty: empty },
        },
        {
          name: `memory growth over ${seconds} s of writes`,
          measured: `${late >= early ? '+' : '−'}${mb(Math.abs(late - early))}`,
          notes: [`from ${mb(early)} to ${mb(late)}, ${thousands(run.requests)} requests on 100,000 keys`],
          values: { bytesBefore: early, bytesAfter: late, requests: run.requests },
        },
      ];
    },
  };
}

function mb(bytes: number): string {
  return `${thousands(bytes / 1e6)} MB`;
}
