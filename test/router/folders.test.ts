/** Lists of keys in folders, over one shard and several: every folder once, every key once, in order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KvList } from '../../src/protocol/operations/kv-pages.ts';
import { compareKeys } from '../../src/shared/text.ts';
import { accountsAfter, longestLines } from '../../src/protocol/operations/admin.ts';
import { accountId } from '../../src/protocol/ids.ts';
import { batch, kvList, lock, set } from '../support/commands.ts';
import { RouterUnderTest } from '../support/router-under-test.ts';
import { seededRandom } from '../support/seeded-random.ts';

const parts = ['a', 'b', 'é', '\u{10ffff}', '\uFFFF', 'a'.repeat(40), ' ', '<script>'];

interface Listed {
  readonly keys: string[];
  readonly folders: string[];
  readonly pages: number;
}

async function listAll(server: RouterUnderTest, ask: KvList): Promise<Listed> {
  const listed: Listed & { pages: number } = { keys: [], folders: [], pages: 0 };
  let after: string | undefined;
  do {
    const page = await server.ok({ ...ask, ...(after !== undefined && { after }) });
    listed.keys.push(...page.KV.map(({ Key }) => Key));
    listed.folders.push(...(page['Folders'] as string[]));
    listed.pages += 1;
    after = page['After'] as string | undefined;
    assert.ok(listed.pages < 1000, 'a page goes on');
  } while (after !== undefined);
  return listed;
}

for (const shards of [1, 3]) {
  test(`with ${shards} shards: pages of any size show every folder and every key once, in order`, async () => {
    for (let seed = 1; seed <= 12; seed += 1) {
      const random = seededRandom(seed);
      const server = new RouterUnderTest({ shards, seed });
      const name = (): string =>
        Array.from({ length: 1 + random.below(4) }, () => parts[random.below(parts.length)]!).join('/');
      const all = [...new Set(Array.from({ length: 60 }, name))];
      await server.ok(batch({ set: all.map((key) => ({ key, value: '1' })) }));
      for (const prefix of ['', 'a', 'a/', 'é/', 'nothing/']) {
        const below = all.filter((key) => key.startsWith(prefix));
        const inFolders = below.filter((key) => key.slice(prefix.length).includes('/'));
        const folders = inFolders.map((key) => key.slice(0, key.indexOf('/', prefix.length) + 1));
        const limit = 1 + random.below(9);
        const listed = await listAll(server, kvList(prefix, { delimiter: '/', limit }));
        const wanted = [...new Set(folders)].toSorted(compareKeys);
        assert.deepEqual(listed.folders, wanted, `seed ${seed}: folders below ${JSON.stringify(prefix)}`);
        const keys = below.filter((key) => !inFolders.includes(key)).toSorted(compareKeys);
        assert.deepEqual(listed.keys, keys, `seed ${seed}: keys below ${JSON.stringify(prefix)}`);
      }
      assert.deepEqual(server.leftovers(), {});
    }
  });

  test(`with ${shards} shards: sizes stand for values`, async () => {
    const server = new RouterUnderTest({ shards });
    await server.ok(set('k', 'é'));
    const { KV } = await server.ok(kvList('', { sizes: true }));
    assert.deepEqual([KV[0]!.Value, (KV[0] as unknown as { Bytes: number }).Bytes], [undefined, 4]);
  });

  test(`with ${shards} shards: accounts are listed once, with what they have on all shards, and lines by their length`, async () => {
    const server = new RouterUnderTest({ shards });
    const names = ['b', 'a', 'long-name', 'zz'].map(accountId);
    for (const account of names) {
      const keys = Array.from({ length: 20 }, (_, i) => ({ key: `k${i}`, value: '1' }));
      await server.ok({ ...batch({ set: keys }), account });
    }
    const first = await server.ok(accountsAfter(undefined, 3));
    const rows = first['Accounts'] as { Account: string; Keys: number }[];
    assert.deepEqual(
      rows.map(({ Account, Keys }) => [Account, Keys]),
      [
        ['a', 20],
        ['b', 20],
        ['zz', 20],
      ],
    );
    assert.equal(first['After'], 'zz');
    const rest = await server.ok(accountsAfter(accountId('zz'), 3));
    assert.deepEqual(
      (rest['Accounts'] as typeof rows).map(({ Account }) => Account),
      ['long-name'],
    );
    assert.equal(rest['More'], undefined);

    for (const [id, waiters] of [
      ['few', 1],
      ['many', 5],
      ['some', 3],
    ] as const) {
      await server.ok(lock(id, { owner: 'holder' }));
      for (let i = 0; i < waiters; i += 1) server.send(lock(id, { owner: `w${i}`, waitMs: 5000 }));
    }
    await server.settle();
    const { Locks, More } = (await server.ok(longestLines(undefined))) as unknown as {
      Locks: { LockID: string; Waiters: number; Account: string }[];
      More?: boolean;
    };
    assert.deepEqual(
      Locks.map(({ Account, LockID, Waiters }) => [Account, LockID, Waiters]),
      [
        ['acme', 'many', 5],
        ['acme', 'some', 3],
        ['acme', 'few', 1],
      ],
    );
    assert.equal(More, undefined);
    assert.deepEqual((await server.ok(longestLines(accountId('b'))))['Locks'], []);
  });
}
