/** What keeps a server from starting is one line for people on standard error, with what to do, and exit code 1. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { accountId } from '../../src/protocol/ids.ts';
import { kinds, type Kind } from '../../src/protocol/record.ts';
import { LmdbStore } from '../../src/storage/lmdb/lmdb-store.ts';
import { BackedUpStore } from '../support/backed-up-store.ts';
import { MemoryStorage } from '../support/memory-storage.ts';
import { serverProgram } from '../support/server-program.ts';

function temporary(t: TestContext): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'dragonlock-start-'));
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(cwd: string, ...args: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, [serverProgram, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: child.exitCode, stdout, stderr };
}

async function refused(t: TestContext, reason: RegExp, ...args: readonly string[]): Promise<void> {
  const directory = temporary(t);
  const ended = await run(directory, '--data-dir', path.join(directory, 'data'), '--listen', '127.0.0.1:0', ...args);
  assert.equal(ended.code, 1, ended.stderr);
  assert.match(ended.stderr, reason);
  assert.equal(ended.stderr.trimEnd().split('\n').length, 1, `one line: ${ended.stderr}`);
  assert.doesNotMatch(ended.stdout, /"level":60|stack/);
}

/** Root may write everywhere. */
const notRoot = process.getuid?.() === 0 ? 'root may do everything' : false;

test('start: a data directory that is a file, below a file, below a link to nowhere, or in /proc', async (t) => {
  const directory = temporary(t);
  const file = path.join(directory, 'file');
  fs.writeFileSync(file, '');
  fs.symlinkSync('/nowhere/at/all', path.join(directory, 'link'));
  const what = /^Cannot use the data directory .*choose another data directory \(--data-dir\)\. \[E[A-Z]+\]$/m;
  await Promise.all([
    refused(t, what, '--data-dir', file),
    refused(t, what, '--data-dir', path.join(file, 'below')),
    refused(t, what, '--data-dir', path.join(directory, 'link')),
    refused(t, what, '--data-dir', '/proc/no/such/place'),
  ]);
});

test('start: parts of a data directory that are not what they should be', async (t) => {
  const directory = temporary(t);
  for (const part of ['store', 'journal']) {
    fs.mkdirSync(path.join(directory, part));
    fs.writeFileSync(path.join(directory, part, part), '');
  }
  fs.mkdirSync(path.join(directory, 'lock-is-one', 'lock'), { recursive: true });
  const what = /^Cannot use the data directory .* \[E[A-Z]+\]$/m;
  await Promise.all([
    refused(t, what, '--data-dir', path.join(directory, 'store')),
    refused(t, what, '--data-dir', path.join(directory, 'journal')),
    refused(t, what, '--data-dir', path.join(directory, 'lock-is-one')),
  ]);
});

test('start: a damaged store is one line with what to do, whether we find it or LMDB does', async (t) => {
  const what =
    /^The store in .*store is damaged: .*Nothing was changed\. Restore a backup, or ask what a salvage would keep/;
  const damages = {
    head: (store: Buffer) => store.fill(0x5a, 0, 4096),
    pages: (store: Buffer) => store.fill(0, 8192),
  };
  for (const [name, damage] of Object.entries(damages)) {
    const directory = path.join(temporary(t), name);
    const store = new LmdbStore(directory);
    store.writeLayout({ format: 1, logId: '0'.repeat(16), shards: 1, generation: 1 });
    await store.close();
    const file = path.join(directory, 'store/data.mdb');
    fs.writeFileSync(file, damage(fs.readFileSync(file)));
    const { code, stdout, stderr } = await run(directory, '--data-dir', directory, '--listen', '127.0.0.1:0');
    assert.equal(code, 1);
    // LMDB may have said a word of its own before.
    assert.match(stderr.trimEnd().split('\n').at(-1)!, what);
    assert.doesNotMatch(stdout, /"level":60|stack/);
  }
});

test('start: a data directory of another user', { skip: notRoot }, async (t) => {
  await refused(t, /this user has no right to.*chown.*\[EACCES\]$/m, '--data-dir', '/var/lib/dragonlock-not-ours');
});

test('start: an address that is in use, not of this machine, or a name without one', async (t) => {
  const other = net.createServer().listen(0, '127.0.0.1');
  t.after(() => other.close());
  await once(other, 'listening');
  const { port } = other.address() as net.AddressInfo;
  const directory = temporary(t);
  const config = path.join(directory, 'config.yml');
  fs.writeFileSync(config, 'tokens: [{ token: x, accounts: "*", scopes: [read] }]');
  await Promise.all([
    refused(t, /^Cannot listen on 127\.0\.0\.1:\d+: the address is in use\. Stop/, '--listen', `127.0.0.1:${port}`),
    refused(t, /^Cannot listen on 192\.0\.2\.1:9: .*does not have/, '--config', config, '--listen', '192.0.2.1:9'),
    refused(t, /^Cannot listen on no\.invalid:9: the name/, '--config', config, '--listen', 'no.invalid:9'),
  ]);
});

test('start: a configuration that is missing or cannot be read', async (t) => {
  const directory = temporary(t);
  await refused(t, /^nowhere\.yml: cannot be read/, '--config', 'nowhere.yml');
  await refused(t, /cannot be read: EISDIR/, '--config', directory);
});

test('start: --help and --version are answered, whatever else is there', async (t) => {
  const directory = temporary(t);
  const help = await run(directory, '--data-dir', '/proc/x', '--help');
  assert.deepEqual([help.code, help.stderr], [0, '']);
  assert.match(help.stdout, /^Usage: .*--config FILE/);
  const version = await run(directory, '--version');
  assert.deepEqual([version.code, version.stderr], [0, '']);
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
});

test('start: every level of a data directory that is made for it is made, for this user only', async (t) => {
  const directory = temporary(t);
  const data = path.join(directory, 'a', 'b', 'c');
  const child = spawn(process.execPath, [serverProgram, '--data-dir', data, '--listen', '127.0.0.1:0'], {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const chunk of child.stdout) if (String(chunk).includes('Serving')) child.kill('SIGTERM');
  if (child.exitCode === null) await once(child, 'exit');
  assert.equal(child.exitCode, 0);
  for (const level of ['a', 'a/b', 'a/b/c']) {
    assert.equal(fs.statSync(path.join(directory, level)).mode & 0o777, 0o700, level);
  }
});

test('start: a store or a journal of a newer server is refused with what to do, and stays as it is', async (t) => {
  const directory = temporary(t);
  const [store, journal] = [path.join(directory, 'newer-store'), path.join(directory, 'newer-journal')];
  await t.test('made', async (own) => {
    const before = await BackedUpStore.open(own, { storage: new MemoryStorage(), directory: store });
    before.commit(accountId('a'), [{ kind: kinds.kv, key: 'k', till: 0, value: '1' }]);
    const later = await BackedUpStore.open(own, { storage: new MemoryStorage(), directory: journal });
    later.commit(accountId('a'), [{ kind: 0x7a as Kind, key: 'k', till: 0, value: '1' }]);
  });
  const lmdb = new LmdbStore(store);
  lmdb.writeLayout({ ...lmdb.layout()!, reader: 2, kinds: ['future'] });
  await lmdb.close();
  const content = contentOf(store);
  const config = path.join(directory, 'config.yml');
  fs.writeFileSync(config, 'shards: 2\n');
  await refused(
    t,
    /^The store in \S+ has entries of the kind future for reader 2; this server is reader 1\. .*Start the/,
    '--data-dir',
    store,
    '--config',
    config,
  );
  assert.deepEqual(contentOf(store), content);
  await refused(
    t,
    /^The commit 1 has an entry of the kind "z", which this server does not know.*Start the/,
    '--data-dir',
    journal,
    '--config',
    config,
  );
});

/** Of a data directory, without what each start writes beside it. */
function contentOf(directory: string): Map<string, string> {
  const content = new Map<string, string>();
  for (const part of ['store/data.mdb', 'journal']) {
    const file = path.join(directory, part);
    const names = fs.statSync(file).isDirectory() ? fs.readdirSync(file).map((name) => path.join(part, name)) : [part];
    for (const name of names) content.set(name, fs.readFileSync(path.join(directory, name), 'latin1'));
  }
  return content;
}
