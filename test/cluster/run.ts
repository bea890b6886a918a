/** `node test/cluster/run.ts --seeds 1..1000 [--lossy]`: simulated clusters, until one shows what it must not. */
import { parseArgs } from 'node:util';
import { simulateCluster } from './simulate-cluster.ts';

const { values } = parseArgs({ options: { seeds: { type: 'string', default: '1..200' }, lossy: { type: 'boolean' } } });
const [first = 1, last = first] = values.seeds.split('..').map(Number);
const counts: Record<string, number> = {};
let steps = 0;
const begun = process.hrtime.bigint();
for (let seed = first; seed <= last; seed += 1) {
  const run = await simulateCluster(seed, { lossy: values.lossy === true });
  steps += run.steps;
  for (const [what, count] of Object.entries(run.counts)) counts[what] = (counts[what] ?? 0) + count;
  if (run.violations.length === 0) continue;
  console.log(`seed ${seed}: ${run.violations.slice(0, 5).join('\n')}`);
  process.exitCode = 1;
  break;
}
console.log({ seeds: last - first + 1, steps, seconds: Number(process.hrtime.bigint() - begun) / 1e9, ...counts });
