import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { serverForFile } from '../support/server-under-test.ts';
import { CommandUnderTest, prints, runCommand } from './command-under-test.ts';

const server = serverForFile();

test('lock: runs the command under the lock, passes fence and till, and returns the exit code', async (t) => {
  const at = server.place();
  const script = 'echo "fence=$DRAGONLOCK_FENCE till=$DRAGONLOCK_TILL"; read line; echo "$line" "$@"; exit 7';
  const args = ['lock', 'job', '--ttl', '60s', '--', 'sh', '-c', script, 'sh', '--json', '-n', '--', 'a b'];
  const command = new CommandUnderTest(t, args, { ...at, input: 'from stdin\n' });
  const [, fence, till] = await command.printed(/fence=(\d+) till=(\d+)/);
  const { code, stdout } = await command.ended;
  assert.equal(code, 7);
  assert.match(stdout, /^from stdin --json -n -- a b$/m, 'stdin and every argument are the child’s');
  const left = Number(till) - Date.now() / 1000;
  assert.ok(left > 0 && left <= 60, `${left} s left`);
  const lock = await server.ok('GET', `/db/${at.account}/lock/job`);
  assert.equal(lock.Locked, false, 'released');
  const next = await server.ok('POST', `/db/${at.account}/lock/job?id=next&dur=5`);
  assert.equal(next.Recover, undefined, 'cleanly');
  assert.ok(next.Lock > Number(fence));
});

test('lock: exits with 128 + n after signal n, with 126 or 127 without a child, and releases', async (t) => {
  const at = server.place();
  const lock = ['lock', 'job', '--'];
  await prints(t, [...lock, 'sh', '-c', 'kill -9 $$'], at, 137);
  await prints(t, [...lock, 'sh', '-c', 'kill -TERM $$'], at, 143);
  const missing = await runCommand(t, [...lock, 'no-such-command'], at);
  assert.equal(missing.code, 127);
  assert.match(missing.stderr, /no-such-command: not found/);
  const directory = await runCommand(t, [...lock, '/'], at);
  assert.equal(directory.code, 126);
  assert.equal((await server.ok('GET', `/db/${at.account}/lock/job`)).Locked, false);
});

test('lock: a busy lock exits with 75, or the code of -E, and names the holder; nothing is run', async (t) => {
  const at = server.place();
  const holder = new CommandUnderTest(t, ['lock', 'job', '--', 'sh', '-c', 'echo held; exec sleep 60'], at);
  await holder.printed(/held/);
  const busy = await runCommand(t, ['lock', 'job', '-n', '--', 'echo', 'ran'], at);
  assert.deepEqual([busy.code, busy.stdout], [75, '']);
  assert.match(busy.stderr, /^dragonlock: The lock "job" is busy: held for [\d.]+ \w+ by sh \(.+, pid \d+\)\.\n$/);
  assert.ok(busy.stderr.includes(`pid ${holder.pid})`));
  await prints(t, ['lock', 'job', '--no-wait', '-E', '0', '--', 'echo', 'ran'], at, 0);
  await prints(t, ['lock', 'job', '--wait', '200ms', '--', 'echo', 'ran'], at, 75);
  holder.signal('SIGTERM');
  assert.equal((await holder.ended).code, 143, 'a signal that was forwarded');
});

test('lock: waiters get the lock in turn, each when it is released', async (t) => {
  const at = server.place();
  const first = new CommandUnderTest(t, ['lock', 'job', '--', 'sh', '-c', 'echo held; exec sleep 60'], at);
  await first.printed(/held/);
  const second = new CommandUnderTest(t, ['lock', 'job', '--', 'echo', 'second'], at);
  await server.waiters(1);
  const third = new CommandUnderTest(t, ['lock', 'job', '--wait', '50s', '--', 'echo', 'third'], at);
  await server.waiters(2);
  first.signal('SIGINT');
  assert.equal((await first.ended).code, 130);
  assert.equal((await second.ended).stdout, 'second\n');
  assert.equal((await third.ended).stdout, 'third\n');
});

test('lock: a signal cancels the wait, with exit code 128 + its number', async (t) => {
  const at = server.place();
  await server.ok('POST', `/db/${at.account}/lock/job?id=other&dur=60`);
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    const waiting = new CommandUnderTest(t, ['lock', 'job', '--', 'echo', 'ran'], at);
    await server.waiters(1);
    waiting.signal(signal);
    const ended = await waiting.ended;
    assert.deepEqual([ended.code, ended.stdout], [code, '']);
    await server.waiters(0);
  }
});

test('lock: every signal goes to the group of the child; none ends the command before the child', async (t) => {
  const at = server.place();
  const script = `
    for s in INT HUP USR1 USR2 QUIT; do trap "echo got-$s" $s; done
    trap 'echo ending; exit 5' TERM
    (trap 'echo grandchild-int' INT; echo grandchild; while :; do sleep 0.05; done) &
    echo ready
    while :; do sleep 0.05; done`;
  const command = new CommandUnderTest(t, ['lock', 'job', '--', 'bash', '-c', script], at);
  await command.printed(/^ready$/m);
  await command.printed(/^grandchild$/m);
  await signalUntilPrinted(command, 'SIGINT', /got-INT/);
  await signalUntilPrinted(command, 'SIGINT', /grandchild-int/);
  await signalUntilPrinted(command, 'SIGINT', /got-INT[^]*got-INT/);
  for (const name of ['HUP', 'USR1', 'USR2', 'QUIT'] as const) {
    await signalUntilPrinted(command, `SIG${name}`, new RegExp(`got-${name}`));
  }
  assert.equal((await server.ok('GET', `/db/${at.account}/lock/job`)).Locked, true, 'held all the time');
  command.signal('SIGTERM');
  const { code } = await command.ended;
  assert.equal(code, 5, 'the exit code of the child');
  assert.equal((await server.ok('GET', `/db/${at.account}/lock/job`)).Locked, false, 'and released');
});

/** Bash may drop a trapped signal that comes just when the command that it waits for ends. So it gets a few. */
async function signalUntilPrinted(command: CommandUnderTest, signal: NodeJS.Signals, pattern: RegExp): Promise<void> {
  const printed = command.printed(pattern);
  for (let tries = 0; tries < 5; tries += 1) {
    command.signal(signal);
    if ((await Promise.race([printed, sleep(2000)])) !== undefined) return;
  }
  await printed;
}

test('lock: wrong calls exit with 64, and a line says what was expected', async (t) => {
  for (const [args, message] of [
    [['lock'], /missing required argument 'name'/],
    [['lock', 'job'], /expected: dragonlock lock NAME/],
    [['lock', 'job', '--'], /expected: dragonlock lock NAME/],
    [['lock', 'job', 'echo', 'hello'], /expected: dragonlock lock NAME/],
    [['lock', 'job', '--wait', 'soon', '--', 'true'], /--wait: expected a duration such as .*, got "soon"/],
    [['lock', 'job', '--ttl', '1ms', '--', 'true'], /--ttl: expected 1s to 24h, got 1ms/],
    [['lock', 'job', '-E', '256', '--', 'true'], /--conflict-exit-code: expected 0 to 255, got 256/],
    [['lock', 'job', '--meta', '{', '--', 'true'], /--meta: not JSON/],
    [['lock', 'job', '--tll', '5s', '--', 'true'], /unknown option '--tll' \(Did you mean --ttl\?\)/],
  ] as const) {
    const { code, stdout, stderr } = await runCommand(t, args, { url: 'http://127.0.0.1:1' });
    assert.deepEqual([code, stdout], [64, ''], stderr);
    assert.match(stderr, message);
    assert.match(stderr, /^dragonlock: [^\n]+\n$/, 'one line');
  }
});

test('lock: readers beside each other, permits up to their limit, several locks together', async (t) => {
  const at = server.place();
  const hold = ['--', 'sh', '-c', 'echo held; exec sleep 60'];
  const reader = new CommandUnderTest(t, ['lock', 'a', '--read', ...hold], at);
  await reader.printed(/held/);
  await prints(t, ['lock', 'a', '--read', '-n', '--', 'echo', 'read'], at, 0);
  await prints(t, ['lock', 'a', '-n', '--', 'echo', 'ran'], at, 75);
  const permit = new CommandUnderTest(t, ['lock', 'p', '--limit', '2', ...hold], at);
  await permit.printed(/held/);
  await prints(t, ['lock', 'p', '--limit', '2', '-n', '--', 'echo', 'second'], at, 0);
  const listed = await runCommand(t, ['locks'], at);
  assert.match(listed.stdout, /1 as readers[\s\S]*1 of 2 permits/);
  await prints(t, ['lock', 'a', 'b', '-n', '--', 'echo', 'ran'], at, 75);
  await prints(t, ['lock', 'b', 'c', '-n', '--', 'echo', 'both'], at, 0);
  await prints(t, ['lock', 'b', 'c', '--read', '--', 'echo', 'ran'], at, 64);
  await prints(t, ['lock', 'p', '--limit', '1', '-n', '--', 'echo', 'ran'], at, 64);
  reader.signal('SIGTERM');
  permit.signal('SIGTERM');
});
