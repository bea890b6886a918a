/** `dragonlock doctor`: each row once fine and once not, on machines that tests make up, and once on this one. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { loadConfig, type ConfigSources } from '../../src/main/config/config.ts';
import { diagnose, files, memory, node, type Machine, type DoctorRow } from '../../src/main/doctor/doctor.ts';
import { isReady } from '../../src/main/doctor/health.ts';
import type { DirectoryFound } from '../../src/main/doctor/machine.ts';
import { temporaryDirectory } from '../docs/server-child.ts';
import { ServerUnderTest } from '../support/server-under-test.ts';

const good: DirectoryFound = {
  exists: true,
  isMine: true,
  mode: 0o700,
  fileSystem: 'ext4',
  freeBytes: 2 ** 40,
  freeFiles: 1e6,
  at: '/data',
};

interface Made {
  readonly found?: Partial<DirectoryFound> | string;
  readonly sync?: { readonly p50: number; readonly p99: number };
  readonly synced?: boolean | undefined;
}

function machineOf({ found = {}, sync = { p50: 200, p99: 900 }, synced = true }: Made): Machine {
  return {
    look: () => (typeof found === 'string' ? found : { ...good, ...found }),
    syncMicros: async () => sync,
    clockIsSynced: async () => synced,
  };
}

async function rowsOf(
  made: Made,
  yaml = 'tokens: [{token: t, accounts: "*", scopes: [read]}]',
): Promise<Map<string, DoctorRow>> {
  const sources = { argv: [], env: {}, cores: 2, readFile: () => yaml };
  return new Map((await diagnose(sources, machineOf(made))).map((row) => [row.name, row]));
}

test('a machine that is fit: every row is ok', async () => {
  const rows = await rowsOf({});
  const others = [...rows.values()].filter(
    ({ verdict, name }) => verdict !== 'ok' && !['open files', 'memory'].includes(name),
  );
  assert.deepEqual(others, []);
});

const unfit: readonly (readonly [row: string, made: Made, verdict: DoctorRow['verdict'], text: RegExp])[] = [
  ['data directory', { found: 'this user may not write there' }, 'fail', /may not write there/],
  ['data directory', { found: { isMine: false } }, 'fail', /belongs to another user: chown it/],
  ['data directory', { found: { mode: 0o755 } }, 'warn', /has mode 755: chmod 700 it/],
  ['file system', { found: { fileSystem: 'nfs' } }, 'fail', /use a local file system/],
  ['file system', { found: { fileSystem: 'tmpfs' } }, 'warn', /lost with the machine/],
  ['file system', { found: { fileSystem: 'overlay' } }, 'warn', /mount a volume/],
  ['disk', { found: { freeBytes: 2 ** 28 } }, 'warn', /256 MiB are free; the journal alone takes/],
  ['disk', { found: { freeFiles: 3 } }, 'fail', /only 3 more files fit/],
  ['sync', { sync: { p50: 30_000, p99: 90_000 } }, 'warn', /use a faster disk/],
  ['sync', { sync: { p50: 5, p99: 9 } }, 'warn', /no disk is so fast/],
  ['clock', { synced: false }, 'warn', /enable systemd-timesyncd/],
];

for (const [name, made, verdict, text] of unfit) {
  test(`unfit: ${name}, ${JSON.stringify(made)}`, async () => {
    const row = (await rowsOf(made)).get(name);
    assert.equal(row?.verdict, verdict);
    assert.match(row.text, text);
  });
}

test('what the configuration leaves open is said, and what is wrong with it is a row each', async () => {
  assert.match((await rowsOf({}, '')).get('tokens')?.text ?? '', /whoever can connect may do everything/);
  const open = 'listen: 0.0.0.0:1\ntokens: [{token: t, accounts: "*", scopes: [read]}]';
  assert.match((await rowsOf({}, open)).get('tls')?.text ?? '', /in the clear: set http\.tls/);
  assert.equal((await rowsOf({}, `${open}\nhttp: {behind_proxy: true}`)).get('tls'), undefined);
  const sources = { argv: [], env: {}, cores: 2, readFile: () => 'shards: 0\nlimit: {}' };
  const rows = await diagnose(sources, machineOf({}));
  assert.deepEqual(
    rows.map(({ verdict }) => verdict),
    ['ok', 'fail', 'fail'],
  );
});

test('Node, open files and memory', () => {
  const config = loadConfig({ argv: [], env: {}, cores: 2, readFile: () => '' });
  assert.deepEqual(
    ['26.1.0', '22.19.0', '22.18.0', '23.1.0'].map((one) => node(one).verdict),
    ['ok', 'ok', 'fail', 'fail'],
  );
  assert.deepEqual(
    [Infinity, 20_000, 4000, 64].map((most) => files(config, most).verdict),
    ['ok', 'ok', 'warn', 'fail'],
  );
  assert.deepEqual(
    [2 ** 35, 2 ** 29].map((bytes) => memory(config, bytes).verdict),
    ['ok', 'warn'],
  );
});

test('on this machine it leaves nothing behind', async (t) => {
  const directory = temporaryDirectory(t);
  const dataDir = path.join(directory, 'data');
  const sources = { argv: ['--data-dir', dataDir], env: {}, cores: 2, readFile: () => '' };
  const rows = await diagnose(sources);
  assert.match(rows.find(({ name }) => name === 'data directory')?.text ?? '', /is not there yet/);
  assert.match(rows.find(({ name }) => name === 'sync')?.text ?? '', /^fdatasync takes \d+ µs/);
  assert.deepEqual(fs.readdirSync(directory), []);
});

function sourcesAt(listen: string): ConfigSources {
  return { argv: ['--listen', listen], env: {}, cores: 2, readFile: () => '' };
}

test('health: a server that is ready, and one that is not there', async (t) => {
  const server = await ServerUnderTest.forTest(t);
  assert.equal(await isReady(sourcesAt(`127.0.0.1:${server.port}`)), undefined);
  const { port } = server;
  await server.stop();
  assert.match((await isReady(sourcesAt(`127.0.0.1:${port}`))) ?? '', /ECONNREFUSED/);
});
