/** `node test/fuzz/run.ts TARGET [SEED] [COUNT]`: one fuzzer, with its progress on one line. */
import { fuzzers, type FuzzTarget } from './fuzzers.ts';

const [target = '', seedText, countText] = process.argv.slice(2);
if (!Object.hasOwn(fuzzers, target)) {
  console.error(`usage: node test/fuzz/run.ts ${Object.keys(fuzzers).join('|')} [SEED] [COUNT]`);
  process.exit(64);
}
const seed = seedText === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(seedText);
const count = Number(countText ?? 10_000);
const started = performance.now();
try {
  const report = await fuzzers[target as FuzzTarget](seed, count, ({ inputs }) => {
    process.stderr.write(`\r${target}: ${inputs} of ${count} inputs, ${perSecond(inputs)}/s `);
  });
  process.stderr.write('\r');
  const { inputs, seen } = report;
  console.log(`${target}, from seed ${seed}: ${JSON.stringify({ inputs, perSecond: perSecond(inputs), seen })}`);
} catch (error) {
  process.stderr.write('\n');
  console.error(error);
  process.exit(1);
}

function perSecond(inputs: number): number {
  return Math.round((inputs * 1000) / (performance.now() - started));
}
