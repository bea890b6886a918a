/** A directory that was put back by hand is made safe; sequences are moved ahead where that is asked for. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { payloadCodec } from '../../src/backup/format/payload.ts';
import { Repository } from '../../src/backup/repository/repository.ts';
import { NotInPlace, restoreInPlace } from '../../src/backup/restore/in-place.ts';
import type { InPlaceReport } from '../../src/backup/restore/restore-marks.ts';
import { parseRestored, restoredKey } from '../../src/protocol/restored.ts';
import { accountId, serverAccount } from '../../src/protocol/ids.ts';
import { kinds, type Effect, type Kind } from '../../src/protocol/record.ts';
import { BackedUpStore, contentIn, emptyDirectory, restoreFrom } from '../support/backed-up-store.ts';
import { MemoryStorage } from '../support/memory-storage.ts';

const account = accountId('acc');
const jump = 1_000_000_000;
const set = (key: string): Effect => ({ kind: kinds.kv, key, till: 0, value: '1' });
const sequence = (key: string, value: number): Effect => ({ kind: kinds.sequence, key, till: 0, value: String(value) });

async function repositoryIn(storage: MemoryStorage): Promise<Repository> {
  return Repository.open(storage, await payloadCodec({}));
}

async function inPlace(
  dataDirectory: string,
  more: { repository?: Repository; adopt?: boolean; skipSequences?: number } = {},
): Promise<InPlaceReport> {
  return restoreInPlace({ dataDirectory, adopt: false, graceMs: 60_000, skipSequences: 0, randomBytes, ...more });
}

/** A server that has backups, and a copy of its directory from when it had `commits` commits. */
async function withImage(t: TestContext, storage: MemoryStorage): Promise<{ server: BackedUpStore; image: string }> {
  const server = await BackedUpStore.open(t, { storage });
  await server.agent.look();
  server.commit(account, [set('a')]);
  await server.settle();
  // In no object, and in no checkpoint.
  server.commit(account, [set('b')]);
  const image = emptyDirectory(t);
  fs.cpSync(server.directory, image, { recursive: true });
  return { server, image };
}

function entry(server: BackedUpStore, kind: Kind, of: typeof account, key: string): string | undefined {
  return server.shards.find(({ owns }) => owns(of, key))?.store.get(kind, of, key)?.value;
}

test('an old copy of a directory keeps its content, goes on ahead of all that the backup knows, and takes its place', async (t) => {
  const storage = new MemoryStorage();
  const { server, image } = await withImage(t, storage);
  const expected = server.contentAt(server.last);
  for (let i = 0; i < 5; i += 1) server.commit(account, [set(`later ${i}`)]);
  await server.settle();
  const report = await inPlace(image, { repository: await repositoryIn(storage), adopt: true });
  assert.deepEqual([report.revision, report.highestKnown, report.continuesWith], [2, server.last, server.last + jump]);
  assert.deepEqual((await contentIn(image)).content, expected);
  assert.ok(fs.existsSync(path.join(image, report.logBefore)), 'the log that it had is kept');

  const again = await BackedUpStore.open(t, { storage, directory: image });
  assert.equal(await again.agent.look(), undefined);
  assert.equal(again.cells.state, 'shipping');
  assert.deepEqual(parseRestored(entry(again, kinds.boot, serverAccount, restoredKey))?.ranges, [
    [2, server.last + jump],
  ]);
  again.commit(account, [set('new')]);
  await again.settle();
  await again.settle();
  server.advance(31_000);
  await server.settle();
  assert.equal(server.cells.state, 'superseded');
  const { content } = await contentIn((await restoreFrom(t, storage, { kind: 'latest' })).directory);
  const keys = [...content.keys()].filter((key) => key.startsWith('\u0003acc')).map((key) => key.slice(5));
  assert.deepEqual(keys, ['a', 'b', 'new']);
});

test('without a repository the directory alone says how far it was; without --adopt it ships nothing', async (t) => {
  const storage = new MemoryStorage();
  const { image } = await withImage(t, storage);
  const report = await inPlace(image);
  assert.deepEqual([report.continuesWith, report.knowsRepository], [2 + jump, false]);
  const again = await BackedUpStore.open(t, { storage, directory: image });
  await again.agent.look();
  assert.equal(again.cells.state, 'foreign');

  const other = new MemoryStorage();
  const { image: second } = await withImage(t, other);
  await inPlace(second, { repository: await repositoryIn(other) });
  const staging = await BackedUpStore.open(t, { storage: other, directory: second });
  await staging.agent.look();
  assert.equal(staging.cells.state, 'unadopted');
});

test('what is no data directory, or that of another log, is refused and left as it is', async (t) => {
  const storage = new MemoryStorage();
  const { image } = await withImage(t, storage);
  const other = new MemoryStorage();
  await withImage(t, other);
  await assert.rejects(
    inPlace(image, { repository: await repositoryIn(other) }),
    (error: Error) =>
      error instanceof NotInPlace && /expected the repository of this server, or none/.test(error.message),
  );
  const empty = emptyDirectory(t);
  await assert.rejects(inPlace(empty), /There is no store in/);
  assert.deepEqual(fs.readdirSync(empty), []);
  const same = await BackedUpStore.open(t, { storage, directory: image });
  await same.agent.look();
  assert.equal(same.cells.state, 'shipping', 'the refused directory is as it was');
});

test('sequences are moved ahead in the log, so that every copy leads to the same state', async (t) => {
  const storage = new MemoryStorage();
  const server = await BackedUpStore.open(t, { storage, segmentBytes: 1024 * 1024 });
  await server.agent.look();
  const top = Number.MAX_SAFE_INTEGER;
  const many = Array.from({ length: 2500 }, (_, i) => sequence(`many ${i}`, i));
  server.commit(account, [sequence('invoice', 41), sequence('full', top - 5), ...many]);
  server.commit(accountId('other'), [sequence('invoice', 7)]);
  await server.settle();
  const { directory, report } = await restoreFrom(
    t,
    storage,
    { kind: 'latest' },
    { skipSequences: 1000, adopt: true, randomBytes },
  );
  assert.equal(report.sequencesMoved, 2503);
  const check = (one: BackedUpStore): void => {
    assert.equal(entry(one, kinds.sequence, account, 'invoice'), '1041');
    assert.equal(entry(one, kinds.sequence, accountId('other'), 'invoice'), '1007');
    assert.equal(entry(one, kinds.sequence, account, 'full'), String(top));
    assert.equal(entry(one, kinds.sequence, account, 'many 2499'), '3499');
  };
  const again = await BackedUpStore.open(t, { storage, directory });
  check(again);
  await again.agent.look();
  again.commit(account, [set('k')]);
  await again.settle();
  await again.settle();
  // From the copy that was made before the restore.
  for (const key of storage.keys('copy/'))
    if (!key.includes(`-${String(1).padStart(6, '0')}-`)) storage.objects.delete(key);
  const third = await restoreFrom(t, storage, { kind: 'latest' });
  check(await BackedUpStore.open(t, { storage, directory: third.directory }));
});
