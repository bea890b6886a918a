/**
 *   node test/damage/run.ts tails SEED [BYTES]     one log, torn at every one of its last bytes
 *   node test/damage/run.ts flips SEED [COUNT]     one log, and single bits of it
 */
import { seededRandom } from '../support/seeded-random.ts';
import { flipBits } from './bit-flips.ts';
import { tearTails } from './torn-tails.ts';

const [what, seedText, countText] = process.argv.slice(2);
const seed = Number(seedText);
if ((what !== 'tails' && what !== 'flips') || !Number.isSafeInteger(seed)) {
  console.error('usage: node test/damage/run.ts tails SEED [BYTES] | flips SEED [COUNT]');
  process.exit(64);
}
try {
  const random = seededRandom(seed);
  // One log in four is of the older format.
  const version = seed % 4 === 0 ? 1 : 2;
  const done =
    what === 'tails'
      ? await tearTails(random, Number(countText ?? 65_536), version)
      : await flipBits(random, Number(countText ?? 4000), version);
  console.log(JSON.stringify({ logs: 1, ...done }));
} catch (error) {
  console.error(error);
  console.error(`again: node test/damage/run.ts ${process.argv.slice(2).join(' ')}`);
  process.exitCode = 1;
}
