/** A wrong URL, token, account or server: the command prints one clear line and exits with the code of that fault. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { ServerUnderTest } from '../support/server-under-test.ts';
import { prints, runCommand, type CommandOptions } from './command-under-test.ts';

const token = 'a-very-secret-token';

interface Failure extends CommandOptions {
  readonly code: number;
  readonly message: RegExp;
  readonly args?: readonly string[];
}

async function assertFails(t: TestContext, failure: Failure): Promise<void> {
  const { code, message, args = ['kv', 'get', 'a'], ...options } = failure;
  const ended = await runCommand(t, [...args, '--timeout', '1s'], options);
  assert.equal(ended.code, code, ended.stderr);
  assert.match(ended.stderr, /^dragonlock: [^\n]+\n$/, 'one line');
  assert.match(ended.stderr, message);
  assert.equal(ended.stdout, '');
  assert.ok(!ended.stderr.includes(token), 'the token is shown');
}

/** Starts an HTTP server that gives every request the same reply. @returns its URL */
async function foreignServer(t: TestContext, reply: string): Promise<string> {
  const server = http.createServer((_, response) => response.end(reply));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('a wrong URL is named in one line', async (t) => {
  const nobody = 'http://127.0.0.1:1';
  await assertFails(t, {
    url: nobody,
    code: 69,
    message: /Cannot reach http:\/\/127\.0\.0\.1:1 \(connect ECONNREFUSED/,
  });
  await assertFails(t, { url: nobody, args: ['status'], code: 69, message: /Cannot reach/ });
  const notUrl = /url: expected the server's address, .*, got "127\.0\.0\.1"/;
  await assertFails(t, { url: '127.0.0.1', code: 64, message: notUrl });
  const html = await foreignServer(t, '<html>');
  await assertFails(t, { url: html, code: 69, message: /is not a Dragon Lock server/ });
  await assertFails(t, { url: html, args: ['status'], code: 69, message: /is not a Dragon Lock server/ });
  const old = await foreignServer(t, '{"Version":"0.0.9"}');
  const tooOld = /is too old: expected version 0\.1\.0 or newer, got 0\.0\.9/;
  await assertFails(t, { url: old, code: 69, message: tooOld });
});

test('a wrong token or account is named in one line; the token may come from a file', async (t) => {
  const config = `tokens: [{ token: ${token}, accounts: [acc], scopes: [read, write] }]`;
  const { url, directory } = await ServerUnderTest.forTest(t, { config });
  const file = path.join(directory, 'token');
  fs.writeFileSync(file, `${token}\n`);
  await prints(t, ['kv', 'put', 'a', '1', '--token-file', file], { url });
  await prints(t, ['kv', 'get', 'a'], { url, env: { DRAGONLOCK_TOKEN_FILE: file } });
  await prints(t, ['kv', 'get', 'a'], { url, env: { DRAGONLOCK_TOKEN: token } });
  const env = { DRAGONLOCK_TOKEN: token };
  await assertFails(t, { url, code: 77, message: /token/i });
  await assertFails(t, { url, env: { DRAGONLOCK_TOKEN: `${token}-not` }, code: 77, message: /token/i });
  await assertFails(t, { url, account: 'other', env, code: 77, message: /may not use this account/ });
  const unlock = ['batch', '-f', fileWith(directory, '{"UnlockID":"job"}')];
  await assertFails(t, { url, env, args: unlock, code: 77, message: /force/ });
  const noAccount = /account: expected --account NAME or DRAGONLOCK_ACCOUNT, got neither/;
  await assertFails(t, { url, account: '', env, code: 64, message: noAccount });
  const badAccount = /account: expected .*, got "a b"/;
  await assertFails(t, { url, account: 'a b', env, code: 64, message: badAccount });
  const spaced = { DRAGONLOCK_TOKEN: `${token} ${token}` };
  await assertFails(t, { url, env: spaced, code: 64, message: /token: expected printable ASCII/ });
  const missing = { DRAGONLOCK_TOKEN_FILE: '/no/such' };
  await assertFails(t, { url, env: missing, code: 64, message: /Cannot read \/no\/such:/ });
  const json = await runCommand(t, ['kv', 'get', 'none', '--json'], { url });
  const { Code } = JSON.parse(json.stderr) as { Code: string };
  assert.deepEqual([json.code, Code], [77, 'unauthorized']);
});

function fileWith(directory: string, text: string): string {
  const file = path.join(directory, 'batch.json');
  fs.writeFileSync(file, text);
  return file;
}

test('a call waits for a server that is killed and restarted', async (t) => {
  const server = await ServerUnderTest.forTest(t);
  const { url } = server;
  const listen = `127.0.0.1:${server.port}`;
  await server.kill();
  const adding = runCommand(t, ['counter', 'add', 'c', '--timeout', '50s'], { url });
  await server.start({ listen });
  assert.deepEqual(await adding, { code: 0, stdout: '1\n', stderr: '' });
});
