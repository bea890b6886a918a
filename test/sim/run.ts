/**
 * Runs seeds of the simulator.
 *
 *   node test/sim/run.ts --seeds 1..2000          until one fails; --json prints the counts
 *   node test/sim/run.ts --seed 17 --trace        one seed, and prints every event
 *   node test/sim/run.ts --minutes 30             from a new seed on, for 30 minutes
 *
 *   node test/sim/run.ts --seed 3 --crash 17,4 --cut 1 --trace     the process ends at these disk calls (see sweep.ts)
 *
 *   node test/sim/run.ts --seed 3 --crash Infinity --fail EIO:17 --trace     this disk call fails
 *
 * --keep-going does not stop at the first failure. --digests prints a checksum of all events of each seed.
 * --twice 10 runs every tenth seed once more, which must give the same trace.
 */
import { parseArgs } from 'node:util';
import { failureCodes, type FailureCode } from './faults.ts';
import { simulate } from './simulate.ts';
import { Counts } from './trace.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    minutes: { type: 'string' },
    crash: { type: 'string' },
    fail: { type: 'string' },
    twice: { type: 'string', default: 'Infinity' },
    cut: { type: 'string', default: '0' },
    trace: { type: 'boolean' },
    json: { type: 'boolean' },
    digests: { type: 'boolean' },
    'keep-going': { type: 'boolean' },
  },
});
const started = Date.now();
const fresh = started % 1_000_000_000;
const [first, last] = range();
const until = values.minutes === undefined ? Infinity : started + Number(values.minutes) * 60_000;
const counts = new Counts();
const failed: string[] = [];
let runs = 0;
let events = 0;
let shownAt = started;

for (let seed = first; seed <= last && Date.now() < until; seed += 1) {
  try {
    const crash = values.crash === undefined ? {} : { crashAtCalls: values.crash.split(',').map(Number) };
    const print = values.trace ? { print: (line: string) => console.log(line) } : {};
    const options = { seed, cut: Number(values.cut), ...crash, ...failure(), ...print };
    const outcome = await simulate(options);
    if ((seed - first) % Number(values.twice) === Number(values.twice) - 1) {
      const { trace } = await simulate(options);
      if (trace !== outcome.trace) throw new Error(`seed ${seed}: two runs, two traces: ${outcome.trace} and ${trace}`);
      counts.add('same trace twice');
    }
    counts.merge(outcome.counts.entries());
    events += outcome.world.trace.events;
    if (values.digests || values.seed !== undefined) console.log(`seed ${seed}: ${outcome.trace}`);
  } catch (error) {
    failed.push(String(error));
    console.error(error instanceof Error ? error.message : error);
    if (!values['keep-going']) break;
  }
  runs += 1;
  if (values.json || Date.now() - shownAt < 5000) continue;
  shownAt = Date.now();
  console.error(`${runs} seeds, ${Math.round((runs * 1000) / (shownAt - started))} a second, ${failed.length} failed`);
}
const { user, system } = process.cpuUsage();
const cpuSeconds = (user + system) / 1e6;
const summary = { runs, failed: failed.length, events, cpuSeconds, counts: Object.fromEntries(counts.entries()) };
if (values.json) console.log(JSON.stringify(summary));
else if (values.seed === undefined && !values.digests) console.log(summary);
process.exitCode = failed.length > 0 ? 1 : 0;

function failure(): { failAtCall?: { call: number; code: FailureCode } } {
  const [named, call] = values.fail?.split(':') ?? [];
  const code = failureCodes.find((known) => known === named);
  return code === undefined ? {} : { failAtCall: { call: Number(call), code } };
}

function range(): [number, number] {
  if (values.seed !== undefined) return [Number(values.seed), Number(values.seed)];
  const [from, to] = (values.seeds ?? `${fresh}..${values.minutes === undefined ? fresh + 99 : Infinity}`).split('..');
  return [Number(from), Number(to ?? from)];
}
