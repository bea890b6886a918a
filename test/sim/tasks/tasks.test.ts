/** The simulator with tasks and scripts. `DRAGONLOCK_SEED` is the first seed, `DRAGONLOCK_SIM_SEEDS` says how many. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Counts } from '../trace.ts';
import { TaskWorld } from './task-world.ts';

const seeds = Number(process.env['DRAGONLOCK_SIM_SEEDS'] ?? 12);
const first = Number(process.env['DRAGONLOCK_SEED'] ?? 1);

test('simulated tasks run as they were promised, and scripts are run alone', async (t) => {
  const counts = new Counts();
  for (let seed = first; seed < first + seeds; seed += 1) {
    const world = await simulated(seed);
    counts.merge(world.counts.entries());
    if (seed === first) assert.equal((await simulated(seed)).trace.digest, world.trace.digest, 'one seed is one run');
  }
  t.diagnostic(JSON.stringify({ runs: seeds, ...Object.fromEntries(counts.entries()) }));
  for (const what of needed) assert.ok(counts.get(what) > 0, `${what}: never happened`);
});

const needed = [
  'answer 200',
  'answer 500',
  'cancel',
  'cancel: too late',
  'hung',
  'power cut in a disk call',
  'power cut between two steps',
  'request of a flow',
  'request that vanished',
  'reset',
  'transfer: ok',
  'transfer: script_refused',
  'audit: ok',
  ...['queue', 'http', 'script'].flatMap((target) => [`task: ${target}`, `task: ${target} every`]),
];

async function simulated(seed: number): Promise<TaskWorld> {
  const print = process.env['DRAGONLOCK_TRACE'] === undefined ? undefined : console.log;
  const world = new TaskWorld(seed, print);
  const onRejection = (error: unknown): void => world.failed(error);
  process.on('unhandledRejection', onRejection);
  try {
    await world.run();
  } catch (error) {
    const again = `DRAGONLOCK_SEED=${seed} DRAGONLOCK_SIM_SEEDS=1 node --test test/sim/tasks/tasks.test.ts`;
    throw new Error(`seed ${seed}: ${(error as Error).stack}\nrepeat with: ${again}`, { cause: error });
  } finally {
    process.off('unhandledRejection', onRejection);
  }
  return world;
}
