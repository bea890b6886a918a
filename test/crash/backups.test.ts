/** Kills at the failpoints of backups and of a restore: what is there can be restored, and a half-made directory is none. */
import assert from 'node:assert/strict';
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

/** Each start commits something by itself; one that serves is given something to ship. Ends when the process has. */
async function writesUntilItEnds(server: ServerUnderTest): Promise<void> {
  try {
    const { url = '' } = await server.logLine(({ msg }) => msg.startsWith('Serving on'), 'serves');
    const headers = { 'content-type': 'application/json' };
    for (let i = 0; i < 3000; i += 1) await fetch(`${url}/db/acc/kv/k`, { method: 'POST', headers, body: String(i) });
  } catch {
    return;
  }
  assert.fail('the failpoint was passed');
}
