/** Standard output that takes nothing: the server serves, counts what its log lost, and stops as always. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test, type TestContext } from 'node:test';
import { ServerUnderTest } from '../support/server-under-test.ts';
import { freePort } from '../support/free-port.ts';

/** The log cannot say where it listens. */
async function started(
  t: TestContext,
  options: { wrapper?: readonly string[]; stdout: number; config?: string },
): Promise<ServerUnderTest> {
  const port = await freePort();
  const server = ServerUnderTest.prepare({ ...options, listen: `127.0.0.1:${port}` });
  t.after(() => server.dispose(t.passed));
  server.launch();
  server.url = `http://127.0.0.1:${port}`;
  await server.answers();
  return server;
}

test('log: on a full disk (/dev/full) the server serves, and counts each line', async (t) => {
  const full = fs.openSync('/dev/full', 'w');
  t.after(() => fs.closeSync(full));
  const server = await started(t, { stdout: full });
  await server.ok('POST', '/db/acc/kv/k', '1');
  assert.ok((await server.metric('dragonlock_log_lines_lost_total')) >= 2);
  await server.stop();
});

test('log.requests: all on a full disk loses its lines and counts them; requests are served', async (t) => {
  const full = fs.openSync('/dev/full', 'w');
  t.after(() => fs.closeSync(full));
  const server = await started(t, { stdout: full, config: 'log: {requests: all}\nhttp: {threads: 2}' });
  for (let i = 0; i < 50; i += 1) await server.ok('POST', `/db/acc/kv/k${i}`, '1');
  for (let tries = 0; (await server.metric('dragonlock_log_lines_lost_total')) < 50; tries += 1)
    assert.ok(tries < 10_000, 'lost lines are counted');
  await server.ok('GET', '/db/acc/kv/k1');
  await server.stop();
});

test('log.requests: lines of every front end come out whole, one for each request', async (t) => {
  const server = ServerUnderTest.prepare({
    config: 'log: {requests: all, keys: true, slow_ms: 60000}\nhttp: {threads: 2}',
  });
  t.after(() => server.dispose(t.passed));
  await server.start();
  const keys = Array.from({ length: 40 }, (_, i) => `/db/acc/kv/k${i}`);
  await Promise.all(keys.map((key) => server.ok('POST', key, '1')));
  await server.stop();
  const seen = server.logs.flatMap(({ msg, url }) => (msg === 'request' && url !== undefined ? [url] : []));
  assert.deepEqual(seen.filter((url) => url.startsWith('/db/')).toSorted(), keys.toSorted());
});

test('log: a start that fails says so, although the log cannot be written', async (t) => {
  const full = fs.openSync('/dev/full', 'w');
  t.after(() => fs.closeSync(full));
  const server = ServerUnderTest.prepare({ stdout: full, dataDir: '/proc/x' });
  t.after(() => server.dispose(t.passed));
  server.launch();
  assert.equal(await server.exitCode(), 1);
  assert.match(server.stderr, /^Cannot use the data directory/);
});

test('log: a reader that has gone (EPIPE), or never reads a full pipe, does not hold the server up', async (t) => {
  // The shell's other end of the pipe: `true` ends at once, `sleep` reads nothing of it.
  for (const reader of ['true', 'exec sleep 10 2>/dev/null']) {
    const script = `fill() { [ "$1" = true ] || head -c 65536 /dev/zero; exec "\${@:2}"; }; fill '${reader}' "$0" "$@" > >(${reader})`;
    const server = await started(t, { stdout: fs.openSync('/dev/null', 'w'), wrapper: ['bash', '-c', script] });
    await server.ok('POST', '/db/acc/kv/k', '1');
    await server.stop();
  }
});
