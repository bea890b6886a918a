/** Who may write to a repository: one server at a time, and only one that goes on with what is there. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test, type TestContext } from 'node:test';
import { payloadCodec } from '../../src/backup/format/payload.ts';
import { claimWriter, isSuperseded, type Claimant } from '../../src/backup/repository/claims.ts';
import { Repository } from '../../src/backup/repository/repository.ts';
import type { RestoreGoal } from '../../src/backup/restore/restore-plan.ts';
import { accountId } from '../../src/protocol/ids.ts';
import { kinds, type Effect } from '../../src/protocol/record.ts';
import { BackedUpStore, contentIn, contentOf, emptyDirectory, restoreFrom } from '../support/backed-up-store.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { MemoryStorage } from '../support/memory-storage.ts';

const account = accountId('acc');
const set = (key: string): Effect => ({ kind: kinds.kv, key, till: 0, value: '1' });

/** A server that has shipped a commit; `close` makes room for the next start with its directory. */
async function started(t: TestContext, storage: MemoryStorage, directory = emptyDirectory(t)): Promise<BackedUpStore> {
  const server = await BackedUpStore.open(t, { storage, directory });
  await server.agent.look();
  return server;
}

function copyOfDirectory(t: TestContext, directory: string): string {
  const copy = emptyDirectory(t);
  fs.cpSync(directory, copy, { recursive: true });
  return copy;
}

test('each start is a writer of its own, and goes on with the next frame', async (t) => {
  const storage = new MemoryStorage();
  const first = await started(t, storage);
  first.commit(account, [set('a')]);
  await first.settle();
  const again = await started(t, storage, copyOfDirectory(t, first.directory));
  assert.equal(again.cells.get('writer'), 2);
  again.commit(account, [set('b')]);
  await again.settle();
  const { directory } = await restoreFrom(t, storage, { kind: 'latest' });
  const all = contentOf([...first.commits, ...again.commits]);
  assert.deepEqual((await contentIn(directory)).content, all);
  assert.equal(again.cells.get('copies'), 0, 'no copy was needed');
});

test('a server that was superseded ships nothing more, goes on, and does not claim back by itself', async (t) => {
  const storage = new MemoryStorage();
  const first = await started(t, storage);
  first.commit(account, [set('a')]);
  await first.settle();
  const clone = await started(t, storage, copyOfDirectory(t, first.directory));
  clone.commit(account, [set('b')]);
  await clone.settle();
  first.commit(account, [set('other')]);
  first.advance(31_000);
  await first.settle();
  assert.equal(first.cells.state, 'superseded');
  assert.ok(first.logged.some((line) => line.startsWith('error: Another server makes the backups')));
  const keys = storage.keys();
  first.commit(account, [set('more')]);
  first.advance(100_000);
  await first.settle();
  assert.deepEqual(storage.keys(), keys);
  assert.equal(clone.cells.state, 'shipping');

  first.cells.add('askedToAdopt', 1);
  await first.settle();
  await first.settle();
  assert.equal(first.cells.state, 'shipping');
  clone.advance(31_000);
  await clone.settle();
  assert.equal(clone.cells.state, 'superseded');
  const { directory } = await restoreFrom(t, storage, { kind: 'latest' });
  assert.deepEqual((await contentIn(directory)).content, first.contentAt(first.last));
});

test('a data directory that is older than its own backup is refused', async (t) => {
  const storage = new MemoryStorage();
  const first = await started(t, storage);
  first.commit(account, [set('a')]);
  await first.settle();
  const image = copyOfDirectory(t, first.directory);
  first.commit(account, [set('b')]);
  await first.settle();
  const old = await BackedUpStore.open(t, { storage, directory: image });
  const refusal = await old.agent.look();
  assert.match(refusal ?? '', /older than its own backup: it ends with revision 1, and the backup has 2/);
  assert.equal(old.cells.state, 'rolled_back');
});

test('a repository of another log is refused, also when it goes on with the same revisions', async (t) => {
  const storage = new MemoryStorage();
  const first = await started(t, storage);
  first.commit(account, [set('a')]);
  await first.settle();
  const image = copyOfDirectory(t, first.directory);
  first.commit(account, [set('b')]);
  await first.settle();
  const foreign = await BackedUpStore.open(t, { storage });
  foreign.commit(account, [set('x')]);
  assert.equal(await foreign.agent.look(), undefined, 'it serves');
  assert.equal(foreign.cells.state, 'foreign');
  const diverged = await BackedUpStore.open(t, { storage, directory: image });
  diverged.advance(77);
  diverged.commit(account, [set('c')]);
  await diverged.agent.look();
  assert.equal(diverged.cells.state, 'foreign');
  assert.deepEqual(storage.keys('writers/').length, 1);
});

test('a restored directory ships nothing until it is adopted', async (t) => {
  const storage = new MemoryStorage();
  const first = await started(t, storage);
  first.commit(account, [set('a')]);
  await first.settle();
  const { directory } = await restoreFrom(t, storage, { kind: 'latest' });
  const staging = await started(t, storage, directory);
  const keys = storage.keys();
  staging.commit(account, [set('b')]);
  await staging.settle();
  assert.equal(staging.cells.state, 'unadopted');
  assert.deepEqual(storage.keys(), keys);
  first.commit(account, [set('c')]);
  first.advance(31_000);
  await first.settle();
  assert.equal(first.cells.state, 'shipping', 'the server goes on');

  const other = await restoreFrom(t, storage, { kind: 'latest' }, { adopt: true });
  const adopted = await started(t, storage, other.directory);
  adopted.commit(account, [set('d')]);
  await adopted.settle();
  await adopted.settle();
  assert.equal(adopted.cells.state, 'shipping');
  const again = await restoreFrom(t, storage, { kind: 'latest' });
  const { content } = await contentIn(again.directory);
  const restoredKeys = [...content.keys()].filter((key) => key.startsWith('\u0003acc')).map((key) => key.slice(5));
  assert.deepEqual(restoredKeys, ['a', 'c', 'd']);
  assert.ok(again.report.continuesWith > 2_000_000_000, 'it jumped again');
  const left = await restoreFrom(t, storage, { kind: 'revision', revision: 1 });
  assert.equal((await contentIn(left.directory)).content.size, 1, 'the line before the restore is still there');
});

test('an empty directory in the place of a server is another server', async (t) => {
  const storage = new MemoryStorage();
  const first = await started(t, storage);
  first.commit(account, [set('a')]);
  await first.settle();
  const fresh = await started(t, storage);
  assert.equal(fresh.cells.state, 'foreign');
  await fresh.settle();
  assert.deepEqual(storage.keys('writers/').length, 1);
});

test('what a restore has given up in the middle of an object does not come back', async (t) => {
  const storage = new MemoryStorage();
  const first = await started(t, storage);
  await first.settle();
  for (const key of ['a', 'b', 'c', 'd']) first.commit(account, [set(key)]);
  first.advance(60_000);
  await first.settle();
  assert.equal(storage.keys('tail/').length, 1, 'all are in one object');
  const { directory } = await restoreFrom(t, storage, { kind: 'revision', revision: 2 }, { adopt: true });
  const adopted = await started(t, storage, directory);
  adopted.advance(120_000);
  adopted.commit(account, [set('e')]);
  await adopted.settle();
  await adopted.settle();
  const keysIn = async (goal: RestoreGoal): Promise<string[]> => {
    // From the copy of the first server.
    const before = storage.copy();
    for (const key of storage.keys('copy/')) if (!key.includes('-000001-')) before.objects.delete(key);
    const { content } = await contentIn((await restoreFrom(t, before, goal)).directory);
    return [...content.keys()].filter((key) => key.startsWith('\u0003acc')).map((key) => key.slice(5));
  };
  assert.deepEqual(await keysIn({ kind: 'latest' }), ['a', 'b', 'e']);
  assert.deepEqual(await keysIn({ kind: 'moment', at: first.now }), ['a', 'b']);
  assert.deepEqual(await keysIn({ kind: 'revision', revision: 4 }), ['a', 'b', 'c', 'd'], 'the line before is there');
  await assert.rejects(
    keysIn({ kind: 'revision', revision: 5 }),
    /the backup does not have it/,
    'it was never given out',
  );
});

function flip(storage: MemoryStorage, key: string): void {
  const { bytes } = storage.objects.get(key)!;
  bytes[bytes.length - 1]! ^= 1;
}

test('damage in the newest object keeps nobody from claiming: what it had is shipped again', async (t) => {
  const storage = new MemoryStorage();
  const first = await started(t, storage);
  for (const key of ['a', 'b', 'c']) {
    first.commit(account, [set(key)]);
    await first.settle();
  }
  flip(storage, storage.keys('tail/').at(-1)!);
  const again = await started(t, storage, copyOfDirectory(t, first.directory));
  assert.equal(again.cells.state, 'shipping');
  assert.equal(again.cells.get('damagedObjects'), 1);
  assert.ok(again.logged.some((line) => /error: The object tail.* is damaged.* shipped again/.test(line)));
  again.commit(account, [set('d')]);
  await again.settle();
  assert.equal(again.cells.get('gaps'), 0);
  const { directory } = await restoreFrom(t, storage, { kind: 'latest' });
  assert.deepEqual((await contentIn(directory)).content, contentOf([...first.commits, ...again.commits]));
});

test('where all objects of the last writer are damaged, the one before it is continued; without any, people decide', async (t) => {
  const storage = new MemoryStorage();
  const first = await started(t, storage);
  first.commit(account, [set('a')]);
  await first.settle();
  const second = await started(t, storage, copyOfDirectory(t, first.directory));
  second.commit(account, [set('b')]);
  await second.settle();
  for (const key of storage.keys('tail/000002/')) flip(storage, key);
  const image = copyOfDirectory(t, second.directory);
  const third = await started(t, storage, image);
  third.commit(account, [set('c')]);
  await third.settle();
  assert.equal(third.cells.state, 'shipping');
  const { directory } = await restoreFrom(t, storage, { kind: 'latest' });
  const all = contentOf([...first.commits, ...second.commits, ...third.commits]);
  assert.deepEqual((await contentIn(directory)).content, all);
  const old = await BackedUpStore.open(t, { storage, directory: copyOfDirectory(t, first.directory) });
  assert.match((await old.agent.look()) ?? '', /older than its own backup/);

  for (const key of [...storage.keys('tail/'), ...storage.keys('writers/')])
    if (!key.startsWith('tail/000002/')) flip(storage, key);
  const fourth = await started(t, storage, copyOfDirectory(t, third.directory));
  assert.equal(fourth.cells.state, 'damaged');
  fourth.cells.add('askedToAdopt', 1);
  await fourth.settle();
  assert.equal(fourth.cells.state, 'shipping');
});

/** Sixteen that claim at once, over a storage that overwrites: with any order of their calls. */
test('without conditional puts at most one of those who claim at once gets a number', async () => {
  const random = seededRandom(11);
  const randomName = (): string => `0000000${random.below(2 ** 30).toString(16)}`.slice(-8);
  for (let round = 0; round < 20; round += 1) {
    const storage = new MemoryStorage();
    storage.honoursConditions = false;
    storage.delay = async () => {
      for (let turns = random.below(8); turns > 0; turns -= 1) await Promise.resolve();
    };
    const id = 'a'.repeat(32);
    const codec = await payloadCodec({});
    const claims = await Promise.all(
      Array.from({ length: 16 }, async (_, server) => {
        const repository = await Repository.openOrCreate(storage, codec, id);
        await repository.probe();
        assert.equal(repository.fencing, 'list');
        const claimed = await claimWriter(repository, claimant(server, randomName));
        assert.ok(claimed.kind === 'claimed');
        return { repository, writer: claimed.writer };
      }),
    );
    const numbers = claims.map(({ writer }) => writer).toSorted((a, b) => a - b);
    assert.equal(new Set(numbers).size, 16, `round ${round}: ${numbers.join()}`);
    for (const { repository, writer } of claims)
      assert.equal(await isSuperseded(repository, writer), writer < numbers.at(-1)!, `round ${round}`);
  }
});

function claimant(server: number, randomName: () => string): Claimant {
  return {
    logId: '1'.repeat(16),
    boot: `server-${server}`,
    at: 0,
    durable: 0,
    checksumAt: () => undefined,
    oldestAfter: () => 0,
    randomName,
    restored: undefined,
  };
}
