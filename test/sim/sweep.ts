/**
 * Sweeps every crash point of some workloads. The process ends at each disk call of its first life, one after the
 * other, with several samples of what the power cut keeps, and at some calls of the recovery after it. Every call that
 * may fail also fails once, with each code of faults.ts. A workload is a seed.
 *
 *   node test/sim/sweep.ts --seeds 1..5 --cuts 2 --recoveries 1 --errors [--json]
 */
import { parseArgs } from 'node:util';
import { seededRandom } from '../support/seeded-random.ts';
import { failureCodes } from './faults.ts';
import { simulate, type Outcome } from './simulate.ts';
import type { WorldOptions } from './world.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1..5' },
    cuts: { type: 'string', default: '2' },
    recoveries: { type: 'string', default: '1' },
    errors: { type: 'boolean' },
    json: { type: 'boolean' },
    'keep-going': { type: 'boolean' },
  },
});
const [first, last] = values.seeds.split('..').map(Number);
/** Disk calls at which a first life ended, calls at which a later recovery ended, and calls that failed. */
let points = 0;
let recoveries = 0;
let errors = 0;
let runs = 0;
let failed = 0;

for (let seed = first!; seed <= last! && go(); seed += 1) {
  const whole = await simulate({ seed, crashAtCalls: [Infinity] });
  const calls = whole.diskCalls[0]!;
  const random = seededRandom(seed);
  for (let call = 1; call <= calls && go(); call += 1) {
    points += 1;
    for (let cut = 0; cut < Number(values.cuts); cut += 1) await attempt({ seed, crashAtCalls: [call], cut });
    for (let more = 0; more < Number(values.recoveries); more += 1) {
      const crashAtCalls = [call, 1 + random.below(40)];
      const outcome = await attempt({ seed, crashAtCalls, cut: more });
      // The failed call may also have ended a life that went on.
      if (outcome?.diskCalls[1] === crashAtCalls[1]) recoveries += 1;
    }
    if (!values.errors) continue;
    for (const code of failureCodes) {
      const outcome = await attempt({ seed, crashAtCalls: [Infinity], failAtCall: { call, code } });
      if (outcome?.counts.entries().some(([name]) => name.startsWith(`${code} `))) errors += 1;
    }
  }
  if (!values.json) console.error(`workload ${seed}: ${calls} calls`);
}
const { user, system } = process.cpuUsage();
const cpuSeconds = (user + system) / 1e6;
const crashes = points * Number(values.cuts) + recoveries;
const runsPerSecond = Math.round(runs / cpuSeconds);
const summary = { points, recoveries, crashes, errors, runs, failed, cpuSeconds, runsPerSecond };
console.log(values.json ? JSON.stringify(summary) : summary);
process.exitCode = failed > 0 ? 1 : 0;

function go(): boolean {
  return failed === 0 || values['keep-going'] === true;
}

async function attempt(options: WorldOptions): Promise<Outcome | undefined> {
  runs += 1;
  try {
    return await simulate(options);
  } catch (error) {
    failed += 1;
    console.error(error instanceof Error ? error.message : error);
    return undefined;
  }
}
