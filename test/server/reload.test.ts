/** Reload by SIGHUP: tokens, limits of accounts, certificates, the log; all of it or nothing. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import tls from 'node:tls';
import { makeCertificate, withoutOpenssl } from '../support/certificates.ts';
import { RespClient } from '../support/resp-client.ts';
import { eventually, ServerUnderTest, type CallOptions } from '../support/server-under-test.ts';

class Reloading {
  readonly server: ServerUnderTest;

  constructor(server: ServerUnderTest) {
    this.server = server;
  }

  /** Writes another config.yml and asks the server to read it. @returns the line of the log that says how it went */
  async reload(config: string): Promise<{ msg: string; problems?: unknown }> {
    const { server } = this;
    const seen = server.logs.length;
    fs.writeFileSync(path.join(server.directory, 'config.yml'), config);
    process.kill(server.pid, 'SIGHUP');
    const line = await server.logLine(
      (one) => server.logs.indexOf(one) >= seen && /configuration was (not )?reloaded/.test(one.msg),
      'reloads',
    );
    return { msg: line.msg, problems: line['problems'] };
  }
}

const by = (token: string): CallOptions => ({ headers: { authorization: `Bearer ${token}` } });
const token = (name: string, scopes = 'read, write'): string =>
  `{token: token-${name}, name: ${name}, accounts: "*", scopes: [${scopes}]}`;

test('reload: tokens and limits count at once, what waits by a token that is gone ends, and a bad file changes nothing', async (t) => {
  const common = 'resp: {listen: "127.0.0.1:0"}\nhttp: {threads: 2}\n';
  const server = await ServerUnderTest.forTest(t, { config: `${common}tokens: [${token('a')}, ${token('b')}]` });
  const reloading = new Reloading(server);
  assert.equal((await server.call('GET', '/db/acc/lock/x', undefined, by('token-a'))).status, 200);
  const redis = await RespClient.open(server.respPort);
  await redis.ok('AUTH', 'acc', 'token-b');

  // Watches of both tokens, on connections of their own.
  const watch = async (name: string): Promise<net.Socket> => {
    const socket = server.connect();
    const body = JSON.stringify({ ID: 'w', Version: 0, Wait: 60 });
    const head = `Host: localhost\r\nAuthorization: Bearer token-${name}\r\nContent-Length: ${body.length}\r\n\r\n`;
    socket.write(`POST /watch/acc HTTP/1.1\r\n${head}${body}`);
    return socket;
  };
  const [kept, ended] = await Promise.all([watch('a'), watch('b')]);
  await server.watchers(2);

  const bad = await reloading.reload(`${common}tokens: [${token('c')}]\nlimits: {body_byte_max: 1}`);
  assert.deepEqual(bad.problems, ['config.yml:4:10: limits.body_byte_max: unknown key; did you mean body_bytes_max?']);
  assert.equal(await server.metric('dragonlock_config_last_reload_successful'), 0);
  assert.equal((await server.call('GET', '/db/acc/kv', undefined, by('token-c'))).status, 401, 'nothing of it counts');
  assert.equal((await server.call('GET', '/db/acc/kv', undefined, by('token-b'))).status, 200);
  const none = await reloading.reload(common);
  assert.deepEqual(none.problems, ['tokens: whether there are any changes only with a restart']);

  const closed = once(ended.resume(), 'end');
  const redisClosed = redis.closed;
  await reloading.reload(
    `${common}shards: 7\nlog: {level: warn}\ntokens: [${token('a')}, ${token('c', 'read')}]\naccounts: [{name: slow, requests_per_second: 1}]`,
  );
  assert.equal(await server.metric('dragonlock_config_last_reload_successful'), 1);
  await Promise.all([closed, redisClosed]);
  for (let i = 0; i < 8; i += 1) {
    // Of either front end.
    const agent = { headers: { ...by('token-b').headers, connection: 'close' } };
    assert.equal((await server.call('GET', '/db/acc/kv', undefined, agent)).status, 401);
  }
  assert.equal((await server.call('GET', '/db/acc/kv', undefined, by('token-c'))).status, 200);
  assert.equal((await server.call('POST', '/db/acc/kv/w', '1', by('token-c'))).status, 403);
  assert.equal((await server.call('GET', '/db/slow/kv', undefined, by('token-a'))).status, 200);
  assert.equal((await server.call('GET', '/db/slow/kv', undefined, by('token-a'))).status, 429);
  const answer = once(kept, 'data');
  assert.equal((await server.call('POST', '/db/acc/kv/w', '1', by('token-a'))).status, 200);
  assert.match(String((await answer)[0]), /^HTTP\/1\.1 200 /, 'its watch went on');
  const restart = server.logs.find(({ msg }) => msg.startsWith('A restart is needed'));
  assert.equal(restart?.msg, 'A restart is needed for shards');
  kept.destroy();
});

function tlsConfig(cert: string, key: string): string {
  return `http: {threads: 2, tls: {cert_file: ${cert}, key_file: ${key}}}`;
}

function nameOf(socket: tls.TLSSocket): unknown {
  return socket.getPeerCertificate().subject.CN;
}

test('reload: new connections get the new certificate, open ones go on; a key that does not fit is refused', {
  skip: withoutOpenssl,
}, async (t) => {
  const server = ServerUnderTest.prepare();
  t.after(() => server.dispose(t.passed));
  const first = makeCertificate(path.join(server.directory, '1'), 'first');
  const second = makeCertificate(path.join(server.directory, '2'), 'second');
  server.launch({ config: tlsConfig(first.cert, first.key) });
  const serving = await server.logLine((line) => line.msg.startsWith('Serving on'), 'serves');
  const port = Number(new URL(String(serving.url)).port);
  const connect = async (): Promise<tls.TLSSocket> => {
    const socket = tls.connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    return socket;
  };
  const open = await connect();
  assert.equal(nameOf(open), 'first');
  const reloading = new Reloading(server);
  const bad = await reloading.reload(tlsConfig(second.cert, first.key));
  assert.match(String(bad.problems), /http\.tls\.key_file: .* does not belong to the certificate/);
  const still = await connect();
  assert.equal(nameOf(still), 'first');
  still.destroy();

  assert.match((await reloading.reload(tlsConfig(second.cert, second.key))).msg, /was reloaded/);
  // Of every front end, sooner or later; a thread takes it over when it comes to its message.
  for (let seconds = 0; seconds < 8; ) {
    const socket = await connect();
    seconds = nameOf(socket) === 'second' ? seconds + 1 : 0;
    socket.destroy();
  }
  const answer = once(open, 'data');
  open.write('GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n');
  assert.match(String((await answer)[0]), /^HTTP\/1\.1 200 /);
  const expires = Date.parse(open.getPeerCertificate().valid_to) / 1000;
  let metrics = '';
  open.write('GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  for await (const chunk of open) metrics += String(chunk);
  assert.match(metrics, /^dragonlock_tls_certificate_expiry_timestamp_seconds\{listener="http"\} \d+$/m);
  assert.ok(Number(/expiry_timestamp_seconds\{.*\} (\d+)/.exec(metrics)?.[1]) >= expires, 'that of the new one');
  open.destroy();
});

test('reload: quotas come and go on every shard, and backups begin, go elsewhere and end', async (t) => {
  const threads = 'shards: 2\nhttp: {threads: 2}\n';
  const ops = `tokens: [${token('a', 'read, write, admin, operator')}]\n`;
  const server = await ServerUnderTest.forTest(t, { config: threads + ops });
  const asOps = by('token-a');
  const reload = async (config: string): Promise<Record<string, unknown>> => {
    fs.writeFileSync(path.join(server.directory, 'config.yml'), config);
    return (await server.ok('POST', '/admin/reload', undefined, asOps)) as unknown as Record<string, unknown>;
  };
  const set = async (key: string): Promise<number> =>
    (await server.call('POST', `/db/full/kv/${key}`, '1', asOps)).status;
  for (let i = 0; i < 8; i += 1) assert.equal(await set(`k${i}`), 200);

  assert.deepEqual(await reload(`${threads}${ops}accounts: [{name: full, entries_max: 8}]`), {
    Reloaded: true,
    Changed: ['accounts'],
    NeedRestart: [],
  });
  // A shard takes it over when it comes to its message.
  for (let i = 0; i < 16; i += 1) await eventually('every shard refuses', async () => (await set(`n${i}`)) === 507);
  const usage = await server.ok('GET', '/db/full/usage', undefined, asOps);
  assert.match(JSON.stringify(usage), /"Limits":\{"Bytes":0,"Entries":8,/);
  await reload(threads + ops);
  for (let i = 0; i < 4; i += 1) await eventually('every shard takes it', async () => (await set(`m${i}`)) === 200);

  const wrong = await reload(`${threads}${ops}shard: 3`);
  assert.deepEqual(
    [wrong['Reloaded'], wrong['Problems']],
    [false, ['config.yml:4:1: shard: unknown key; did you mean shards?']],
  );

  const backup = async (name: string): Promise<void> => {
    const url = name === '' ? '""' : `file://${path.join(server.directory, name)}`;
    const { Changed } = await reload(`${threads}${ops}backup: {url: ${url}, interval_ms: 100}`);
    assert.ok((Changed as string[]).includes('backup.url'));
  };
  const isIn = (name: string): Promise<void> =>
    eventually(`ships to ${name}`, async () => fs.existsSync(path.join(server.directory, name, 'copy')));
  await backup('first');
  await isIn('first');
  await backup('second');
  await isIn('second');
  assert.match((await server.call('GET', '/metrics')).text, /dragonlock_backup_state/);
  const { Settings } = (await server.ok('GET', '/admin/config', undefined, asOps)) as unknown as {
    Settings: { Name: string; Value: unknown }[];
  };
  assert.match(String(Settings.find(({ Name }) => Name === 'backup.url')?.Value), /second$/);
  await backup('');
  await eventually('no backups are made', async () => {
    return !(await server.call('GET', '/metrics')).text.includes('dragonlock_backup_state');
  });
  await server.ok('POST', '/db/acc/kv/after', '1', asOps);

  const { Audit } = (await server.ok('GET', '/admin/audit?action=server.reload', undefined, asOps)) as unknown as {
    Audit: { Who: string; From: string; Subject: string }[];
  };
  assert.deepEqual(
    Audit.map(({ Who, From }) => `${Who} ${From}`),
    Array.from({ length: 5 }, () => 'a 127.0.0.1'),
    'the refused one changed nothing',
  );
  assert.equal(Audit.at(-1)?.Subject, 'accounts');
});
