/**
 * What `dragonlock lock` hands on to its command: arguments, variables, ignored signals, limits and descriptors. The
 * commands here copy their own /proc files.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import type { Launch } from '../../src/cli/launch.ts';
import { CommandStart } from '../../src/cli/start-command.ts';
import { temporaryDirectory } from '../docs/server-child.ts';
import { serverForFile, type Place } from '../support/server-under-test.ts';
import { commandFile, commandScript, CommandUnderTest, environment, runCommand } from './command-under-test.ts';

const server = serverForFile();

const withoutPerl = !fs.existsSync('/usr/bin/perl') && 'Perl is not installed';
const dump = `
  cat "/proc/$$/cmdline" >"$0.args"
  cat "/proc/$$/environ" >"$0.environment"
  cat "/proc/$$/status" >"$0.status"
  ulimit -S -n >"$0.limit"`;

const oddArguments = [
  Buffer.from(Array.from({ length: 255 }, (_, i) => i + 1)),
  '',
  'a\nb\n',
  '--json',
  '--',
  '*',
  '\ufffd',
].map((argument) => Buffer.from(argument));

const oddVariables = [
  Buffer.from('a.b=1'),
  Buffer.from('BASH_FUNC_x%%=() {  echo hi\n}'),
  Buffer.from('no equals sign'),
  Buffer.from('TWICE=1'),
  Buffer.from('TWICE=2'),
  Buffer.from([...Buffer.from('BYTES='), 0xff, 0x81, 0x88, 0xc0]),
  Buffer.from('PWD=/nowhere'),
  Buffer.from('=nameless'),
  Buffer.from('EMPTY='),
  Buffer.from('LINES=a\n\nb\n'),
  Buffer.from('NODE_OPTIONS='),
];

function launch(args: readonly (string | Buffer)[], more: Partial<Launch> = {}): Launch {
  return {
    args: args.map((argument) => Buffer.from(argument)),
    environment: [],
    ignoredSignals: [],
    openFiles: undefined,
    descriptors: [],
    requireText: () => undefined,
    ...more,
  };
}

/** Runs a program as it is described. @returns its exit code */
async function runAs(described: Launch): Promise<number | null> {
  const { process: child, go } = new CommandStart(described, described.args.length).start({});
  go();
  const [code] = (await once(child, 'exit')) as [number | null];
  return code;
}

function entries(file: string): string[] {
  return fs.readFileSync(file, 'latin1').split('\0').slice(0, -1);
}

function variables(at: Place): Buffer[] {
  const given = environment({ ...at, env: { TWICE: undefined } });
  const own = ['PATH', 'DRAGONLOCK_URL', 'DRAGONLOCK_ACCOUNT', 'NODE_COMPILE_CACHE'];
  return [...oddVariables, ...own.map((name) => Buffer.from(`${name}=${given[name]}`))];
}

function assertExact(file: string, given: readonly Buffer[]): void {
  const wanted = given.map((entry) => entry.toString('latin1'));
  const fence = /^DRAGONLOCK_(FENCE|TILL)=\d+$/;
  const got = entries(`${file}.environment`);
  assert.deepEqual(
    got.filter((entry) => !fence.test(entry)),
    wanted,
    'every variable, in order',
  );
  assert.equal(got.length, wanted.length + 2, 'and two of ours');
  assert.deepEqual(
    entries(`${file}.args`).slice(-oddArguments.length),
    oddArguments.map((argument) => argument.toString('latin1')),
  );
}

test('the command gets arguments, variables, ignored signals and the limit of files exactly as they came', {
  skip: withoutPerl,
}, async (t) => {
  const at = server.place();
  const file = path.join(temporaryDirectory(t), 'as-script');
  const given = variables(at);
  const code = await runAs(
    launch([commandScript, 'lock', 'job', '--', 'sh', '-c', dump, file, ...oddArguments], {
      environment: given,
      ignoredSignals: ['SIGHUP', 'SIGUSR1', 'SIGPIPE'],
      openFiles: { soft: 256, hard: 512 },
    }),
  );
  assert.equal(code, 0);
  assertExact(file, given);
  const [, ignored = ''] = /^SigIgn:\s+([\da-f]+)$/m.exec(fs.readFileSync(`${file}.status`, 'utf8')) ?? [];
  assert.equal(BigInt(`0x${ignored}`), (1n << 0n) | (1n << 9n) | (1n << 12n), 'HUP, USR1, PIPE');
  assert.equal(fs.readFileSync(`${file}.limit`, 'utf8'), '256\n');
});

test('started by Node itself, arguments and variables are exact too', { skip: withoutPerl }, async (t) => {
  const at = server.place();
  const file = path.join(temporaryDirectory(t), 'as-node');
  const given = variables(at);
  const command = [process.execPath, commandFile, 'lock', 'job', '--', 'sh', '-c', dump, file];
  assert.equal(await runAs(launch([...command, ...oddArguments], { environment: given })), 0);
  assertExact(file, given);
});

test('nohup: a signal that was ignored ends neither the wait nor the command', async (t) => {
  const at = server.place();
  await server.ok('POST', `/db/${at.account}/lock/job?id=other&dur=60`);
  const ending = 'echo "$0 says"; kill -HUP $$; echo survived';
  const argv = ['sh', '-c', `trap '' HUP; exec '${commandScript}' lock job -- sh -c '${ending}' job`];
  const waiting = new CommandUnderTest(t, [], { ...at, argv });
  await server.waiters(1);
  waiting.signal('SIGHUP');
  await server.ok('DELETE', `/db/${at.account}/lock/job?id=other`);
  assert.deepEqual(await waiting.ended, { code: 0, stdout: 'job says\nsurvived\n', stderr: '' });
});

test('descriptors that were opened for the command reach it', async (t) => {
  const at = server.place();
  const inner = 'for n in 3 4 9; do eval "cat <&$n"; done';
  const line = `exec '${commandScript}' lock job -- sh -c '${inner}' 3<"$0/3" 4<"$0/4" 9<"$0/9"`;
  const directory = temporaryDirectory(t);
  for (const n of [3, 4, 9]) fs.writeFileSync(path.join(directory, String(n)), `${n}\n`);
  const ended = await runCommand(t, [], { ...at, argv: ['sh', '-c', line, directory] });
  assert.deepEqual(ended, { code: 0, stdout: '3\n4\n9\n', stderr: '' });
});

test('a name of bytes that are not UTF-8 is refused, never changed into another', async (t) => {
  for (const line of ['kv get "$bytes"', 'kv list "$bytes"', 'lock "$bytes" -- true', 'counter add "a$bytes"']) {
    const argv = ['sh', '-c', `bytes=$(printf '\\377\\376'); exec '${commandScript}' ${line}`];
    const { code, stdout, stderr } = await runCommand(t, [], { url: 'http://127.0.0.1:1', argv });
    assert.deepEqual([code, stdout], [64, ''], stderr);
    assert.match(stderr, /^dragonlock: argument \d: expected UTF-8, got "a?ÿþ"\n$/);
  }
  const given = await runCommand(t, ['lock', '\ufffd', '-n', '--', 'true'], { url: 'http://127.0.0.1:1' });
  assert.equal(given.code, 69, 'the character itself is a name like others');
});

test('without Perl, what a shell can hand on is handed on, and the rest is refused before the lock is asked for', async (t) => {
  const file = path.join(temporaryDirectory(t), 'by-shell');
  const plain = [`PATH=${process.env['PATH']}`, 'PLAIN=ü\n '].map((entry) => Buffer.from(entry));
  const described = launch(['sh', '-c', dump, file, 'a b', 'ü', ''], {
    environment: plain,
    ignoredSignals: ['SIGHUP'],
    openFiles: { soft: 128, hard: 256 },
  });
  const { process: child, go } = new CommandStart(described, 7, false).start({ DRAGONLOCK_FENCE: '7' });
  go();
  await once(child, 'exit');
  assert.deepEqual(entries(`${file}.args`).slice(-3), ['a b', Buffer.from('ü').toString('latin1'), '']);
  const got = entries(`${file}.environment`);
  for (const entry of [...plain.map((bytes) => bytes.toString('latin1')), 'DRAGONLOCK_FENCE=7']) {
    assert.ok(got.includes(entry), entry);
  }
  assert.match(fs.readFileSync(`${file}.status`, 'utf8'), /^SigIgn:\s+0*1$/m);
  assert.equal(fs.readFileSync(`${file}.limit`, 'utf8'), '128\n');

  for (const odd of oddVariables.slice(0, 8)) {
    if (/^(TWICE=1|PWD)/.test(odd.toString('latin1'))) continue;
    const refused = launch(['true'], { environment: [Buffer.from('TWICE=1'), odd] });
    assert.throws(() => new CommandStart(refused, 1, false), /UsageError: environment: .* is needed/, String(odd));
  }
  assert.throws(() => new CommandStart(launch([Buffer.from([0xff])]), 1, false), /command: expected UTF-8/);
});

test('a command is found as execvp finds it, and exits with 126 or 127 if it is not', {
  skip: withoutPerl,
}, async (t) => {
  const at = server.place();
  const directory = temporaryDirectory(t);
  const write = (name: string, text: string, mode: number): void =>
    fs.writeFileSync(path.join(directory, name), text, { mode });
  write('plain', 'echo "no interpreter line $1"\n', 0o755);
  write('closed', '#!/bin/sh\n', 0o644);
  write('broken', '#!/no/such/interpreter\n', 0o755);
  const env = { PATH: `/no/such:${directory}:${process.env['PATH']}` };
  for (const [command, code, output] of [
    ['plain', 0, /^no interpreter line x\n$/],
    ['closed', 126, /closed: cannot run: Permission denied/],
    ['broken', 127, /broken: not found/],
    ['', 127, /: not found/],
    [`${directory}/plain/x`, 127, /not found/],
  ] as const) {
    const ended = await runCommand(t, ['lock', 'job', '--', command, 'x'], { ...at, env });
    assert.equal(ended.code, code, ended.stderr);
    assert.match(ended.stdout + ended.stderr, output);
  }
});

const cannotUnshare =
  spawnSync('unshare', ['--pid', '--fork', '--mount-proc', 'true']).status !== 0 && 'unshare does not work here';

test('as process 1, orphans are reaped, signals reach the command, and its exit code stays', {
  skip: cannotUnshare,
}, async (t) => {
  const at = server.place();
  // Two orphans end; then there must be no zombie. The last line answers the signal.
  const inner = `
    sh -c "sleep 0.1 & sleep 0.1 &"
    until [ "$(grep -l 'State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l)" = 0 ] && ! pgrep -x sleep >/dev/null
    do :; done
    trap "exit 5" TERM; kill -TERM 1; while :; do :; done`;
  const argv = ['unshare', '--pid', '--fork', '--mount-proc', commandScript, 'lock', 'job', '--', 'sh', '-c', inner];
  const ended = await runCommand(t, [], { ...at, argv });
  assert.deepEqual(ended, { code: 5, stdout: '', stderr: '' });
});
