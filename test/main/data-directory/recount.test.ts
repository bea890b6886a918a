import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountId, revision } from '../../../src/protocol/ids.ts';
import { kinds } from '../../../src/protocol/record.ts';
import { recountDataDirectory } from '../../../src/main/data-directory/recount.ts';
import { storeFormat } from '../../../src/storage/lmdb/lmdb-store.ts';
import { ShardStore } from '../../../src/storage/shard-store.ts';
import { checkpointer, entry, openStore, temporaryDirectory, zero } from '../../storage/store-support.ts';

const acme = accountId('acme');

test('a recount finds each count that is not that of the content, and changes nothing', async () => {
  using directory = temporaryDirectory();
  const lmdb = openStore(directory.path);
  lmdb.writeLayout({ format: storeFormat, logId: '0', shards: 1, generation: 1 });
  const store = new ShardStore(lmdb.shard(zero));
  for (let i = 0; i < 20; i += 1) store.put(kinds.kv, acme, `k${i}`, entry(1, 0));
  store.put(kinds.queue, acme, 'q\0m:9', entry(1, 0));
  await checkpointer(store, lmdb.shard(zero)).start(revision(1));
  await lmdb.close();
  const right = await recountDataDirectory(directory.path);
  assert.deepEqual([right.entries, right.differences], [21, []]);

  const again = openStore(directory.path);
  const { bytes } = new ShardStore(again.shard(zero)).countOf(acme, kinds.kv);
  again.transaction(() => again.shard(zero).putCount({ account: acme, kind: kinds.kv, part: '', entries: 21, bytes }));
  await again.close();
  for (let round = 0; round < 2; round += 1) {
    const { differences } = await recountDataDirectory(directory.path);
    assert.deepEqual(differences, [
      { shard: 0, account: 'acme', what: 'kv', stored: [21, bytes], counted: [20, bytes] },
    ]);
  }
});
