/** All that the command prints arrives, however slowly it is read; what cannot be written is an error. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { test } from 'node:test';
import { commandProgram } from '../support/server-program.ts';
import { serverForFile } from '../support/server-under-test.ts';
import { prints, runCommand } from './command-under-test.ts';

const server = serverForFile();

const dragonlock = `'${process.execPath}' '${commandProgram}'`;

test('output beyond the capacity of a pipe arrives, on stdout and on stderr', async (t) => {
  const at = server.place();
  const value = 'ü'.repeat(400_000);
  await server.batch({ KVSet: { Key: 'big', Value: value } });
  await server.batch({ KVSet: Array.from({ length: 700 }, (_, i) => ({ Key: `k${i}`, Value: 'x'.repeat(1000) })) });
  // The reader begins when the writer has filled the pipe.
  const sh = (line: string): Promise<string> =>
    runCommand(t, [], { ...at, argv: ['sh', '-c', line] }).then(({ stdout }) => stdout);
  const slowly = '{ read -r _ </dev/null; sleep 0.2; wc -c; }';
  assert.equal((await sh(`${dragonlock} kv get big | ${slowly}`)).trim(), '800000');
  const lines = await sh(`{ ${dragonlock} kv list k; echo "code $?"; } | { sleep 0.2; cat; }`);
  assert.match(lines, /^KEY[^]*\nk99 [^]*\ncode 0\n$/);
  assert.equal(lines.split('\n').length, 703);
  const failed = await sh(`{ ${dragonlock} kv get "$(printf 'x%.0s' $(seq 100000))" 2>&1; } | ${slowly}`);
  assert.ok(Number(failed.trim()) > 0);
});

test('a reader that has enough ends the command with 141 and no message, whatever it prints', async (t) => {
  const at = server.place();
  await server.batch({ KVSet: Array.from({ length: 500 }, (_, i) => ({ Key: `k${i}`, Value: 'x'.repeat(1000) })) });
  for (const line of ['kv list', 'kv list --json', 'kv list --keys k', 'status', '--help', 'completion bash']) {
    const command = `exec 3>&1; { { ${dragonlock} ${line} 2>&3; echo "code $?" >&3; } | exec 3>&-; } | :; wait`;
    const { stdout } = await runCommand(t, [], { ...at, argv: ['bash', '-c', command] });
    assert.equal(stdout, 'code 141\n', line);
  }
});

test('a full disk is an error with an exit code, and a full stderr changes none', {
  skip: !fs.existsSync('/dev/full') && 'there is no /dev/full',
}, async (t) => {
  const at = server.place();
  await server.batch({ KVSet: { Key: 'a', Value: 1 } });
  for (const line of [
    'kv get a',
    'kv list',
    'counter add c',
    'status',
    '--version',
    'kv put a x --json',
    'locks --json',
  ]) {
    const { code, stderr } = await runCommand(t, [], { ...at, argv: ['sh', '-c', `${dragonlock} ${line} >/dev/full`] });
    const printsNothing = line.startsWith('locks');
    assert.equal(code, printsNothing ? 0 : 74, line);
    if (!printsNothing) assert.match(stderr, /Cannot write to stdout: ENOSPC/);
  }
  const missing = await runCommand(t, [], { ...at, argv: ['sh', '-c', `${dragonlock} kv get none 2>/dev/full`] });
  assert.equal(missing.code, 1);
  const closed = await runCommand(t, [], { ...at, argv: ['sh', '-c', `${dragonlock} kv get none 2>&- <&-`] });
  assert.equal(closed.code, 1);
  const child = await runCommand(t, [], {
    ...at,
    argv: ['sh', '-c', `${dragonlock} lock j -- sh -c 'exit 3' 2>/dev/full`],
  });
  assert.equal(child.code, 3);
});

test('kv get prints what was put, byte for byte', async (t) => {
  const at = server.place();
  for (const text of ['two', 'two\n', '', '\n', 'a\0b\u001b[2J', '\ufeffü\r\n']) {
    await prints(t, ['kv', 'put', 'k', '-'], { ...at, input: text });
    assert.equal(await prints(t, ['kv', 'get', 'k'], at), text);
  }
  const pipe = `printf two | ${dragonlock} kv put k -; ${dragonlock} kv get k | cksum; printf two | cksum`;
  const { stdout } = spawnSync('sh', ['-c', pipe], {
    encoding: 'utf8',
    env: { ...process.env, DRAGONLOCK_URL: at.url, DRAGONLOCK_ACCOUNT: at.account },
  });
  const [put, got] = stdout.split('\n');
  assert.equal(got, put);
});
