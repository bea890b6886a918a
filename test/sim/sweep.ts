/**
 * Every crash point of some workloads: the process ends at each disk call of its first life, one after the other, with
 * several samples of what the power cut keeps; and at some calls of the recovery behind it. A workload is a seed.
 *
 *   node test/sim/sweep.ts --seeds 1..5 --cuts 2 --recoveries 1 [--json]
 */
import { parseArgs } from 'node:util';
import { seededRandom } from '../support/seeded-random.ts';
import { simulate, type Outcome } from './simulate.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1..5' },
    cuts: { type: 'string', default: '2' },
    recoveries: { type: 'string', default: '1' },
    json: { type: 'boolean' },
    'keep-going': { type: 'boolean' },
  },
});
const [first, last] = values.seeds.split('..').map(Number);
let points = 0;
let runs = 0;
let failed = 0;

for (let seed = first!; seed <= last! && go(); seed += 1) {
  const whole = await simulate({ seed, crashAtCalls: [Infinity] });
  const calls = whole.diskCalls[0]!;
  const random = seededRandom(seed);
  for (let call = 1; call <= calls && go(); call += 1) {
    points += 1;
    for (let cut = 0; cut < Number(values.cuts); cut += 1) await attempt(seed, [call], cut);
    for (let more = 0; more < Number(values.recoveries); more += 1)
      await attempt(seed, [call, 1 + random.below(40)], more);
  }
  if (!values.json) console.error(`workload ${seed}: ${calls} calls`);
}
const { user, system } = process.cpuUsage();
const cpuSeconds = (user + system) / 1e6;
const summary = { points, runs, failed, cpuSeconds, runsPerCpuSecond: Math.round(runs / cpuSeconds) };
console.log(values.json ? JSON.stringify(summary) : summary);
process.exitCode = failed > 0 ? 1 : 0;

function go(): boolean {
  return failed === 0 || values['keep-going'] === true;
}

async function attempt(seed: number, crashAtCalls: readonly number[], cut: number): Promise<Outcome | undefined> {
  runs += 1;
  try {
    return await simulate({ seed, crashAtCalls, cut });
  } catch (error) {
    failed += 1;
    console.error(error instanceof Error ? error.message : error);
    return undefined;
  }
}
