/** Wrong URL, token, account, server: one clear line each, and the exit code that belongs to it. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { ServerUnderTest } from '../support/server-under-test.ts';
import { prints, runCommand, type CommandOptions } from './command-under-test.ts';

const token = 'a-very-secret-token';

async function refuses(
  t: TestContext,
  code: number,
  message: RegExp,
  options: CommandOptions,
  args: readonly string[] = ['kv', 'get', 'a'],
): Promise<void> {
  const ended = await runCommand(t, [...args, '--timeout', '1s'], options);
  assert.equal(ended.code, code, ended.stderr);
  assert.match(ended.stderr, /^dragonlock: [^\n]+\n$/, 'one line');
  assert.match(ended.stderr, message);
  assert.equal(ended.stdout, '');
  assert.ok(!ended.stderr.includes(token), 'the token is shown');
}

async function stranger(t: TestContext, reply: string): Promise<string> {
  const server = http.createServer((_, response) => response.end(reply));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

void test('a wrong URL', async (t) => {
  await refuses(t, 69, /Cannot reach http:\/\/127\.0\.0\.1:1 \(connect ECONNREFUSED/, { url: 'http://127.0.0.1:1' });
  await refuses(t, 69, /Cannot reach/, { url: 'http://127.0.0.1:1' }, ['status']);
  await refuses(t, 64, /url: expected the server's address, .*, got "127\.0\.0\.1"/, { url: '127.0.0.1' });
  await refuses(t, 69, /is not a Dragon Lock server/, { url: await stranger(t, '<html>') });
  await refuses(t, 69, /is not a Dragon Lock server/, { url: await stranger(t, '<html>') }, ['status']);
  await refuses(t, 69, /is too old: expected version 0\.1\.0 or newer, got 0\.0\.9/, {
    url: await stranger(t, '{"Version":"0.0.9"}'),
  });
});

void test('a wrong token, a foreign account, no account; the token may come from a file', async (t) => {
  const config = `tokens: [{ token: ${token}, accounts: [acc], scopes: [read, write] }]`;
  const { url, directory } = await ServerUnderTest.forTest(t, { config });
  const file = path.join(directory, 'token');
  fs.writeFileSync(file, `${token}\n`);
  await prints(t, ['kv', 'put', 'a', '1', '--token-file', file], { url });
  await prints(t, ['kv', 'get', 'a'], { url, env: { DRAGONLOCK_TOKEN_FILE: file } });
  await prints(t, ['kv', 'get', 'a'], { url, env: { DRAGONLOCK_TOKEN: token } });
  const env = { DRAGONLOCK_TOKEN: token };
  await refuses(t, 77, /token/i, { url });
  await refuses(t, 77, /token/i, { url, env: { DRAGONLOCK_TOKEN: `${token}-not` } });
  await refuses(t, 77, /may not use this account/, { url, account: 'other', env });
  await refuses(t, 77, /force/, { url, env }, ['batch', '-f', fileWith(directory, '{"UnlockID":"job"}')]);
  await refuses(t, 64, /no account: wanted --account NAME or DRAGONLOCK_ACCOUNT/, { url, account: '', env });
  await refuses(t, 64, /account: expected .*, got "a b"/, { url, account: 'a b', env });
  await refuses(t, 64, /token: expected printable ASCII/, { url, env: { DRAGONLOCK_TOKEN: `${token} ${token}` } });
  await refuses(t, 64, /Cannot read \/no\/such:/, { url, env: { DRAGONLOCK_TOKEN_FILE: '/no/such' } });
  const json = await runCommand(t, ['kv', 'get', 'none', '--json'], { url });
  const { Code } = JSON.parse(json.stderr) as { Code: string };
  assert.deepEqual([json.code, Code], [77, 'unauthorized']);
});

function fileWith(directory: string, text: string): string {
  const file = path.join(directory, 'batch.json');
  fs.writeFileSync(file, text);
  return file;
}

void test('a server that is killed and restarted meanwhile is waited for', async (t) => {
  const server = await ServerUnderTest.forTest(t);
  const { url } = server;
  const listen = `127.0.0.1:${server.port}`;
  await server.kill();
  const adding = runCommand(t, ['counter', 'add', 'c', '--timeout', '50s'], { url });
  await server.start({ listen });
  assert.deepEqual(await adding, { code: 0, stdout: '1\n', stderr: '' });
});
