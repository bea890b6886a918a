/** The two kinds of storage behave alike, and say what is wrong. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { payloadCodec } from '../../src/backup/format/payload.ts';
import { Repository } from '../../src/backup/repository/repository.ts';
import { openStorage } from '../../src/backup/storage/open-storage.ts';
import { readSecret } from '../../src/backup/storage/s3-credentials.ts';
import { StorageError, type BackupStorage, type StorageFault } from '../../src/backup/storage/storage.ts';
import { parseStorageUrl } from '../../src/backup/storage/storage-url.ts';
import { BackedUpStore, contentIn, emptyDirectory, restoreFrom } from '../support/backed-up-store.ts';
import { S3Server } from '../support/s3-server.ts';
import { accountId } from '../../src/protocol/ids.ts';
import { kinds } from '../../src/protocol/record.ts';

async function s3(t: TestContext): Promise<{ server: S3Server; storage: BackupStorage }> {
  const server = new S3Server();
  const endpoint = await server.listen();
  const settings = { endpoint, region: 'here', path_style: true, access_key_id: 'id', secretAccessKey: () => 'secret' };
  const storage = await openStorage('s3://bucket/some/prefix', settings);
  t.after(async () => {
    storage.close();
    await server.close();
  });
  return { server, storage };
}

const kindsOfStorage: Readonly<Record<string, (t: TestContext) => Promise<BackupStorage>>> = {
  'file://': async (t) => openStorage(`file://${emptyDirectory(t)}`),
  's3://': async (t) => (await s3(t)).storage,
};

for (const [kind, make] of Object.entries(kindsOfStorage)) {
  test(`${kind}: an object is made once, and read as it was made`, async (t) => {
    const storage = await make(t);
    const bytes = Buffer.from([0, 255, 1, 10, 13]);
    assert.equal(await storage.get('a/b'), undefined);
    assert.equal(await storage.head('a/b'), undefined);
    assert.equal(await storage.put('a/b', bytes), 'created');
    assert.equal(await storage.put('a/b', Buffer.from('other')), 'exists');
    assert.deepEqual(await storage.get('a/b'), bytes);
    assert.equal((await storage.head('a/b'))?.bytes, 5);
    assert.ok(Math.abs((storage.now() ?? 0) - Date.now()) < 60_000);
  });

  test(`${kind}: one of sixteen that make an object at once succeeds`, async (t) => {
    const storage = await make(t);
    const made = await Promise.all(Array.from({ length: 16 }, (_, i) => storage.put('claim', Buffer.from(`${i}`))));
    assert.equal(made.filter((one) => one === 'created').length, 1);
  });

  test(`${kind}: lists by prefix, in order, however many there are; deletes`, async (t) => {
    const storage = await make(t);
    const keys = ['tail/1/a', 'tail/1/b', 'tail/10/a', 'tail/2/c', 'tails', 'log/1', 'x/y/z/w'];
    for (const key of keys) await storage.put(key, Buffer.from(key));
    const listed = async (prefix: string): Promise<string[]> => (await storage.list(prefix)).map(({ key }) => key);
    assert.deepEqual(await listed('tail/'), ['tail/1/a', 'tail/1/b', 'tail/10/a', 'tail/2/c']);
    assert.deepEqual(await listed('tail/1'), ['tail/1/a', 'tail/1/b', 'tail/10/a']);
    assert.deepEqual(await listed(''), keys.toSorted());
    assert.deepEqual(await listed('nothing/'), []);
    await storage.delete('tail/1/a');
    await storage.delete('tail/1/a');
    assert.deepEqual(await listed('tail/1/'), ['tail/1/b']);
  });

  test(`${kind}: a store is backed up to it and restored from it`, async (t) => {
    const storage = await make(t);
    const server = await BackedUpStore.open(t, { storage });
    await server.agent.look();
    for (let i = 0; i < 10; i += 1) {
      server.commit(accountId('acc'), [{ kind: kinds.kv, key: `k${i % 4}`, till: 0, value: `${i}` }]);
      await server.settle();
    }
    const { directory } = await restoreFrom(t, storage, { kind: 'latest' });
    assert.deepEqual((await contentIn(directory)).content, server.contentAt(server.last));
  });
}

test('s3://: failures are told apart, and the next call works again', async (t) => {
  const { server, storage } = await s3(t);
  const faults: [number, string, StorageFault][] = [
    [503, 'SlowDown', 'slow_down'],
    [500, 'InternalError', 'unreachable'],
    [403, 'AccessDenied', 'denied'],
    [403, 'RequestTimeTooSkewed', 'skewed'],
    [400, 'ExpiredToken', 'denied'],
    [507, 'InsufficientStorage', 'full'],
  ];
  for (const [status, code, fault] of faults) {
    server.plan = () => ({ status, code });
    await assert.rejects(
      storage.put('a', Buffer.from('a')),
      (error: unknown) => error instanceof StorageError && error.fault === fault,
      code,
    );
  }
  server.plan = (method) => (method === 'PUT' ? { status: 0, code: '', done: true } : undefined);
  await assert.rejects(storage.put('a', Buffer.from('a')), /put a/);
  server.plan = () => undefined;
  assert.equal(await storage.put('a', Buffer.from('a')), 'exists', 'the answer was lost, and it was done');
  server.plan = (method) => (method === 'GET' ? { status: 0, code: '', done: true, cutAfter: 0 } : undefined);
  await assert.rejects(storage.get('a'), StorageError, 'an answer that ends too early is none');
  server.plan = () => undefined;
  assert.deepEqual(await storage.get('a'), Buffer.from('a'));
  server.honoursConditions = false;
  const repository = await Repository.openOrCreate(storage, await payloadCodec({}), 'a'.repeat(32));
  await repository.probe();
  assert.equal(repository.fencing, 'list');
  server.honoursConditions = true;
  await repository.probe();
  assert.equal(repository.fencing, 'put');
  server.skewMs = 3_600_000;
  await storage.head('a');
  assert.ok((storage.now() ?? 0) > Date.now() + 3_500_000, 'the time is the storage’s');
});

test('s3://: each object is one request, and shipping lists nothing', async (t) => {
  const { server, storage } = await s3(t);
  const backed = await BackedUpStore.open(t, { storage, settings: { prune: false } });
  await backed.agent.look();
  backed.commit(accountId('acc'), [{ kind: kinds.kv, key: 'k', till: 0, value: '1' }]);
  await backed.settle();
  server.requests.length = 0;
  for (let i = 0; i < 5; i += 1) {
    backed.commit(accountId('acc'), [{ kind: kinds.kv, key: 'k', till: 0, value: `${i}` }]);
    await backed.settle();
  }
  assert.equal(server.requests.length, 5);
  assert.ok(server.requests.every((one) => one.startsWith('PUT some/prefix/tail/000001/')));
});

test('file://: a file system that refuses is told apart; what a crash has left is not an object', async (t) => {
  const directory = emptyDirectory(t);
  const storage = await openStorage(`file://${directory}`);
  await storage.put('a', Buffer.from('a'));
  fs.writeFileSync(path.join(directory, 'tmp', '1-2-3'), 'half');
  assert.deepEqual(
    (await storage.list('')).map(({ key }) => key),
    ['a'],
  );
  fs.writeFileSync(path.join(directory, 'tail'), '');
  await assert.rejects(storage.put('tail/b', Buffer.from('b')), StorageError);
});

test('a URL of a storage says what is wrong with it', () => {
  assert.deepEqual(parseStorageUrl('s3://bucket/a/b/'), { kind: 's3', bucket: 'bucket', prefix: 'a/b' });
  assert.deepEqual(parseStorageUrl('file:///var/backups'), { kind: 'file', directory: '/var/backups' });
  for (const wrong of [
    '',
    'backups',
    '/var/backups',
    'file://host/x',
    'file:///',
    'http://x/y',
    's3://',
    's3://b/x?y=1',
  ])
    assert.match(problemOf(wrong), /expected s3:\/\/BUCKET/, wrong);
  assert.match(problemOf('s3://key:secret@bucket/x'), /credentials in the URL/);
});

test('a secret that others may read is refused by name', (t) => {
  const file = path.join(emptyDirectory(t), 'secret');
  fs.writeFileSync(file, 'hush\n', { mode: 0o600 });
  assert.equal(readSecret(file), 'hush');
  fs.chmodSync(file, 0o644);
  assert.throws(() => readSecret(file), /secret.*others may read it/);
  assert.throws(() => readSecret(`${file}-missing`), /secret-missing.*ENOENT/);
});

function problemOf(url: string): string {
  const parsed = parseStorageUrl(url);
  return typeof parsed === 'string' ? parsed : '';
}
