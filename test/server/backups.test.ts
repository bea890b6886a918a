/** A server that is lost with its disk, and comes back from its backup: by the commands that people use. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { runCommand } from '../cli/command-under-test.ts';
import { emptyDirectory } from '../support/backed-up-store.ts';
import { eventually, ServerUnderTest } from '../support/server-under-test.ts';

const intervalMs = 100;

function configFor(repository: string): string {
  return `shards: 2\nhttp: {threads: 2}\nbackup: {url: 'file://${repository}', interval_ms: ${intervalMs}}\n`;
}

async function shippedAll(server: ServerUnderTest): Promise<void> {
  const durable = await server.metric('dragonlock_durable_revision');
  await eventually(
    'all is shipped',
    async () => (await server.metric('dragonlock_backup_shipped_revision')) >= durable,
  );
}

async function restored(t: TestContext, repository: string, more: readonly string[] = []) {
  const dataDir = path.join(emptyDirectory(t), 'data');
  const done = await runCommand(t, ['restore', `file://${repository}`, '--data-dir', dataDir, ...more]);
  return { dataDir, ...done };
}

test('a machine that is lost: nothing older than the interval is, and no lock gets a second holder', async (t) => {
  const repository = emptyDirectory(t);
  const config = configFor(repository);
  const server = await ServerUnderTest.forTest(t, { config });
  const held = await server.ok('POST', '/db/acc/lock/job?owner=worker-1&dur=600');
  const acknowledged = new Map<string, number>();
  for (let i = 0; i < 100; i += 1) {
    const { Version } = await server.ok('POST', `/db/acc/kv/k${i % 10}`, { i });
    acknowledged.set(`k${i % 10}`, Version);
  }
  await shippedAll(server);
  const unshipped = await server.ok('POST', '/db/acc/lock/late?owner=worker-9&dur=20');
  await server.kill();
  fs.rmSync(server.dataDir, { recursive: true });

  const { dataDir, code, stdout, stderr } = await restored(t, repository, ['--adopt', '--lock-grace', '4s']);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /Restored: revision \d+.*the latest that is known/);
  const again = await ServerUnderTest.forTest(t, { config: config.replace('shards: 2', 'shards: 3'), dataDir });
  for (const [key, version] of acknowledged)
    assert.equal((await again.ok('GET', `/db/acc/kv/${key}`)).Version, version, 'what was shipped is there');
  assert.ok((await again.ok('POST', '/db/acc/kv/new', '1')).Version > unshipped.Lock + 999_999_999);
  const refused = await again.call('POST', '/db/acc/lock/late?owner=worker-2&dur=20');
  assert.deepEqual([refused.status, refused.body.Why], [409, 'restored']);
  assert.ok(Number(refused.headers['retry-after']) > 0);
  const lost = await again.fails('lock_lost', 'DELETE', `/db/acc/lock/late?lock=${unshipped.Lock + 1}`);
  assert.equal(lost.Why, 'restored');
  assert.equal((await again.ok('POST', '/db/acc/lock/job?owner=worker-1&dur=600')).Lock, held.Lock);
  assert.equal((await again.call('POST', '/db/acc/lock/job?owner=worker-2&dur=600')).status, 409);
  await again.fails('compacted', 'POST', '/watch/acc', { Prefix: 'k', After: acknowledged.get('k1'), Wait: 1 });
  const granted = await again.ok('POST', '/db/acc/lock/late?owner=worker-2&dur=20&wait=20');
  assert.ok(granted.Lock > unshipped.Lock + 999_999_999);
  assert.equal(await again.metric('dragonlock_backup_state', '{state="shipping"}'), 1);
});

test('commands: a copy on demand, lists, a check, a drill, and a restore to a revision', async (t) => {
  const repository = emptyDirectory(t);
  const config = configFor(repository);
  const server = await ServerUnderTest.forTest(t, { config });
  // Moments can be restored from the first copy on.
  await eventually('the first copy', async () => (await server.metric('dragonlock_backup_copies_total')) > 0);
  const { Rev } = await server.ok('POST', '/db/acc/kv/k', '"one"');
  await server.ok('POST', '/db/acc/kv/k', '"two"');
  const command = { url: server.url };
  const copied = await runCommand(t, ['backup', '--wait'], command);
  assert.deepEqual([copied.code, copied.stderr], [0, '']);
  assert.match(copied.stdout, /^A copy is done, as of revision \d+\.\n$/);
  const url = `file://${repository}`;
  const list = await runCommand(t, ['backups', url, '--json']);
  const { copies, ranges } = JSON.parse(list.stdout) as { copies: unknown[]; ranges: { from: number; to: number }[] };
  assert.ok(copies.length >= 2 && ranges.some(({ from, to }) => from <= Rev && Rev <= to), list.stdout);
  assert.equal((await runCommand(t, ['backups', url])).code, 0);
  const verified = await runCommand(t, ['verify', url, '--read', '--drill']);
  assert.equal(verified.code, 0, verified.stderr);
  assert.match(verified.stdout, /copies lead to the same state/);
  const old = await restored(t, repository, ['--revision', String(Rev)]);
  assert.equal(old.code, 0, old.stderr);
  const staging = await ServerUnderTest.forTest(t, { config, dataDir: old.dataDir });
  assert.equal((await staging.ok('GET', '/db/acc/kv/k')).Value, 'one');
  assert.equal(await staging.metric('dragonlock_backup_state', '{state="unadopted"}'), 1);
  await staging.ok('POST', '/db/acc/task/close', { Queue: 'jobs', Data: 1 });
  assert.equal((await staging.call('POST', '/db/acc/dequeue/jobs?wait=0.3')).status, 204, 'it runs no tasks');
  assert.partialDeepStrictEqual(await staging.ok('GET', '/db/acc/task/close'), { State: 'scheduled', Runs: 0 });
  await server.ok('POST', '/db/acc/kv/k', '"three"');
  await shippedAll(server);

  const damaged = fs.readdirSync(path.join(repository, 'tail/000001'))[0]!;
  const file = path.join(repository, 'tail/000001', damaged);
  fs.appendFileSync(file, 'x');
  const found = await runCommand(t, ['verify', url, '--read']);
  assert.equal(found.code, 65);
  assert.match(found.stderr, new RegExp(`${damaged} is damaged`));
});

test('what is refused changes nothing, and says what would work', async (t) => {
  const repository = emptyDirectory(t);
  const config = configFor(repository);
  const server = await ServerUnderTest.forTest(t, { config });
  await server.ok('POST', '/db/acc/kv/k', '"one"');
  await shippedAll(server);
  const image = path.join(emptyDirectory(t), 'data');
  await server.stop();
  fs.cpSync(server.dataDir, image, { recursive: true });
  await server.start();
  await server.ok('POST', '/db/acc/kv/k', '"two"');
  await shippedAll(server);
  await server.stop();
  const url = `file://${repository}`;

  const old = ServerUnderTest.prepare({ config, dataDir: image });
  old.launch();
  assert.equal(await old.exitCode(), 1);
  assert.match(old.stderr, /older than its own backup/);
  await old.dispose(true);

  const target = emptyDirectory(t);
  fs.writeFileSync(path.join(target, 'mine'), 'x');
  const full = await runCommand(t, ['restore', url, '--data-dir', target]);
  assert.deepEqual([full.code, fs.readdirSync(target).toSorted()], [64, ['lock', 'mine']]);
  assert.match(full.stderr, /is not empty \(it has mine\)/);
  const refusals: [string[], number, RegExp][] = [
    [['restore', url, '--data-dir', `${target}/x`, '--revision', '99'], 1, /cannot be restored.*The nearest are \d+/],
    [['restore', url, '--data-dir', `${target}/x`, '--at', '2001-01-01T00:00:00Z'], 1, /before everything/],
    [['restore', url, '--data-dir', `${target}/x`, '--at', 'yesterday'], 64, /expected a time with its zone/],
    [['restore', `${url}/nothing`, '--data-dir', `${target}/x`], 1, /no repository of backups/],
    [['restore', 's3://key:hush@bucket/x', '--data-dir', `${target}/x`], 64, /credentials in the URL/],
    [['verify', url, '--sample', 'some'], 64, /expected a percentage/],
  ];
  for (const [args, code, message] of refusals) {
    const refused = await runCommand(t, args);
    assert.equal(refused.code, code, refused.stderr);
    assert.match(refused.stderr, message);
    assert.doesNotMatch(refused.stderr, /hush/);
  }

  const half = emptyDirectory(t);
  fs.writeFileSync(path.join(half, 'restoring'), '');
  fs.writeFileSync(path.join(half, 'rest'), '');
  const unfinished = ServerUnderTest.prepare({ dataDir: half });
  unfinished.launch();
  assert.equal(await unfinished.exitCode(), 1);
  assert.match(unfinished.stderr, /was not restored to its end/);
  await unfinished.dispose(true);
  const torn = emptyDirectory(t);
  fs.writeFileSync(path.join(torn, 'restored.json'), '{"repository"');
  const damaged = ServerUnderTest.prepare({ dataDir: torn });
  damaged.launch();
  assert.equal(await damaged.exitCode(), 1);
  assert.match(damaged.stderr, /^\S*.*restored\.json is damaged[^\n]*\n$/);
  await damaged.dispose(true);
  const once = await runCommand(t, ['restore', url, '--data-dir', half]);
  assert.equal(once.code, 0, once.stderr);
  assert.ok(!fs.existsSync(path.join(half, 'rest')) && !fs.existsSync(path.join(half, 'restoring')));
});

test('a storage that cannot be reached delays nothing and nobody', async (t) => {
  const directory = emptyDirectory(t);
  fs.writeFileSync(path.join(directory, 'file'), '');
  const server = await ServerUnderTest.forTest(t, { config: configFor(path.join(directory, 'file')) });
  await server.ok('POST', '/db/acc/kv/k', '"one"');
  await eventually('the failure is counted', async () => {
    const { text } = await server.call('GET', '/metrics');
    return /dragonlock_backup_failures_total\{reason="other"\} [1-9]/.test(text);
  });
  assert.ok(server.logs.some(({ msg }) => msg.startsWith('The storage of the backups cannot be used')));
  await server.stop();
});

test('a copy is asked for once: until it is done, every front end answers others 409', async (t) => {
  const directory = emptyDirectory(t);
  // No copy is ever done there.
  fs.writeFileSync(path.join(directory, 'file'), '');
  const server = await ServerUnderTest.forTest(t, { config: configFor(path.join(directory, 'file')) });
  const asked = await Promise.all(Array.from({ length: 8 }, () => server.call('POST', '/admin/backups')));
  const taken = asked.filter(({ status }) => status === 200);
  assert.equal(taken.length, 1);
  for (const { status, body } of asked.filter((reply) => reply !== taken[0]))
    assert.deepEqual([status, body.Code], [409, 'copy_in_progress']);
  const command = await runCommand(t, ['backup', '--wait'], { url: server.url });
  assert.equal(command.code, 1);
  assert.match(command.stderr, /A copy is asked for already or being made/);
});

test('a backup thread that throws is started again, and nobody else notices', async (t) => {
  const repository = emptyDirectory(t);
  const server = await ServerUnderTest.forTest(t, { config: configFor(repository) });
  const origin = path.join(server.dataDir, 'restored.json');
  fs.writeFileSync(origin, '{');
  // The thread reads the file to claim, and cannot.
  await server.ok('POST', '/admin/backups/adopt');
  await server.ok('POST', '/db/acc/kv/k', '"one"');
  await eventually('it was started again', async () => (await server.metric('dragonlock_backup_restarts_total')) > 0);
  assert.ok(server.logs.some(({ msg, level }) => msg.startsWith('The backup thread has failed') && level === 50));
  await server.ok('POST', '/db/acc/kv/k', '"two"');
  fs.rmSync(origin);
  await shippedAll(server);
  await eventually('a copy', async () => (await server.metric('dragonlock_backup_copies_total')) > 0);
  await server.stop();
  const { code, dataDir, stderr } = await restored(t, repository);
  assert.equal(code, 0, stderr);
  assert.ok(fs.existsSync(dataDir));
});
