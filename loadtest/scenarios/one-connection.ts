import { measureOnce, type Generator } from '../load/measure.ts';
import type { Scenario } from '../scenario.ts';
import { medianBy, short } from '../statistics.ts';

const goalSyncs = 5;

/** Nobody to share an fdatasync with: what one durable write costs from end to end. */
export function oneConnection(generator: Generator): Scenario {
  return {
    name: 'one-connection',
    about: 'one connection alone with the same request, against the disk’s own fdatasync',
    async run(bench) {
      const { seconds, repeats } = bench.options;
      const server = await bench.startServer();
      const order = { connections: 1, workload: 'write' } as const;
      await measureOnce(server, generator, { ...order, seconds: 3 });
      const runs: { p50Ms: number; p99Ms: number; diskMs: number; syncs: number }[] = [];
      for (let i = 0; i < repeats; i++) {
        // Right before, because the disk of a shared machine is not the same a minute later.
        const disk = bench.probeDisk();
        const run = await measureOnce(server, generator, { ...order, seconds });
        const p50Ms = run.p50Micros / 1000;
        runs.push({ p50Ms, p99Ms: run.p99Micros / 1000, diskMs: disk.p50Ms, syncs: p50Ms / disk.p50Ms });
        bench.progress(`p50 ${short(p50Ms)} ms, the disk ${short(disk.p50Ms)} ms`);
      }
      const run = medianBy(runs, ({ syncs }) => syncs);
      return [
        {
          name: 'one connection, p50',
          goal: `≤ ${goalSyncs} × fdatasync`,
          measured: `${short(run.p50Ms)} ms = ${short(run.syncs)} × ${short(run.diskMs)} ms`,
          met: run.syncs <= goalSyncs,
          notes: [`p99 ${short(run.p99Ms)} ms`],
          values: { p50Ms: run.p50Ms, p99Ms: run.p99Ms, fdatasyncMs: run.diskMs, fdatasyncs: run.syncs },
        },
      ];
    },
  };
}
