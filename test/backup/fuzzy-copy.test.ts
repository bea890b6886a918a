/**
 * A copy is read while the store changes: rows of many moments. With every effect after its `from` they are one state
 * again, at any revision from `consistent` on.
 */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { RowSource } from '../../src/backup/ship/copier.ts';
import { accountId, revision } from '../../src/protocol/ids.ts';
import { kinds, type Effect } from '../../src/protocol/record.ts';
import { oldestNeeds } from '../../src/protocol/readers.ts';
import { seededRandom, type SeededRandom } from '../support/seeded-random.ts';
import { BackedUpStore, contentIn, restoreFrom } from '../support/backed-up-store.ts';
import { MemoryStorage } from '../support/memory-storage.ts';

const account = accountId('acc');

function randomEffect(random: SeededRandom, now: number): Effect {
  const key = `k${random.below(12)}`;
  const kind = random.below(3) === 0 ? kinds.counter : kinds.kv;
  if (random.below(3) === 0) return { kind, key, till: 0 };
  return { kind, key, till: random.below(2) * (now + 1 + random.below(1000)), value: String(random.below(1000)) };
}

/** Whether what is restored is what the model has. @param tooHigh is added to `from` */
async function holds(t: TestContext, seed: number, tooHigh: number): Promise<boolean> {
  const random = seededRandom(seed);
  const storage = new MemoryStorage();
  let server: BackedUpStore | undefined;
  const change = async (): Promise<void> => {
    for (let commits = random.below(4); commits > 0; commits -= 1) {
      server!.commit(account, [randomEffect(random, server!.now), randomEffect(random, server!.now)]);
      server!.advance(10);
    }
    if (random.below(2) === 0) await server!.checkpoint(random.below(2));
  };
  let changes = Promise.resolve();
  server = await BackedUpStore.open(t, {
    storage,
    rows: (rows): RowSource => ({
      shards: rows.shards,
      needs: () => oldestNeeds,
      lowestWatermark: () => revision(rows.lowestWatermark() + tooHigh),
      rows(shard, start) {
        const read = rows.rows(shard, start, 1 + random.below(2));
        changes = changes.then(change);
        return read;
      },
    }),
  });
  for (let round = 0; round < 4; round += 1) await change();
  await server.checkpoint(0);
  await server.agent.look();
  await server.settle();
  await changes;
  const consistent = server.cells.get('copyRevision');
  await server.settle();
  const wanted = consistent + random.below(server.last - consistent + 1);
  const { directory } = await restoreFrom(t, storage, { kind: 'revision', revision: wanted });
  const { content } = await contentIn(directory);
  try {
    assert.deepEqual(content, server.contentAt(wanted), `seed ${seed}, revision ${wanted} of ${server.last}`);
    return true;
  } catch (error) {
    if (tooHigh > 0) return false;
    throw error;
  }
}

test('a copy that is made while the store changes leads to the state of every later revision', async (t) => {
  for (let seed = 1; seed <= 12; seed += 1) await holds(t, seed, 0);
});

test('with `from` one too high, a state is wrong', async (t) => {
  for (let seed = 1; seed <= 40; seed += 1) if (!(await holds(t, seed, 1))) return;
  assert.fail('the property holds for a copy that is wrong');
});
