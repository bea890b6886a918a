/** Kills at the failpoints of backups and of a restore: what is there can be restored, and a half-made directory is none. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { runCommand } from '../cli/command-under-test.ts';
import { payloadCodec } from '../../src/backup/format/payload.ts';
import { Repository } from '../../src/backup/repository/repository.ts';
import { NotRestored, refuseUnlessRestored } from '../../src/backup/restore/restore-marks.ts';
import { FileStorage } from '../../src/backup/storage/file-storage.ts';
import { verify } from '../../src/backup/verify/verify.ts';
import { accountId } from '../../src/protocol/ids.ts';
import { kinds } from '../../src/protocol/record.ts';
import { BackedUpStore, contentIn, emptyDirectory } from '../support/backed-up-store.ts';
import { eventually, ServerUnderTest } from '../support/server-under-test.ts';
import { MemoryStorage } from '../support/memory-storage.ts';

test('a restore that is killed leaves a directory that no server uses; the same command begins anew', async (t) => {
  const place = emptyDirectory(t);
  const server = await BackedUpStore.open(t, { storage: new FileStorage(place) });
  for (let i = 0; i < 5; i += 1) server.commit(accountId('a'), [{ kind: kinds.kv, key: `k${i}`, till: 0, value: '1' }]);
  await server.checkpointAll();
  await server.agent.look();
  await server.settle();
  server.commit(accountId('a'), [{ kind: kinds.kv, key: 'last', till: 0, value: '1' }]);
  await server.settle();
  const directory = path.join(emptyDirectory(t), 'data');
  const args = ['restore', `file://${place}`, '--data-dir', directory];
  for (const failpoint of ['restore.rows', 'restore.replayed', 'restore.journal']) {
    const killed = await runCommand(t, args, { env: { DRAGONLOCK_FAILPOINT: failpoint } });
    assert.equal(killed.code, 'SIGKILL', `${failpoint}: ${killed.stderr}`);
    assert.throws(() => refuseUnlessRestored(directory), NotRestored, failpoint);
  }
  const done = await runCommand(t, args);
  assert.equal(done.code, 0, done.stderr);
  refuseUnlessRestored(directory);
  assert.deepEqual((await contentIn(directory)).content, server.contentAt(server.last));
});

test('a server that is killed while it ships or copies goes on with the next frame', async (t) => {
  const place = emptyDirectory(t);
  const config = `shards: 1\nhttp: {threads: 1}\nbackup: {url: 'file://${place}', interval_ms: 100}\n`;
  const server = ServerUnderTest.prepare({ config });
  t.after(() => server.dispose(t.passed));
  for (const failpoint of ['copy.manifest', 'ship.put:2', 'ship.put-done:2']) {
    server.launch({ env: { DRAGONLOCK_FAILPOINT: failpoint } });
    await writesUntilItEnds(server);
    await server.kill();
  }
  await server.start({ env: {} });
  await server.ok('POST', '/db/acc/kv/end', '1');
  const repository = await Repository.open(new FileStorage(place), await payloadCodec({}));
  const whole = async (): Promise<boolean> =>
    (await verify(repository, { read: false, random: Math.random })).problems.length === 0;
  await eventually('there is a copy', whole, 60_000);
  await server.stop();
  const { problems, gaps } = await verify(repository, { read: true, random: Math.random });
  assert.deepEqual([problems, gaps], [[], []]);
  const directory = path.join(emptyDirectory(t), 'data');
  const done = await runCommand(t, ['restore', `file://${place}`, '--data-dir', directory]);
  assert.equal(done.code, 0, done.stderr);
  const { content } = await contentIn(directory);
  assert.ok([...content.keys()].some((key) => key.endsWith('kend')));
});

test('a restore in place that is killed is finished by the same command; until then no server starts', async (t) => {
  const place = emptyDirectory(t);
  const server = await BackedUpStore.open(t, { storage: new FileStorage(place) });
  await server.agent.look();
  for (let i = 0; i < 5; i += 1) server.commit(accountId('a'), [{ kind: kinds.kv, key: `k${i}`, till: 0, value: '1' }]);
  await server.settle();
  for (const failpoint of ['restore.replayed', 'restore.journal', 'restore.switched']) {
    const directory = emptyDirectory(t);
    fs.cpSync(server.directory, directory, { recursive: true });
    const args = ['restore', '--in-place', '--data-dir', directory, `file://${place}`, '--adopt'];
    const killed = await runCommand(t, args, { env: { DRAGONLOCK_FAILPOINT: failpoint } });
    assert.equal(killed.code, 'SIGKILL', `${failpoint}: ${killed.stderr}`);
    if (failpoint !== 'restore.replayed') {
      assert.throws(() => refuseUnlessRestored(directory), /restore --in-place again/, failpoint);
      const other = await runCommand(t, ['restore', '--data-dir', directory, `file://${place}`]);
      assert.equal(other.code, 64, 'it is not emptied');
    }
    const done = await runCommand(t, args);
    assert.equal(done.code, 0, done.stderr);
    assert.match(done.stdout, /goes on with revision 10000000\d\d/);
    refuseUnlessRestored(directory);
    assert.deepEqual((await contentIn(directory)).content, server.contentAt(server.last), failpoint);
    const again = await BackedUpStore.open(t, { storage: new FileStorage(place), directory });
    await again.agent.look();
    assert.equal(again.cells.state, 'shipping', failpoint);
  }
});

test('a stopped server is backed up by a command, which may be killed anywhere', async (t) => {
  const server = await BackedUpStore.open(t, { storage: new MemoryStorage() });
  for (let i = 0; i < 5; i += 1) server.commit(accountId('a'), [{ kind: kinds.kv, key: `k${i}`, till: 0, value: '1' }]);
  await server.checkpoint(0);
  const directory = emptyDirectory(t);
  fs.cpSync(server.directory, directory, { recursive: true });
  const place = emptyDirectory(t);
  const args = ['backup', '--data-dir', directory, '--to', `file://${place}`];
  for (const failpoint of ['ship.put', 'ship.put-done', 'copy.block', 'copy.manifest']) {
    const killed = await runCommand(t, args, { env: { DRAGONLOCK_FAILPOINT: failpoint } });
    assert.equal(killed.code, 'SIGKILL', `${failpoint}: ${killed.stderr}`);
  }
  const done = await runCommand(t, args);
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /as of revision 5\./);
  const target = path.join(emptyDirectory(t), 'data');
  const restored = await runCommand(t, ['restore', `file://${place}`, '--data-dir', target]);
  assert.equal(restored.code, 0, restored.stderr);
  assert.deepEqual((await contentIn(target)).content, server.contentAt(server.last));
  const checked = await runCommand(t, ['verify', `file://${place}`, '--read']);
  assert.equal(checked.code, 0, checked.stderr);

  const foreign = await BackedUpStore.open(t, { storage: new FileStorage(emptyDirectory(t)) });
  const refused = await runCommand(t, ['backup', '--data-dir', foreign.directory, '--to', `file://${place}`]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /expected a place of its own for each server/);
});

test('a server that is killed while it merges or prunes leaves what can be restored', async (t) => {
  const place = emptyDirectory(t);
  const settings = `url: 'file://${place}', interval_ms: 100, keep_moments_days: 0, keep_copies_days: 0`;
  const server = ServerUnderTest.prepare({ config: `shards: 1\nhttp: {threads: 1}\nbackup: {${settings}}\n` });
  t.after(() => server.dispose(t.passed));
  await server.start({ env: {} });
  for (let copy = 1; copy <= 3; copy += 1) {
    await server.ok('POST', '/db/acc/kv/copy', copy);
    // The first copy is made at once, and meanwhile no other is taken.
    let asked = await server.call('POST', '/admin/backups');
    while (asked.body.Code === 'copy_in_progress') asked = await server.call('POST', '/admin/backups');
    const { Asked } = asked.body as unknown as { Asked: number };
    while ((await copiesTaken(server)) < Asked);
  }
  await server.kill();
  server.launch({ env: { DRAGONLOCK_FAILPOINT: 'prune.manifest' } });
  await writesUntilItEnds(server);
  await server.kill();
  server.launch({ env: { DRAGONLOCK_FAILPOINT: 'merge.put' } });
  // An object of ten minutes is made early when it has 16 MiB.
  await writesUntilItEnds(server, 'x'.repeat(1_000_000));
  await server.kill();
  await server.start({ env: {} });
  await server.ok('POST', '/db/acc/kv/end', 1);
  await server.stop();
  const checked = await runCommand(t, ['verify', `file://${place}`, '--read']);
  assert.equal(checked.code, 0, checked.stderr);
  const directory = path.join(emptyDirectory(t), 'data');
  const done = await runCommand(t, ['restore', `file://${place}`, '--data-dir', directory]);
  assert.equal(done.code, 0, done.stderr);
  const { content } = await contentIn(directory);
  assert.ok([...content.keys()].some((key) => key.endsWith('kend')));
});

async function copiesTaken(server: ServerUnderTest): Promise<number> {
  const status = (await server.ok('GET', '/admin/backups')) as unknown as { CopiesTaken: number };
  return status.CopiesTaken;
}

/** Each start commits something by itself; one that serves is given something to ship. Ends when the process has. */
async function writesUntilItEnds(server: ServerUnderTest, value = ''): Promise<void> {
  try {
    const { url = '' } = await server.logLine(({ msg }) => msg.startsWith('Serving on'), 'serves');
    const headers = { 'content-type': 'application/json' };
    for (let i = 0; i < 3000; i += 1) {
      await fetch(`${url}/db/acc/kv/k`, { method: 'POST', headers, body: JSON.stringify(`${i}${value}`) });
    }
  } catch {
    return;
  }
  assert.fail('the failpoint was passed');
}
