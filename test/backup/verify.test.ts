/** What is damaged is found and named; what is old goes, and nothing that is needed. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { sealObject } from '../../src/backup/format/backup-object.ts';
import { NoIdentity, payloadCodec, type PayloadKeys } from '../../src/backup/format/payload.ts';
import { readCatalog } from '../../src/backup/repository/catalog.ts';
import { Repository } from '../../src/backup/repository/repository.ts';
import { prune } from '../../src/backup/ship/prune.ts';
import { drill, noteCheck } from '../../src/backup/verify/drill.ts';
import { verify } from '../../src/backup/verify/verify.ts';
import { accountId } from '../../src/protocol/ids.ts';
import { kinds, type Effect } from '../../src/protocol/record.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { BackedUpStore, contentIn, emptyDirectory, restoreFrom } from '../support/backed-up-store.ts';
import { MemoryStorage } from '../support/memory-storage.ts';

const account = accountId('acc');
const set = (key: string, value: string): Effect => ({ kind: kinds.kv, key, till: 0, value: JSON.stringify(value) });
const dayMs = 24 * 60 * 60 * 1000;

async function open(storage: MemoryStorage, keys: PayloadKeys = {}): Promise<Repository> {
  return Repository.open(storage, await payloadCodec(keys));
}

/** A repository with two copies, objects of both kinds, and a check. */
async function history(t: TestContext, storage: MemoryStorage, recipients: string[] = []): Promise<BackedUpStore> {
  const server = await BackedUpStore.open(t, { storage, settings: { recipients, prune: false } });
  await server.agent.look();
  for (let round = 0; round < 12; round += 1) {
    server.commit(account, [set(`k${round % 5}`, `value ${round}`)]);
    server.advance(150_000);
    if (round % 4 === 3) await server.checkpointAll();
    if (round === 7) server.cells.add('askedForCopies', 1);
    await server.settle();
  }
  assert.ok(storage.keys('log/').length > 0);
  return server;
}

test('each flip of a bit is found, and names the object', async (t) => {
  const random = seededRandom(3);
  const storage = new MemoryStorage();
  await history(t, storage);
  const repository = await open(storage);
  await noteCheck(repository, 5, { what: 'read', ok: true, problems: [] });
  assert.deepEqual((await verify(repository, { read: true, random: () => random.next() })).problems, []);
  const keys = storage.keys().filter((key) => key !== 'repository.json');
  const most = Number(process.env['DRAGONLOCK_BACKUP_FLIPS'] ?? 150);
  for (let flips = 0; flips < most; flips += 1) {
    const key = keys[random.below(keys.length)]!;
    const { bytes } = storage.objects.get(key)!;
    const [at, bit] = [random.below(bytes.length), 1 << random.below(8)];
    bytes[at]! ^= bit;
    const { problems } = await verify(repository, { read: true, random: () => random.next() });
    assert.ok(
      problems.some((problem) => problem.includes(key)),
      `bit ${bit} of byte ${at} of ${key}: ${problems.join()}`,
    );
    bytes[at]! ^= bit;
  }
  const { bytes } = storage.objects.get('repository.json')!;
  bytes[bytes.length >> 1]! ^= 1;
  await assert.rejects(open(storage), /repository\.json is damaged/);
});

test('the server knows within an hour when a check and a drill last found nothing wrong', async (t) => {
  const storage = new MemoryStorage();
  const server = await history(t, storage);
  const repository = await open(storage);
  const seen = (): number[] => [server.cells.get('verifiedAt'), server.cells.get('drilledAt')];
  assert.deepEqual(seen(), [0, 0]);
  await noteCheck(repository, 5000, { what: 'drill', ok: true, problems: [] });
  await noteCheck(repository, 6000, { what: 'read', ok: true, problems: [] });
  await noteCheck(repository, 7000, { what: 'drill', ok: false, problems: ['wrong'] });
  server.advance(60 * 60 * 1000);
  await server.settle();
  assert.deepEqual(seen(), [6000, 5000]);
  await noteCheck(repository, 8000, { what: 'drill', ok: true, problems: [] });
  server.advance(60 * 60 * 1000);
  await server.settle();
  assert.deepEqual(seen(), [6000, 8000]);
});

test('a missing object is found by lists, and one that stands for another by reading', async (t) => {
  const storage = new MemoryStorage();
  await history(t, storage);
  const log = storage.keys('log/')[1]!;
  const [, first, last] = /(\d{16})-(\d{16})$/.exec(log)!;
  const gone = storage.copy();
  gone.objects.delete(log);
  for (const key of gone.keys('tail/'))
    if (key.slice(-33, -17) >= first! && key.slice(-16) <= last!) gone.objects.delete(key);
  const lists = await verify(await open(gone), { read: false, random: Math.random });
  assert.equal(lists.problems.length, 1);
  assert.match(lists.problems[0]!, /revisions \d+ to \d+ before it are missing/);
  const block = storage.keys('copy/').find((key) => /\/\d+$/.test(key))!;
  const without = storage.copy();
  without.objects.delete(block);
  assert.match((await verify(await open(without), { read: false, random: Math.random })).problems[0]!, /is missing/);
  const swapped = storage.copy();
  const [one, other] = storage.keys('tail/');
  swapped.objects.set(one!, storage.objects.get(other!)!);
  const found = await verify(await open(swapped), { read: true, random: Math.random });
  assert.ok(found.problems.some((problem) => problem.includes(one!)));
});

test('a newer format is named as such, and not as damage', async (t) => {
  const storage = new MemoryStorage();
  await history(t, storage);
  const id = (await open(storage)).id;
  const newer = sealObject({ kind: 'repository', format: 2, id });
  storage.objects.set('repository.json', { bytes: newer.bytes, madeAt: 0 });
  await assert.rejects(open(storage), /has format 2; this version reads up to 1/);
});

test('a drill finds a copy that is wrong in content, although its hashes are right', async (t) => {
  const storage = new MemoryStorage();
  await history(t, storage);
  const repository = await open(storage);
  const scratch = <T>(use: (directory: string) => Promise<T>): Promise<T> => use(emptyDirectory(t));
  const good = await drill(repository, scratch);
  assert.deepEqual([good.ok, good.copies.length], [true, 2]);
  const { copies } = await readCatalog(repository);
  const { name, manifest } = copies.at(-1)!;
  const key = `${name.folder}000000`;
  const { raw } = await repository.read<never>(key, 'block' as never);
  raw[raw.lastIndexOf('value 7') + 2]! ^= 1;
  const block = await repository.seal({ kind: 'block', copy: name.folder, block: 0, rows: manifest.rows }, raw);
  const { sha256: _, ...rest } = JSON.parse(
    storage.objects.get(`${name.folder}manifest.json`)!.bytes.toString('utf8').split('\n')[0]!,
  ) as Record<string, unknown>;
  const forged = sealObject({ ...rest, blocks: [block.sha256] } as never);
  storage.objects.set(key, { bytes: block.bytes, madeAt: 0 });
  storage.objects.set(`${name.folder}manifest.json`, { bytes: forged.bytes, madeAt: 0 });
  assert.deepEqual((await verify(repository, { read: true, random: Math.random })).problems, []);
  assert.equal((await drill(repository, scratch)).ok, false);
});

test('an encrypted backup is read by its identity alone; the server has only the public key', async (t) => {
  const identity = await generateX25519Identity();
  const recipient = await identityToRecipient(identity);
  const storage = new MemoryStorage();
  const server = await history(t, storage, [recipient]);
  for (const [key, { bytes }] of storage.objects)
    assert.ok(
      !bytes.includes('value 1') && (/writers|repository|manifest/.test(key) || bytes.includes('age-encryption.org')),
    );
  const { directory } = await restoreFrom(t, storage, { kind: 'latest' }, { keys: { identities: [identity] } });
  assert.deepEqual((await contentIn(directory)).content, server.contentAt(server.last));
  await assert.rejects(restoreFrom(t, storage, { kind: 'latest' }), NoIdentity);
  const other = await generateX25519Identity();
  await assert.rejects(restoreFrom(t, storage, { kind: 'latest' }, { keys: { identities: [other] } }), NoIdentity);
});

test('prune keeps every moment and copy that retention promises, and restores from what is left', async (t) => {
  const storage = new MemoryStorage();
  const server = await BackedUpStore.open(t, { storage, settings: { prune: false, copy_hours: 12 } });
  await server.agent.look();
  server.commit(account, [set('k', 'first')]);
  for (let halfDays = 0; halfDays < 24; halfDays += 1) {
    for (let writes = 0; writes < 3; writes += 1) {
      server.commit(account, [set(`k${writes}`, `at ${server.now}`)]);
      storage.time = server.now;
      await server.settle();
      server.advance(dayMs / 6);
    }
    await server.checkpointAll();
  }
  storage.time = server.now;
  const before = storage.objects.size;
  const repository = await open(storage);
  const retention = { keepMomentsMs: 3 * dayMs, keepCopiesMs: 6 * dayMs };
  const removed = await prune(repository, await readCatalog(repository), retention, storage.time);
  assert.ok(removed > 20 && storage.objects.size === before - removed + 1, `${removed} of ${before} objects are gone`);
  assert.deepEqual((await verify(repository, { read: true, random: Math.random })).problems, []);
  const kept = server.commits.filter(({ at }) => at >= server.now - 3 * dayMs);
  for (const { rev } of [kept[0]!, kept[kept.length >> 1]!, kept.at(-1)!]) {
    const { directory } = await restoreFrom(t, storage, { kind: 'revision', revision: rev });
    assert.deepEqual((await contentIn(directory)).content, server.contentAt(rev), `revision ${rev}`);
  }
  const copies = (await readCatalog(repository)).copies.map(({ manifest }) => manifest.consistent);
  for (const rev of copies) {
    const { directory } = await restoreFrom(t, storage, { kind: 'revision', revision: rev });
    assert.deepEqual((await contentIn(directory)).content, server.contentAt(rev), `the copy of revision ${rev}`);
  }
  const oldest = server.commits.find(({ rev }) => rev === copies[0])!;
  assert.ok(oldest.at < server.now - 5 * dayMs, 'old copies are kept');
  assert.equal(await prune(repository, await readCatalog(repository), retention, storage.time), 0, 'once is enough');

  storage.time += 1000 * dayMs;
  await prune(repository, await readCatalog(repository), retention, storage.time);
  assert.equal((await readCatalog(repository)).copies.length, 2, 'two copies stay, whatever their age');
  const { directory } = await restoreFrom(t, storage, { kind: 'latest' });
  assert.deepEqual((await contentIn(directory)).content, server.contentAt(server.last));
});

test('a damaged object of ten minutes is named, and the ones that it was made of are used while they are there', async (t) => {
  const storage = new MemoryStorage();
  const server = await history(t, storage);
  // Only the first copy is left, so that all of the log is needed.
  const [first] = storage.keys('copy/').filter((key) => key.endsWith('manifest.json'));
  assert.ok(first !== undefined);
  for (const key of storage.keys('copy/')) if (!key.startsWith(first.slice(0, -13))) storage.objects.delete(key);
  const damaged = storage.keys('log/').at(-1);
  assert.ok(damaged !== undefined);
  const { bytes } = storage.objects.get(damaged)!;
  bytes[bytes.length - 1]! ^= 1;
  const notes: string[] = [];
  const onNote = (note: string): void => void notes.push(note);
  const { directory } = await restoreFrom(t, storage, { kind: 'latest' }, { onNote });
  assert.deepEqual((await contentIn(directory)).content, server.contentAt(server.last));
  assert.equal(notes.length, 1);
  assert.ok(notes.join().includes(damaged), notes.join());
  for (const key of storage.keys('tail/')) storage.objects.delete(key);
  await assert.rejects(
    restoreFrom(t, storage, { kind: 'revision', revision: server.last - 1 }),
    /damaged|does not have it/,
  );
});
