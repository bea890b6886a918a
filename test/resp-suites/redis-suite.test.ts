/**
 * Redis' own tests, in Tcl, against the door for Redis clients. They are not in this repository: DRAGONLOCK_REDIS_SUITE
 * names a directory with `runtest` and `tests/` of Redis 7.0.15. Each file passes as many tests as it should, and only
 * tests that are expected to fail do (expected.ts).
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { ServerUnderTest } from '../support/server-under-test.ts';
import { suiteFiles } from './expected.ts';

const suite = process.env['DRAGONLOCK_REDIS_SUITE'];
const withoutTcl = spawnSync('tclsh', { input: 'exit 0' }).status !== 0;
const skip = suite === undefined ? 'DRAGONLOCK_REDIS_SUITE is not set' : withoutTcl && 'tclsh is not installed';

const config = `
resp: {listen: "127.0.0.1:0"}
http: {threads: 1}
shards: 1
limits: {value_bytes_max: 8388608, batch_operations_max: 10000}
`;
const without = '-needs:repl -needs:debug -needs:save -needs:config-maxmemory -large-memory -slow';
const patienceMs = 180_000;

for (const [file, { passes, fails, edit }] of Object.entries(suiteFiles)) {
  test(`Redis 7.0.15, ${file}: at least ${passes} pass, and no other than those expected fails`, {
    skip,
  }, async (t) => {
    const server = await ServerUnderTest.forTest(t, { config });
    const single = edit === undefined ? file : edited(file, edit);
    const where = ['--host', '127.0.0.1', '--port', String(server.respPort), '--single', single];
    const how = ['--singledb', '--ignore-encoding', '--ignore-digest', '--durable', '--tags', without];
    const child = spawn('./runtest', [...where, ...how], {
      cwd: suite,
      timeout: patienceMs,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [output] = await Promise.all([text(child.stdout), once(child, 'close')]);
    // oxlint-disable-next-line no-control-regex -- colours
    const lines = output.replaceAll(/\x1b\[[0-9;]*m/g, '').split('\n');
    const passed = lines.filter((line) => line.startsWith('[ok]: '));
    const failed = lines.flatMap((line) => /^\[(?:err|exception)\]: (.*?)(?: in tests\/.*)?$/.exec(line)?.[1] ?? []);
    const names = failed.map((name) => name.replaceAll('#', ''));
    t.diagnostic(JSON.stringify({ file, passed: passed.length, failed: failed.length }));
    assert.deepEqual(
      names.filter((name) => !Object.hasOwn(fails, name)),
      [],
      output.slice(-4000),
    );
    assert.ok(passed.length >= passes, `${passed.length} passed\n${output.slice(-4000)}`);
  });
}

function edited(file: string, [what, instead]: readonly [string, string]): string {
  const copy = `${file}-edited`;
  const text = readFileSync(`${suite}/tests/${file}.tcl`, 'utf8');
  assert(text.includes(what), `${file} is that of Redis 7.0.15`);
  writeFileSync(`${suite}/tests/${copy}.tcl`, text.replace(what, instead));
  return copy;
}
