/** The script of README.md for cron, against servers that answer anything, or nothing. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { readDoc } from './markdown.ts';

const without = ['bash', 'curl'].filter((tool) => spawnSync(tool, ['--version']).status !== 0);
const skip = without.length === 0 ? false : `${without.join(' and ')} not installed`;
const script = /<<'SCRIPT'\n(.*?)\nSCRIPT\n/s.exec(readDoc('README.md'))?.[1] ?? '';

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly calls: readonly string[];
}

/** @param status of each reply; undefined: nobody listens */
async function run(t: TestContext, status: number | undefined): Promise<Run> {
  const calls: string[] = [];
  const server = http.createServer((request, response) => {
    calls.push(`${request.method} ${request.url}`);
    response.writeHead(status ?? 200).end('<html>whatever</html>');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  if (status === undefined) server.close();
  const child = spawn('bash', ['-c', script.replaceAll('localhost:8081', `127.0.0.1:${port}`)]);
  const [stdout, stderr, [code]] = await Promise.all([
    child.stdout.toArray(),
    child.stderr.toArray(),
    once(child, 'close') as Promise<[number]>,
  ]);
  return { code, stdout: stdout.join(''), stderr: stderr.join(''), calls };
}

test('README.md: the script for cron runs on 200, and gives the lock back', { skip }, async (t) => {
  const { code, stdout, calls } = await run(t, 200);
  assert.deepEqual([code, stdout], [0, 'making the report\n']);
  const [taken = '', released = ''] = calls;
  const owner = /^POST \/db\/ops\/lock\/nightly-report\?owner=([^&]+)&dur=3600$/.exec(taken)?.[1];
  assert.equal(released, `DELETE /db/ops/lock/nightly-report?owner=${owner}`);
  assert.notEqual((await run(t, 200)).calls[0], taken, 'each run has an owner of its own');
});

test('README.md: the script for cron stays silent only on 409', { skip }, async (t) => {
  const { code, stdout } = await run(t, 409);
  assert.deepEqual([code, stdout], [0, 'somebody else is at it\n']);
});

for (const status of [400, 401, 403, 404, 423, 429, 500, 502, 503, 507, undefined]) {
  test(`README.md: the script for cron fails on ${status ?? 'no server'}`, { skip }, async (t) => {
    const { code, stdout, stderr } = await run(t, status);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, new RegExp(`cannot take the lock: status ${status ?? '000'}`));
  });
}
