/**
 * Kills a server again and again while it ships, copies, merges and prunes under load. What is restored in the end has to be
 * what was acknowledged, commit for commit, up to the restored revision; and the backup has no hole.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { kinds } from '../../src/protocol/record.ts';
import { parseStorageKey } from '../../src/storage/storage-key.ts';
import { runCommand } from '../cli/command-under-test.ts';
import { contentIn, emptyDirectory } from '../support/backed-up-store.ts';
import { seededRandom, type SeededRandom } from '../support/seeded-random.ts';
import { eventually, ServerUnderTest } from '../support/server-under-test.ts';

const seed = Number(process.env['DRAGONLOCK_CRASH_SEED'] ?? 1);
const rounds = Number(process.env['DRAGONLOCK_CRASH_ROUNDS'] ?? 2);
const writers = 4;
/** So many that some are not written again after a start has taken them into the store: only a copy has those. */
const keys = 200;

interface Acknowledged {
  readonly key: string;
  readonly value: string;
  readonly rev: number;
}

/** Writes until the server is gone. */
async function write(server: ServerUnderTest, acknowledged: Acknowledged[], random: SeededRandom): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const { url } = server;
  for (;;) {
    const key = `k${random.below(keys)}`;
    const value = JSON.stringify(`${acknowledged.length}-${random.below(2 ** 30)}${'x'.repeat(random.below(3000))}`);
    try {
      const reply = await fetch(`${url}/db/acc/kv/${key}`, { method: 'POST', headers, body: value });
      const { Rev } = (await reply.json()) as { Rev: number };
      assert.equal(reply.status, 200);
      acknowledged.push({ key, value, rev: Rev });
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      return;
    }
  }
}

test(`kill -9 while a server ships and copies: what is restored is what was acknowledged (seed ${seed})`, async (t) => {
  const random = seededRandom(seed);
  const place = emptyDirectory(t);
  const settings = `url: 'file://${place}', interval_ms: 100, keep_moments_days: 0, keep_copies_days: 0`;
  const configOf = (shards: number): string => `shards: ${shards}\nhttp: {threads: 1}\nbackup: {${settings}}\n`;
  const server = ServerUnderTest.prepare();
  t.after(() => server.dispose(t.passed));
  const acknowledged: Acknowledged[] = [];
  let copying = 0;
  for (let round = 0; round < rounds; round += 1) {
    // Another number of shards takes the journal into the store.
    await server.start({ config: configOf(2 + (round % 2)) });
    const writing = Array.from({ length: writers }, () => write(server, acknowledged, random));
    // So many looks at the backup as the seed says, and a copy in every second of them: the load goes on meanwhile.
    for (let looks = 3 + random.below(20); looks > 0; looks -= 1) {
      if (looks % 2 === 0) await server.call('POST', '/admin/backups');
      const status = (await server.ok('GET', '/admin/backups')) as unknown as { Copying: boolean };
      if (status.Copying) copying += 1;
    }
    await server.kill();
    await Promise.all(writing);
  }
  // The next start ships what the last one could not; it is lost with its machine then.
  await server.start({ config: configOf(2 + (rounds % 2)) });
  const writing = Array.from({ length: writers }, () => write(server, acknowledged, random));
  await server.call('POST', '/admin/backups');
  await eventually('a copy', async () => (await server.metric('dragonlock_backup_copies_total')) > 0);
  const shipped = await server.metric('dragonlock_backup_shipped_revision');
  await server.kill();
  await Promise.all(writing);

  const checked = await runCommand(t, ['verify', `file://${place}`, '--read', '--drill']);
  assert.equal(checked.code, 0, `again: DRAGONLOCK_CRASH_SEED=${seed}\n${checked.stderr}`);
  const directory = path.join(emptyDirectory(t), 'data');
  const done = await runCommand(t, ['restore', `file://${place}`, '--data-dir', directory, '--json']);
  assert.equal(done.code, 0, done.stderr);
  const { revision } = JSON.parse(done.stdout) as { revision: number };
  assert.ok(revision >= shipped, 'what was told to be in the backup is');
  const { content } = await contentIn(directory);
  const byRev = new Map(acknowledged.map((one) => [one.rev, one]));
  const expected = new Set(acknowledged.filter(({ rev }) => rev <= revision).map(({ key }) => key));
  let compared = 0;
  for (const [storageKey, text] of content) {
    const { kind, account, key } = parseStorageKey(storageKey);
    if (kind !== kinds.kv || account !== 'acc') continue;
    const rev = Number(text.slice(0, text.indexOf(' ')));
    const known = byRev.get(rev);
    if (known !== undefined) assert.equal(text, `${rev} 0 ${known.value}`);
    const later = acknowledged.find((one) => one.key === key && one.rev > rev && one.rev <= revision);
    assert.equal(later, undefined, `again: DRAGONLOCK_CRASH_SEED=${seed}; ${key} is as of ${rev}`);
    compared += 1;
    expected.delete(key);
  }
  // There may be more: of a write that a kill has met, the answer is lost.
  assert.deepEqual([...expected], []);
  t.diagnostic(JSON.stringify({ rounds, acknowledged: acknowledged.length, copying, compared }));
});
