/** `dragonlock doctor`: each row once fine and once not, on machines that tests make up, and once on this one. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { backupDefaults } from '../../src/backup/backup-settings.ts';
import { loadConfig, type ConfigSources } from '../../src/main/config/config.ts';
import { diagnose, files, memory, node, type Machine, type DoctorRow } from '../../src/main/doctor/doctor.ts';
import { isReady } from '../../src/main/doctor/health.ts';
import { probeBackup, type BackupProbe } from '../../src/main/doctor/probe-backup.ts';
import { unitState, whyNotFree, type DirectoryFound } from '../../src/main/doctor/machine.ts';
import { temporaryDirectory } from '../docs/server-child.ts';
import { makeCertificate, withoutOpenssl } from '../support/certificates.ts';
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
  readonly busy?: string;
  readonly backlog?: number;
  readonly user?: string;
  readonly unit?: string;
  readonly probe?: Partial<BackupProbe>;
}

const goodToken = 'token: a-token-of-twenty-characters, accounts: "*", scopes: [read]';
const backedUp = `tokens: [{${goodToken}}]\nbackup: {url: "file:///backup"}`;

function machineOf({
  found = {},
  sync = { p50: 200, p99: 900 },
  synced = true,
  busy,
  backlog = 4096,
  user,
  unit = 'enabled',
  probe = {},
}: Made): Machine {
  return {
    look: () => (typeof found === 'string' ? found : { ...good, ...found }),
    syncMicros: async () => sync,
    clockIsSynced: async () => synced,
    backlogMax: () => backlog,
    userOf: () => user,
    whyNotFree: async () => busy,
    unitState: async () => unit,
    probeBackup: async () => ({ name: 'file:///backup', conditional: true, ...probe }),
  };
}

async function rowsOf(made: Made, yaml = backedUp): Promise<Map<string, DoctorRow>> {
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
  ['data directory', { user: 'pid 17' }, 'ok', /in use by pid 17: fine if that is this server/],
  ['backlog', { backlog: 128 }, 'warn', /only 128 connections may wait: sysctl -w net\.core\.somaxconn=4096/],
  ['clock', { synced: false }, 'warn', /enable systemd-timesyncd/],
  ['port 8081', { busy: 'EADDRINUSE' }, 'warn', /in use: fine if that is this server/],
  ['port 8081', { busy: 'EACCES' }, 'fail', /cannot be listened at: EACCES/],
  ['unit', { unit: 'not installed' }, 'warn', /install deploy\/dragonlock\.service/],
  ['backup', { probe: { problem: 'Access denied (denied)' } }, 'fail', /file:\/\/\/backup: Access denied/],
  ['backup', { probe: { conditional: false } }, 'warn', /ignores If-None-Match/],
  ['backup', { probe: { aheadMs: -3_600_000 } }, 'warn', /differs by 3600 s/],
  ['backup', { probe: { copyAt: 0 } }, 'warn', /the last copy is \d+ h old: look at/],
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
  assert.match((await rowsOf({}, '')).get('backup')?.text ?? '', /none is made: set backup\.url/);
  const short = (await rowsOf({}, 'tokens: [{token: t, name: ops, accounts: "*", scopes: [read]}]')).get('tokens');
  assert.match(`${short?.verdict} ${short?.text}`, /^warn ops: fewer than 20 characters/);
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

test('a certificate that ends soon is a warning', { skip: withoutOpenssl }, async (t) => {
  const directory = temporaryDirectory(t);
  const rowsWith = async (days: number): Promise<Map<string, DoctorRow>> => {
    const { cert, key } = makeCertificate(directory, 'server', days);
    const file = path.join(directory, 'config.yml');
    fs.writeFileSync(file, `${backedUp}\nhttp: {tls: {cert_file: ${cert}, key_file: ${key}}}`);
    const rows = await diagnose({ argv: ['--config', file], env: {}, cores: 2 }, machineOf({}));
    return new Map(rows.map((row) => [row.name, row]));
  };
  assert.deepEqual((await rowsWith(30)).get('http.tls')?.verdict, 'ok');
  const soon = (await rowsWith(2)).get('http.tls');
  assert.match(`${soon?.verdict} ${soon?.text}`, /^warn expires in 1 days: renew it, then reload/);
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

test('a port that another has is found, and a storage is tried and left as it was', async (t) => {
  const server = net.createServer();
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as net.AddressInfo;
  assert.equal(await whyNotFree({ host: '127.0.0.1', port }), 'EADDRINUSE');
  assert.ok(['string', 'undefined'].includes(typeof (await unitState())));

  const directory = temporaryDirectory(t);
  const settings = { ...backupDefaults, url: `file://${directory}` };
  const { conditional, problem, copyAt } = await probeBackup(settings);
  assert.deepEqual([conditional, problem, copyAt], [true, undefined, undefined]);
  const left = fs.readdirSync(directory, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
  assert.deepEqual(left, []);
  const file = path.join(directory, 'file');
  fs.writeFileSync(file, '');
  assert.ok((await probeBackup({ ...backupDefaults, url: `file://${file}` })).problem !== undefined);
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
