import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { temporaryDirectory } from '../docs/server-child.ts';
import { commandProgram } from '../support/server-program.ts';
import { serverForFile } from '../support/server-under-test.ts';
import { commandScript, CommandUnderTest, environment, prints } from './command-under-test.ts';

const server = serverForFile();

/** Makes a directory with `dragonlock` in it, for PATH. */
function installed(t: { after(run: () => void): void }): string {
  const directory = temporaryDirectory(t);
  fs.symlinkSync(commandScript, path.join(directory, 'dragonlock'));
  return directory;
}

test('a reader that closes the pipe ends the command without a message', async (t) => {
  const at = server.place();
  const Value = 'x'.repeat(1000);
  await server.batch({ KVSet: Array.from({ length: 500 }, (_, i) => ({ Key: `k${i}`, Value })) });
  const script = 'dragonlock kv list --json | head -n 1 >/dev/null; echo "${PIPESTATUS[0]}"';
  const { stdout, stderr } = spawnSync('bash', ['-c', script], {
    encoding: 'utf8',
    env: { ...environment(at), PATH: `${installed(t)}:${process.env['PATH']}` },
  });
  assert.deepEqual([stdout, stderr], ['141\n', '']);
});

const withoutScript = spawnSync('script', ['--version']).status !== 0 && 'script (util-linux) is not installed';

test('colors appear only on a terminal, without NO_COLOR and --no-color; the child has the terminal', {
  skip: withoutScript,
}, async (t) => {
  const at = server.place();
  const onTerminal = async (args: readonly string[], env = {}): Promise<string> => {
    const line = `'${process.execPath}' '${commandProgram}' ${args.join(' ')}`;
    const argv = ['script', '-qec', line, '/dev/null'];
    const { code, stdout } = await new CommandUnderTest(t, [], { ...at, argv, env: { TERM: 'xterm', ...env } }).ended;
    assert.equal(code, 0, stdout);
    return stdout;
  };
  assert.ok((await onTerminal(['status'])).includes('\u001b[1m'));
  assert.ok(!(await onTerminal(['status', '--no-color'])).includes('\u001b'));
  assert.ok(!(await onTerminal(['status'], { NO_COLOR: '1' })).includes('\u001b'));
  assert.ok(!(await prints(t, ['status'], at)).includes('\u001b'));
  assert.match(await onTerminal(['lock', 'job', '--', 'sh', '-c', '"test -t 0 && test -t 1 && echo both"']), /both/);
});

test('completion: bash completes commands, options, and the names of locks and keys', async (t) => {
  const at = server.place();
  await server.batch({
    KVSet: [
      { Key: 'app:one', Value: 1 },
      { Key: 'app:two', Value: 2 },
      { Key: 'zoo', Value: 3 },
    ],
  });
  await server.ok('POST', `/db/${at.account}/lock/nightly?id=a&dur=60`);
  await server.batch({ KVSet: { Key: 'evil$(reboot)', Value: 1 } });
  const cases: readonly (readonly [string, string])[] = [
    ['dragonlock cou', 'counter'],
    ['dragonlock kv ', 'del get list merge put watch'],
    ['dragonlock kv put a b --if', '--if-absent --if-version'],
    ['dragonlock kv get z', 'zoo'],
    // For readline, the word begins after the colon.
    ['dragonlock kv get app:', 'one two'],
    [`dragonlock --account ${at.account} lock ni`, 'nightly'],
    ['dragonlock lock nightly -- ', ''],
    ['dragonlock locks --force-unlock n', 'nightly'],
    ['dragonlock batch -f ', ''],
    // Quoted, so that it stays one word.
    ['dragonlock kv get ev', 'evil\\$\\(reboot\\)'],
    ['dragonlock completion ', 'bash fish zsh'],
  ];
  const calls = cases.map(([line]) => {
    const word = /[^\s:=]*$/.exec(line)![0];
    return `COMP_LINE='${line}' COMP_POINT=${line.length}; _dragonlock dragonlock '${word}' ''; echo "\${COMPREPLY[@]}"`;
  });
  const script = ['source <(dragonlock completion bash)', 'complete -p dragonlock >/dev/null', ...calls].join('\n');
  const { stdout, stderr } = spawnSync('bash', ['-euc', script], {
    encoding: 'utf8',
    env: { ...environment(at), PATH: `${installed(t)}:${process.env['PATH']}` },
  });
  const lines = stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split(' ').toSorted().join(' '));
  assert.deepEqual(
    lines,
    cases.map(([, candidates]) => candidates),
    stderr,
  );
});

const proposals = ['counter', 'zoo', 'nightly', 'del get list merge put watch'];

async function assertCompletes(t: TestContext, shell: string, script: (line: string) => string): Promise<void> {
  const at = server.place();
  await server.batch({ KVSet: { Key: 'zoo', Value: 3 } });
  await server.ok('POST', `/db/${at.account}/lock/nightly?id=a&dur=60`);
  const env = { ...environment(at), PATH: `${installed(t)}:${process.env['PATH']}` };
  const completed = ['cou', 'kv get z', `--account ${at.account} lock ni`, 'kv '].map((line) => `dragonlock ${line}`);
  const found = completed.map((line) => {
    const { stdout, stderr } = spawnSync(shell, ['-c', script(line)], { encoding: 'utf8', env });
    assert.equal(stderr, '');
    return stdout.split('\n').filter(Boolean).toSorted().join(' ');
  });
  assert.deepEqual(found, proposals);
}

test('completion: fish completes commands and names', {
  skip: spawnSync('fish', ['--version']).status !== 0 && 'fish is not installed',
}, async (t) => {
  await assertCompletes(t, 'fish', (line) => `dragonlock completion fish | source; complete -C '${line}' | cut -f1`);
});

test('completion: zsh completes commands and names', {
  skip: spawnSync('zsh', ['--version']).status !== 0 && 'zsh is not installed',
}, async (t) => {
  // Outside of its line editor zsh has no completion; the function is called as the editor would.
  await assertCompletes(
    t,
    'zsh',
    (line: string): string => `
    compdef() { :; }; _default() { :; }; compadd() { print -rl -- "\${@[2,-1]}"; }
    source <(dragonlock completion zsh)
    line='${line}'; words=("\${(@s: :)line}"); CURRENT=\${#words}; PREFIX=\${words[CURRENT]}; _dragonlock`,
  );
});

test('on a terminal a wait says whom it waits for, and erases the line; elsewhere it is quiet', {
  skip: withoutScript,
}, async (t) => {
  const at = server.place();
  await server.ok('POST', `/db/${at.account}/lock/job?id=other&dur=60&meta=%22deploy%22`);
  const given = `'${commandScript}' lock job -w 300ms`;
  const onTerminal = (more = ''): Promise<{ code: number | string; stdout: string }> =>
    new CommandUnderTest(t, [], {
      ...at,
      argv: ['script', '-qec', `${given} ${more} -- echo ran`, '/dev/null'],
      env: { TERM: 'xterm' },
    }).ended;
  const shown = await onTerminal();
  assert.equal(shown.code, 75);
  assert.match(
    shown.stdout.replaceAll('\u001b', 'ESC'),
    /^dragonlock: Waiting\. The lock "job" is busy: held for [\d.]+ m?s[^\r\n]*\rESC\[Kdragonlock: The lock "job" is busy/,
  );
  assert.ok(!(await onTerminal('--json')).stdout.includes('Waiting'));
  const quiet = new CommandUnderTest(t, [], { ...at, argv: ['sh', '-c', `${given} -- echo ran`] });
  assert.doesNotMatch((await quiet.ended).stderr, /Waiting/);
});

test('--help and --version', async (t) => {
  assert.match(await prints(t, ['--version']), /^\d+\.\d+\.\d+\n$/);
  const help = await prints(t, ['--help']);
  for (const name of ['lock', 'locks', 'kv', 'counter', 'seq', 'batch', 'status', 'serve', 'config', 'completion']) {
    assert.match(help, new RegExp(`^  ${name} `, 'm'));
    await prints(t, [name, '--help']);
  }
  await prints(t, ['kv'], {}, 64);
  await prints(t, ['no-such-command'], {}, 64);
});
