/**
 * Salvages a data directory as an operator does, with a real server before and after: nothing that was given out comes
 * again, a dry run changes nothing, and a salvage that is killed at any step is finished by the next one.
 */
import assert from 'node:assert/strict';
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { frameMagic } from '../../src/journal/file/frame.ts';
import { readCheckpointSummary } from '../../src/main/data-directory/checkpoint-summary.ts';
import { salvageFailpoints } from '../../src/shared/failpoints.ts';
import type { CrashClient, CrashServer } from '../support/crash-server.ts';
import { trial } from '../support/crash-trial.ts';
import { salvageProgram } from '../support/server-program.ts';

const db = '/db/acc';
const options = { shards: 2 };

trial(
  'after a salvage nothing that was given out comes again: revisions, locks, mutexes, starts',
  import.meta.url,
  async ({ server }) => {
    const given: GivenOut[] = [];
    for (let life = 0; life < 2; life += 1) {
      await server.start(options);
      given.push(await takeOne(server, life));
      if (life < 1) await server.stop();
      else await server.kill();
    }
    // The first record after the checkpoints is that of the last start: with it goes all that this life has given out.
    const { watermarks } = readCheckpointSummary(server.dataDir)!;
    const damage = firstFrameAfter(server, Math.min(...watermarks));
    flip(damage.file, damage.start + 70);
    server.launch(options);
    assert.deepEqual(await server.ended(), { code: 1, signal: null });
    assert.match(server.said(), /npm run salvage/);

    const before = filesIn(server.dataDir);
    const dry = salvage(server.dataDir, '--dry-run');
    assert.equal(dry.status, 0, dry.stderr);
    const lost = /Lost: revisions (\d+)\.\.(\d+)/.exec(dry.stdout)?.slice(1).map(Number) ?? [];
    // A lease may have ended after the last answer.
    assert(lost[0] === damage.first && lost[1]! >= given.at(-1)!.revision, dry.stdout);
    assert.match(dry.stdout, /nothing was changed/);
    assert.deepEqual(filesIn(server.dataDir), before, 'not a byte, not a time');

    // Killed at each step, on copies; then run again.
    let killed = 0;
    for (const failpoint of salvageFailpoints) {
      const copy = `${server.dataDir}-${failpoint}`;
      fs.cpSync(server.dataDir, copy, { recursive: true });
      if (failpoint === 'salvage.header-mended') flip(path.join(copy, 'journal', path.basename(damage.file)), 13);
      if (failpoint === 'salvage.set-aside') addEmptySegmentAfter(path.join(copy, 'journal'), damage.file);
      if (salvage(copy, failpoint).signal === 'SIGKILL') killed += 1;
      const again = salvage(copy);
      assert.equal(again.status, 0, again.stderr);
    }
    assert.equal(killed, salvageFailpoints.length);

    const real = salvage(server.dataDir);
    assert.equal(real.status, 0, real.stderr);
    assert.ok(real.stdout.startsWith(dry.stdout.split('This was a dry run')[0] ?? ''), 'it says the same first');
    await server.start(options);
    const now = await takeOne(server, 9);
    for (const former of given) {
      assert(now.revision > former.revision + 999_999_999, `${now.revision}, ${former.revision}`);
      assert(now.lock > former.revision, 'a fencing token is above all revisions');
      assert(now.mutex > former.mutex, `mutex ${now.mutex} is above ${former.mutex}`);
      assert.notEqual(now.boot, former.boot);
      assert.notEqual(now.requestId.split('-')[0], former.requestId.split('-')[0]);
    }
    // A cursor from a part that was lost, and one before it, are told so.
    const client = server.client();
    for (const after of [damage.first, given.at(-1)!.revision - 1, damage.first - 1]) {
      const answer = await client.ask('POST', '/watch/acc', { Prefix: '', After: after });
      assert.deepEqual([answer?.status, answer?.body.Code], [410, 'compacted'], answer?.text ?? '');
    }
    const { KV } = await client.must('POST', db, { KVGet: ['life 0', 'life 1', 'life 9'] });
    assert.deepEqual(
      KV!.map(({ Value }) => Value),
      [0, undefined, 9],
    );
    await client.close();
    await server.stop();
  },
);

trial(
  'damage that no replay needs: the server starts, a salvage has nothing to do; a damaged header costs nothing',
  import.meta.url,
  async ({ server }) => {
    await server.start(options);
    const client = server.client();
    for (let key = 0; key < 18; key += 1) {
      await put(client, `k${key}`, 500_000);
    }
    await client.close();
    await server.stop();
    const [oldest, ...others] = segmentsIn(server.journalDirectory);
    assert(others.length >= 2);

    flip(oldest!, 20);
    flip(others[0]!, 5000);
    const before = filesIn(server.dataDir);
    const nothing = salvage(server.dataDir, '--dry-run');
    assert.equal(nothing.status, 0, nothing.stderr);
    assert.match(nothing.stdout, /starts with the journal as it is[\s\S]*Lost: none[\s\S]*nothing was changed/);
    assert.deepEqual(filesIn(server.dataDir), before);
    assert.equal(salvage(server.dataDir).status, 0);
    await assertAllKeys(server, 18);

    // Written after the last checkpoint: a start needs it. Its header can be made again.
    flip(segmentsIn(server.journalDirectory).at(-1)!, 17);
    server.launch(options);
    assert.deepEqual(await server.ended(), { code: 1, signal: null });
    const mended = salvage(server.dataDir);
    assert.equal(mended.status, 0, mended.stderr);
    assert.match(mended.stdout, /made again[\s\S]*Lost: none/);
    await assertAllKeys(server, 18);
  },
);

trial(
  'a store that is damaged is made again from a journal that has everything, and refused otherwise',
  import.meta.url,
  async ({ server }) => {
    await server.start(options);
    const client = server.client();
    for (let key = 0; key < 5; key += 1) await client.must('POST', db, { KVSet: { Key: `k${key}`, Value: 'v' } });
    await client.close();
    await server.stop();
    const store = path.join(server.dataDir, 'store', 'data.mdb');
    const whole = fs.readFileSync(store);
    fs.writeFileSync(store, Buffer.alloc(whole.length, 0xff));
    const before = filesIn(server.dataDir);
    const dry = salvage(server.dataDir, '--dry-run');
    assert.equal(dry.status, 0, dry.stderr);
    assert.match(dry.stdout, /The store is damaged[\s\S]*Lost: none/);
    assert.deepEqual(filesIn(server.dataDir), before);
    assert.equal(salvage(server.dataDir).status, 0);
    assert.ok(fs.existsSync(path.join(server.dataDir, 'store.damaged', 'data.mdb')));
    await assertAllKeys(server, 5);

    fs.writeFileSync(store, Buffer.alloc(whole.length, 0xff));
    fs.renameSync(segmentsIn(server.journalDirectory)[0]!, path.join(server.directory, 'elsewhere.log'));
    const hopeless = salvage(server.dataDir);
    assert.equal(hopeless.status, 1);
    assert.match(hopeless.stderr, /restore a backup/);
    fs.writeFileSync(store, whole);
    fs.renameSync(
      path.join(server.directory, 'elsewhere.log'),
      path.join(server.journalDirectory, 'journal-0000000000000001.log'),
    );
    // Its checkpoints are of an earlier moment than its journal: a start replays the rest.
    await assertAllKeys(server, 5);
  },
);

/** Writes a large value. The memtable of these tests is small: while a checkpoint makes room, the answer is 503. */
async function put(client: CrashClient, key: string, bytes: number): Promise<number> {
  for (;;) {
    const answer = await client.ask('POST', db, { KVSet: { Key: key, Value: 'v'.repeat(bytes) } });
    assert(answer !== undefined, 'the server answers');
    if (answer.status === 503) continue;
    assert.equal(answer.status, 200, answer.text.slice(0, 300));
    return answer.body.Rev;
  }
}

interface GivenOut {
  readonly revision: number;
  readonly lock: number;
  readonly mutex: number;
  readonly boot: string;
  readonly requestId: string;
}

/** Takes one of everything that must never come again. */
async function takeOne(server: CrashServer, life: number): Promise<GivenOut> {
  const client = server.client();
  await client.must('POST', db, { KVSet: { Key: `life ${life}`, Value: life } });
  const { Lock: lock } = await client.must('POST', `/db/acc/lock/l${life}?dur=1`);
  const { Lock: mutex } = await client.must('POST', `/db/acc/mlock/m?dur=1`);
  const { Rev: revision } = await client.must('POST', db, { KVSet: { Key: `more ${life}`, Value: life } });
  await client.close();
  const refused = await fetch(`${server.url}/db/acc/kv/none-${life}`);
  const { RequestID } = (await refused.json()) as { RequestID: string };
  return { revision, lock, mutex, boot: refused.headers.get('dragonlock-boot') ?? '', requestId: RequestID };
}

async function assertAllKeys(server: CrashServer, count: number): Promise<void> {
  await server.start(options);
  const client = server.client();
  for (let key = 0; key < count; key += 1) {
    const { KV } = await client.must('POST', db, { KVGet: [`k${key}`] });
    assert.ok(KV![0]!.Value !== undefined, `k${key} is there`);
  }
  await client.must('POST', db, { KVSet: { Key: 'after', Value: 1 } });
  await client.close();
  await server.kill();
}

/** @param how `--dry-run`, or a failpoint */
function salvage(directory: string, how?: string): SpawnSyncReturns<string> {
  const dryRun = how === '--dry-run';
  const args = [salvageProgram, '--data-dir', directory, ...(dryRun ? ['--dry-run'] : [])];
  const env = { ...process.env, ...(how !== undefined && !dryRun && { DRAGONLOCK_FAILPOINT: how }) };
  return spawnSync(process.execPath, args, { encoding: 'utf8', env });
}

/** Content and time of every file. */
function filesIn(directory: string): string[] {
  return fs
    .readdirSync(directory, { recursive: true, withFileTypes: true })
    .map((entry) => {
      const file = path.join(entry.parentPath, entry.name);
      const { mtimeMs, ctimeMs, size, ino } = fs.statSync(file);
      const content = entry.isFile() ? fs.readFileSync(file).toString('base64').slice(0, 100_000) : '';
      return [file, mtimeMs, ctimeMs, size, ino, content].join(' ');
    })
    .toSorted();
}

function segmentsIn(directory: string): string[] {
  const names = fs.readdirSync(directory).filter((name) => /^journal-\d+\.log$/.test(name));
  return names.toSorted().map((name) => path.join(directory, name));
}

function firstFrameAfter(
  server: CrashServer,
  watermark: number,
): { readonly file: string; readonly start: number; readonly first: number } {
  for (const file of segmentsIn(server.journalDirectory)) {
    const bytes = fs.readFileSync(file);
    for (let start = 512; bytes.subarray(start, start + 4).equals(frameMagic); start += bytes.readUInt32LE(start + 8)) {
      if (bytes.readUIntLE(start + 30, 6) > watermark) return { file, start, first: bytes.readUIntLE(start + 24, 6) };
    }
  }
  return assert.fail('the journal has something that no checkpoint has');
}

/** A later segment, which a salvage has to set aside: damaged as a whole, so that nothing can be made of it. */
function addEmptySegmentAfter(directory: string, file: string): void {
  const number = Number(/journal-(\d+)/.exec(path.basename(file))![1]) + 1_000_000;
  const name = `journal-${String(number).padStart(16, '0')}.log`;
  fs.writeFileSync(path.join(directory, name), Buffer.alloc(4096, 0x5a));
}

function flip(file: string, at: number): void {
  const fd = fs.openSync(file, 'r+');
  const byte = Buffer.alloc(1);
  fs.readSync(fd, byte, 0, 1, at);
  byte[0]! ^= 0x10;
  fs.writeSync(fd, byte, 0, 1, at);
  fs.closeSync(fd);
}
