/** What was shipped and copied leads back to each state, exactly. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import type { ManifestHeader } from '../../src/backup/format/headers.ts';
import { payloadCodec } from '../../src/backup/format/payload.ts';
import { Repository } from '../../src/backup/repository/repository.ts';
import { NoSpaceToRestore } from '../../src/backup/restore/restore.ts';
import type { RowSource } from '../../src/backup/ship/copier.ts';
import type { StoreRows } from '../../src/backup/ship/store-rows.ts';
import { accountId } from '../../src/protocol/ids.ts';
import { kinds, type Effect } from '../../src/protocol/record.ts';
import { NewerData } from '../../src/shared/newer-data.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { BackedUpStore, contentIn, emptyDirectory, restoreFrom } from '../support/backed-up-store.ts';
import { MemoryStorage } from '../support/memory-storage.ts';

const accounts = [accountId('a'), accountId('shop')];

function randomEffects(random: ReturnType<typeof seededRandom>, now: number): Effect[] {
  return Array.from({ length: 1 + random.below(4) }, () => {
    const key = `k${random.below(30)}`;
    const kind = [kinds.kv, kinds.counter, kinds.sequence][random.below(3)]!;
    if (random.below(4) === 0) return { kind, key, till: 0 };
    const till = random.below(2) === 0 ? 0 : now + random.below(100_000) + 1;
    return { kind, key, till, value: JSON.stringify('x'.repeat(random.below(300))) };
  });
}

test('restore: every revision and moment of a history is as the model has it', async (t) => {
  const seed = 1;
  const random = seededRandom(seed);
  const storage = new MemoryStorage();
  const server = await BackedUpStore.open(t, { storage, settings: { copy_hours: 1 } });
  await server.agent.look();
  server.commit(accounts[0]!, randomEffects(random, server.now));
  await server.settle();
  const firstCopied = server.commits.length - 1;
  for (let round = 0; round < 150; round += 1) {
    for (let writes = random.below(6); writes > 0; writes -= 1) {
      server.commit(accounts[random.below(2)]!, randomEffects(random, server.now));
      server.advance(1 + random.below(1000));
    }
    if (random.below(5) === 0) await server.checkpoint(random.below(2));
    if (random.below(3) === 0) await server.settle();
    server.advance(random.below(120_000));
  }
  await server.settle();
  assert.ok(storage.keys('log/').length > 2, 'tail objects were merged');
  assert.ok(
    storage.keys('copy/').filter((key) => key.endsWith('manifest.json')).length > 1,
    'there are several copies',
  );
  assert.equal(server.cells.get('gaps'), 0);

  const oldest = server.commits[firstCopied]!.rev;
  const goals = [oldest, server.last, ...Array.from({ length: 12 }, () => oldest + random.below(server.last - oldest))];
  for (const wanted of goals) {
    const { directory, report } = await restoreFrom(t, storage, { kind: 'revision', revision: wanted });
    const { content, deadlines } = await contentIn(directory);
    assert.deepEqual(content, server.contentAt(wanted), `seed ${seed}, revision ${wanted}`);
    assert.equal(deadlines, [...content.values()].filter((value) => value.split(' ')[1] !== '0').length);
    assert.equal(
      report.continuesWith,
      server.last + 1_000_000_000,
      'ahead of the highest revision, not of the restored',
    );
  }
  for (let moments = 0; moments < 6; moments += 1) {
    const at = server.commits[firstCopied + random.below(server.commits.length - firstCopied)]!.at + random.below(400);
    const wanted = server.commits.findLast((one) => one.at <= at)!.rev;
    const { directory, report } = await restoreFrom(t, storage, { kind: 'moment', at });
    assert.equal(report.revision, wanted, `seed ${seed}, moment ${at}`);
    assert.deepEqual((await contentIn(directory)).content, server.contentAt(wanted));
  }
});

test('restore: from a second place, to which a tool copies what is new, in any order and while the server goes on', async (t) => {
  const random = seededRandom(7);
  const storage = new MemoryStorage();
  const second = new MemoryStorage();
  const server = await BackedUpStore.open(t, { storage, settings: { copy_hours: 1 } });
  await server.agent.look();
  let restored = 0;
  for (let round = 0; round < 12; round += 1) {
    for (let writes = 0; writes < 5; writes += 1) server.commit(accounts[0]!, randomEffects(random, server.now));
    await server.settle();
    server.advance(20 * 60_000);
    const missing = storage.keys().filter((key) => !second.objects.has(key));
    const isCutShort = round % 3 !== 2;
    for (const key of missing)
      if (!isCutShort || random.below(2) === 0) second.objects.set(key, storage.objects.get(key)!);
    const done = await restoreFrom(t, second, { kind: 'latest' }).catch((error: Error) => {
      assert.ok(isCutShort, error.message);
    });
    if (done === undefined) continue;
    const { report, directory } = done;
    restored += 1;
    if (!isCutShort) assert.equal(report.revision, server.last);
    assert.deepEqual((await contentIn(directory)).content, server.contentAt(report.revision), `round ${round}`);
  }
  assert.ok(restored >= 4, `${restored}`);
});

/** As a newer server copies them. */
function newerRows(own: StoreRows): RowSource {
  const rows: RowSource['rows'] = (...args) => own.rows(...args);
  const needs = { reader: 2, kinds: ['future'] };
  return { shards: own.shards, lowestWatermark: () => own.lowestWatermark(), needs: () => needs, rows };
}

test('restore: a copy that an older server cannot read is refused before anything is made', async (t) => {
  const storage = new MemoryStorage();
  const server = await BackedUpStore.open(t, { storage, rows: newerRows });
  await server.agent.look();
  server.commit(accounts[0]!, [{ kind: kinds.kv, key: 'k', till: 0, value: '1' }]);
  await server.settle();
  const directory = emptyDirectory(t);
  const refused = restoreFrom(t, storage, { kind: 'latest' }, { directory });
  await assert.rejects(
    refused,
    (error) => error instanceof NewerData && /entries of the kind future/.test(error.message),
  );
  assert.deepEqual(fs.readdirSync(directory), []);
});

test('restore: too little space is said before anything is made', async (t) => {
  const storage = new MemoryStorage();
  const server = await BackedUpStore.open(t, { storage });
  await server.agent.look();
  server.commit(accounts[0]!, [{ kind: kinds.kv, key: 'k', till: 0, value: '1' }]);
  await server.settle();
  const repository = await Repository.open(storage, await payloadCodec({}));
  const key = storage.keys('copy/').find((name) => name.endsWith('manifest.json'))!;
  const { header } = await repository.readHeader<ManifestHeader>(key, 'manifest');
  storage.objects.delete(key);
  // As much as no disk has.
  await repository.create(key, repository.sealHeader({ ...header, raw: 2 ** 60 }));
  const directory = emptyDirectory(t);
  await assert.rejects(
    restoreFrom(t, storage, { kind: 'latest' }, { directory }),
    (error) => error instanceof NoSpaceToRestore && /may take \d+ MB, and \S+ has \d+ MB free/.test(error.message),
  );
  assert.deepEqual(fs.readdirSync(directory), []);
});
