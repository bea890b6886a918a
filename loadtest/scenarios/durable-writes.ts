import { cpuNote, cpuPerRequest, measure, median, medianCpu, msOf, rateOf, type Generator } from '../load/measure.ts';
import type { Scenario } from '../scenario.ts';
import { short, thousands } from '../statistics.ts';

const connections = 64;
const rateGoal = 25_000;
const cpuGoalMicros = 40;

/** The figure that the design was made for. */
export function durableWrites(generator: Generator): Scenario {
  return {
    name: 'durable-writes',
    about: `${connections} connections, each with one 64-byte KVSet a request, on random keys of 1,000 accounts`,
    async run(bench) {
      const server = await bench.startServer();
      const runs = await measure(bench, server, generator, { connections, workload: 'write' });
      const run = median(runs);
      const rate = rateOf(run);
      const cpu = medianCpu(runs);
      return [
        {
          name: `durable writes, ${connections} connections`,
          goal: `≥ ${thousands(rateGoal)} req/s`,
          measured: `${thousands(rate)} req/s`,
          met: rate >= rateGoal,
          notes: [`latency p50 ${msOf(run.p50Micros)}, p99 ${msOf(run.p99Micros)}`],
          values: { requestsPerSecond: rate, p50Micros: run.p50Micros, p99Micros: run.p99Micros },
        },
        {
          name: 'server CPU of a durable write',
          goal: `≤ ${cpuGoalMicros} µs`,
          measured: `${short(cpu)} µs`,
          met: cpu <= cpuGoalMicros,
          notes: [`${cpuNote(run)} (the runs: ${runs.map((one) => short(cpuPerRequest(one))).join(', ')})`],
          values: { cpuMicrosPerRequest: cpu },
        },
      ];
    },
  };
}
