import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fencesPerEpoch } from '../../src/protocol/epochs.ts';
import type { Revision } from '../../src/protocol/ids.ts';
import { EpochExchange } from '../../src/shard-worker/epoch-exchange.ts';
import { CoreUnderTest } from '../support/core-under-test.ts';

function exchange(): { core: CoreUnderTest; epochs: EpochExchange; asked: () => number; durable: () => void } {
  const core = new CoreUnderTest();
  let asked = 0;
  const waiting: (() => void)[] = [];
  const epochs = new EpochExchange({
    state: core.state,
    journal: { whenDurable: (_rev: Revision, reached: () => void) => void waiting.push(reached) },
    askForEpoch: () => (asked += 1),
    wake: () => {},
  });
  const durable = (): void => {
    for (const reached of waiting.splice(0)) reached();
  };
  return { core, epochs, asked: () => asked, durable };
}

test('a shard asks once for each further epoch, each time that its fences are low', () => {
  const { core, epochs, asked } = exchange();
  const { fences } = core.state.mutexes;
  for (let epoch = 1; epoch <= 3; epoch += 1) {
    for (let i = 0; i < fencesPerEpoch && !fences.low; i += 1) fences.next();
    assert.ok(fences.low);
    epochs.end();
    epochs.end();
    assert.equal(asked(), epoch);
    epochs.add(epoch + 1);
    epochs.end();
    assert.equal(asked(), epoch, 'it has enough now');
  }
});

test('an epoch is given out once it is durable, to each shard another one; without room it waits', () => {
  const { core, epochs, durable } = exchange();
  const turn = { state: core.state, now: core.now, out: core };
  const taken: number[] = [];
  epochs.take((epoch) => taken.push(epoch));
  epochs.take((epoch) => taken.push(epoch));
  core.state.outOfSpace = { space: 'full', failure: { code: 'disk_full', message: '' } };
  epochs.begin(turn);
  durable();
  assert.deepEqual(taken, []);
  core.state.outOfSpace = undefined;
  epochs.begin(turn);
  assert.deepEqual(taken, [], 'not before it is durable');
  durable();
  assert.equal(new Set(taken).size, 2);
  assert.equal(core.records.length, 2);
});
