/**
 *   node test/damage/run.ts tails SEED [BYTES]     one log, torn at every one of its last bytes
 *   node test/damage/run.ts flips SEED [COUNT]     one log, and single bits of it
 *   node test/damage/run.ts salvages SEED [COUNT]  damaged logs with checkpoints: salvages, and readers of history
 */
import { seededRandom } from '../support/seeded-random.ts';
import { flipBits } from './bit-flips.ts';
import { salvageAndRead } from './salvage-and-readers.ts';
import { tearTails } from './torn-tails.ts';

const [what, seedText, countText] = process.argv.slice(2);
const seed = Number(seedText);
if ((what !== 'tails' && what !== 'flips' && what !== 'salvages') || !Number.isSafeInteger(seed)) {
  console.error('usage: node test/damage/run.ts tails SEED [BYTES] | flips SEED [COUNT] | salvages SEED [COUNT]');
  process.exit(64);
}
try {
  const random = seededRandom(seed);
  // One log in four is of the older format.
  const version = seed % 4 === 0 ? 1 : 2;
  const done =
    what === 'tails'
      ? await tearTails(random, Number(countText ?? 65_536), version)
      : what === 'flips'
        ? await flipBits(random, Number(countText ?? 4000), version)
        : await salvageAndRead(random, Number(countText ?? 1000));
  console.log(JSON.stringify({ logs: 1, ...done }));
} catch (error) {
  console.error(error);
  console.error(`again: node test/damage/run.ts ${process.argv.slice(2).join(' ')}`);
  process.exitCode = 1;
}
