/**
 * The tests of ioredis against the door for Redis clients. They are not in this repository: DRAGONLOCK_IOREDIS_SUITE names a
 * checkout of ioredis with its packages installed. They want port 6379, and to be alone there. No test fails but those
 * that are left out with a reason (ioredis-expected.ts).
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ServerUnderTest } from '../support/server-under-test.ts';
import { ioredisFiles, ioredisLeftOut, ioredisPasses } from './ioredis-expected.ts';

const suite = process.env['DRAGONLOCK_IOREDIS_SUITE'];
const skip = suite === undefined && 'DRAGONLOCK_IOREDIS_SUITE is not set';
const config = `
resp: {listen: "127.0.0.1:6379"}
http: {threads: 1}
shards: 1
limits: {value_bytes_max: 8388608, batch_operations_max: 10000}
`;
const patienceMs = 600_000;

interface Report {
  readonly stats: { readonly tests: number; readonly passes: number; readonly pending: number };
  readonly failures: readonly { readonly fullTitle: string; readonly err: { readonly message?: string } }[];
}

test(`ioredis 6.0.0: at least ${ioredisPasses} pass, and none fails but those that are left out`, {
  skip,
}, async (t) => {
  const server = await ServerUnderTest.forTest(t, { config });
  const output = path.join(server.directory, 'ioredis.json');
  const leftOut = Object.values(ioredisLeftOut).flat();
  const except = `^(${leftOut.map((title) => RegExp.escape(title)).join('|')})`;
  const files = ioredisFiles.map((name) => `test/functional/${name}`);
  const args = ['--no-experimental-strip-types', '--reporter', 'json', '--reporter-option', `output=${output}`];
  const child = spawn(
    './node_modules/.bin/mocha',
    [...args, '--grep', except, '--invert', 'test/helpers/*.ts', ...files],
    {
      cwd: suite,
      env: { ...process.env, TS_NODE_TRANSPILE_ONLY: 'true', NODE_ENV: 'test' },
      timeout: patienceMs,
      stdio: 'ignore',
    },
  );
  await once(child, 'close');
  const { stats, failures } = JSON.parse(readFileSync(output, 'utf8')) as Report;
  t.diagnostic(JSON.stringify({ ...stats, leftOut: leftOut.length }));
  assert.deepEqual(
    failures.map(({ fullTitle, err }) => `${fullTitle}: ${err.message}`),
    [],
  );
  assert.ok(stats.passes >= ioredisPasses, `${stats.passes} passed`);
});
