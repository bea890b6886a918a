/** Deleting below a prefix, over several shards: a page is one commit (I33). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { acme, batch, kvList, set, watch } from '../../support/commands.ts';
import { RouterUnderTest } from '../../support/router-under-test.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';

function clear(prefix: string, more: { after?: string; limit?: number } = {}): Batch {
  return batch({ format: 'kv.clear', clear: { prefix, limit: 1000, ...more } });
}

const keys = Array.from({ length: 40 }, (_, i) => `p/${String(i).padStart(2, '0')}`);

for (const shards of [1, 3]) {
  test(`with ${shards} shards: a page is one commit of exactly its keys, and the next goes on behind it`, async () => {
    const server = new RouterUnderTest({ shards });
    for (const key of [...keys, 'o', 'q']) await server.ok(set(key, key));
    const before = server.records.length;
    const first = await server.ok(clear('p/', { limit: 15 }));
    assert.deepEqual([first['Deleted'], first['More'], first['After']], [15, true, 'p/14']);
    assert.equal(server.records.length, before + 1);
    const [record] = server.records.slice(-1);
    assert.deepEqual(record!.effects.map(({ key }) => key).toSorted(), keys.slice(0, 15));
    const left = await server.ok(kvList('p/'));
    assert.deepEqual(
      left.KV.map(({ Key }) => Key),
      keys.slice(15),
    );
    const rest = await server.ok(clear('p/', { after: 'p/19' }));
    assert.deepEqual([rest['Deleted'], rest['More']], [20, undefined]);
    const end = await server.ok(clear('p/'));
    assert.equal(end['Deleted'], 5);
    const { Rev } = await server.ok(clear('p/'));
    assert.deepEqual([server.records.at(-1)!.rev, server.records.length], [Rev, before + 3], 'nothing is no commit');
    assert.deepEqual(
      (await server.ok(kvList(''))).KV.map(({ Key }) => Key),
      ['o', 'q'],
    );
    assert.deepEqual(server.leftovers(), {});
  });

  test(`with ${shards} shards: whoever writes below the prefix does so before the page or after it`, async () => {
    for (let seed = 1; seed <= 40; seed += 1) {
      const server = new RouterUnderTest({ shards, routers: 2, seed });
      for (const key of keys.slice(0, 6)) await server.ok(set(key, 'old'));
      const cleared = server.send(clear('p/'), 0);
      const written = keys.slice(0, 6).map((key) => server.send(set(key, 'new'), 1));
      const read = server.send(kvList('p/'), 1);
      await server.settle();
      const rev = cleared.body.Rev;
      const kept = written.filter(({ body }) => body.KVSet[0]!.Version > rev).length;
      assert.equal((await server.ok(kvList('p/'))).KV.length, kept, `seed ${seed}`);
      const seen = read.body.KV.filter(({ Version }) => Version < rev).length;
      assert.ok(read.body.Rev < rev || seen === 0, `seed ${seed}: a list shows half a page`);
      assert.deepEqual(server.leftovers(), {});
    }
  });

  test(`with ${shards} shards: watchers of deleted keys are told, and a repeated call under an id is answered`, async () => {
    const server = new RouterUnderTest({ shards });
    const { KVSet } = await server.ok(set('p/a', 1));
    const client = server.client();
    server.router.watchKeys(acme, [{ key: 'p/a', version: KVSet[0]!.Version }], 60_000, client);
    await server.settle();
    const ids = { idempotency: { ids: ['once'], ttlMs: 60_000, mode: 'replay', fingerprint: 'f' } } as const;
    const done = await server.ok({ ...clear('p/'), ...ids });
    assert.equal(done['Deleted'], 1);
    assert.deepEqual([client.body['Deleted'], client.body.Rev], [true, done.Rev]);
    await server.ok(set('p/b', 1));
    const again = await server.ok({ ...clear('p/'), ...ids });
    assert.deepEqual(again, done);
    await server.ok(watch('p/b', 0));
  });
}
