/** A sample of `npm run torture -- --only torn-tails,bit-flips,salvages`: every byte, and ten thousands of damages. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../support/seeded-random.ts';
import { flipBits } from './bit-flips.ts';
import { salvageAndRead } from './salvage-and-readers.ts';
import { tearTails } from './torn-tails.ts';

const given = process.env['DRAGONLOCK_SEED'];
const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);

for (const version of [1, 2] as const) {
  const tails = version === 1 ? 2000 : 6000;
  test(`version ${version}: a log that is torn at any of its last bytes is served up to the frame before, and goes on from there`, async (t) => {
    const done = await tearTails(seededRandom(seed), tails, version).catch(repeat);
    t.diagnostic(JSON.stringify({ seed, ...done }));
    assert.equal(done.tails, tails);
    assert.ok(done.withinFrames > tails * 0.9 && done.lostSectors > tails / 60 && done.wentOn > tails / 120);
  });

  const flips = version === 1 ? 500 : 1500;
  test(`version ${version}: a flipped bit anywhere in a log is found and named, or loses nothing`, async (t) => {
    const done = await flipBits(seededRandom(seed), flips, version).catch(repeat);
    t.diagnostic(JSON.stringify({ seed, ...done }));
    assert.equal(done.refused + done.harmless, flips);
    assert.ok(done.refused > flips * 0.8 && done.harmless > 0);
  });
}

const salvages = 150;
test('a salvage keeps all that a plain start would serve, and readers end where damage begins', async (t) => {
  const done = await salvageAndRead(seededRandom(seed), salvages).catch(repeat);
  t.diagnostic(JSON.stringify({ seed, ...done }));
  assert.equal(done.salvages, salvages);
  assert.ok(done.nothingToDo > 0 && done.headersMended > 0 && done.cut > 0 && done.ended > 0);
});

function repeat(error: unknown): never {
  console.error(`again: DRAGONLOCK_SEED=${seed} node --test test/damage/damage.test.ts`);
  throw error;
}
