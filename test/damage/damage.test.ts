/** A sample of `npm run torture -- --only torn-tails,bit-flips`, which tries every byte and ten thousands of bits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../support/seeded-random.ts';
import { flipBits } from './bit-flips.ts';
import { tearTails } from './torn-tails.ts';

const given = process.env['DRAGONLOCK_SEED'];
const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);

test('a log that is torn at any of its last bytes is served up to the frame before, and goes on from there', async (t) => {
  const done = await tearTails(seededRandom(seed), 6000).catch(repeat);
  t.diagnostic(JSON.stringify({ seed, ...done }));
  assert.equal(done.tails, 6000);
  assert.ok(done.withinFrames > 5500 && done.lostSectors > 100 && done.wentOn > 50);
});

test('a flipped bit anywhere in a log is found and named, or loses nothing', async (t) => {
  const done = await flipBits(seededRandom(seed), 1500).catch(repeat);
  t.diagnostic(JSON.stringify({ seed, ...done }));
  assert.equal(done.refused + done.harmless, 1500);
  assert.ok(done.refused > 1200 && done.harmless > 0);
});

function repeat(error: unknown): never {
  console.error(`again: DRAGONLOCK_SEED=${seed} node --test test/damage/damage.test.ts`);
  throw error;
}
