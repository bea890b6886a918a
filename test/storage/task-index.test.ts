/** The index of tasks that fall due, over memtables and checkpoints, against a map that is sorted for each question. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountId, revision, serverAccount } from '../../src/protocol/ids.ts';
import { kinds } from '../../src/protocol/record.ts';
import type { DuePlace } from '../../src/protocol/entries.ts';
import { ShardStore } from '../../src/storage/shard-store.ts';
import { MapEntries } from '../support/map-entries.ts';
import { MemoryCheckpointStore } from '../support/memory-checkpoint-store.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { checkpointer, entry } from './store-support.ts';

const accounts = ['a', 'ab', 'b'].map(accountId);
const beginning: DuePlace = { till: 0, account: serverAccount, key: '' };

test('due tasks: they come in order behind any place, and end nothing', async () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const random = seededRandom(seed);
    const one = <Item>(items: readonly Item[]): Item => items[random.below(items.length)]!;
    const level = new MemoryCheckpointStore();
    let store = new ShardStore(level);
    const map = new MapEntries();
    for (let rev = 1; rev <= 300; rev += 1) {
      const kind = random.below(5) === 0 ? kinds.kv : kinds.taskState;
      const account = one(accounts);
      const key = one(['k', 'k\u{1F600}', 'l', 'm/n', 'é']);
      for (const entries of random.below(4) === 0 ? [] : [store, map])
        entries.put(kind, account, key, entry(rev, (rev * 7919 + seed) % 13));
      if (random.below(4) === 0) for (const entries of [store, map]) entries.delete(kind, account, key);
      const checkpoint = random.below(40);
      if (checkpoint < 2) await checkpointer(store, level).start(revision(rev));
      if (checkpoint === 0) store = new ShardStore(level);
      const now = random.below(15);
      const place = random.below(3) === 0 ? beginning : { till: random.below(13), account, key };
      const limit = 1 + random.below(6);
      assert.deepEqual(store.dueTasks(now, place, limit), map.dueTasks(now, place, limit), `seed ${seed}, step ${rev}`);
      assert.equal(store.nextTask(place, now), map.nextTask(place, now), `seed ${seed}, step ${rev}`);
      assert.ok(store.nextDeadline() <= map.nextDeadline(), `seed ${seed}: an entry is never filed after its till`);
      assert.equal(map.nextDeadline() === Infinity, store.nextDeadline() === Infinity, 'tasks are no deadlines');
    }
    const found = store.due(100, 1000);
    assert.ok(found.every(({ kind }) => kind === kinds.kv));
  }
});
