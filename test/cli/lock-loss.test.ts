/**
 * The purpose of `dragonlock lock`: the child never outlives the lease. The children here ignore SIGTERM and write the
 * time over and over, so that the last line says how long they lived.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { serverForFile, type Place } from '../support/server-under-test.ts';
import { CommandUnderTest, isAlive, prints } from './command-under-test.ts';

const server = serverForFile();

/** Waits for signals in bash, without a child process that the signals would end. */
const waits = 'exec 3<> <(:); while :; do read -r -t 0.05 -u 3 _; done';

/** A grandchild and its parent, which write the time over and over until they are killed. */
const stubborn = `
  trap '' TERM INT
  live() { while :; do echo "\${EPOCHREALTIME/./}" >>"$1"; sleep 0.01; done; }
  live "$1.grandchild" &
  echo "group $$"
  live "$1.child"`;

class Stubborn {
  readonly command: CommandUnderTest;
  readonly #file: string;

  constructor(t: TestContext, at: Place, ttl: string) {
    this.#file = path.join(server.directory, `alive-${at.account}`);
    const args = ['lock', 'job', '--ttl', ttl, '--', 'bash', '-c', stubborn, 'bash', this.#file];
    this.command = new CommandUnderTest(t, args, at);
  }

  /** @returns its process group */
  async running(): Promise<number> {
    const [, group] = await this.command.printed(/group (\d+)/);
    return Number(group);
  }

  /** The last time at which one of them was certainly alive, in milliseconds since the epoch. */
  lastSeenMs(): number {
    const times = ['child', 'grandchild'].map((who) => {
      const lines = fs.readFileSync(`${this.#file}.${who}`, 'utf8').match(/^\d{16}$/gm);
      assert(lines !== null, `the ${who} has lived`);
      return Number(lines.at(-1)) / 1000;
    });
    return Math.max(...times);
  }
}

/** Waits for a renewal, so that the next one is a while off. @returns when the lease ends if nothing renews it */
async function renewedTillMs({ account }: Place): Promise<number> {
  const first = await server.ok('GET', `/db/${account}/lock/job`);
  for (;;) {
    const { Locked, TillMs } = await server.ok('GET', `/db/${account}/lock/job`);
    assert.ok(Locked, 'held');
    if (TillMs > first.TillMs) return TillMs;
  }
}

async function gone(group: number): Promise<void> {
  await until('gone', () => !isAlive(-group));
}

test('the server is killed: the whole group ends before the lease can, and the exit code says lost', async (t) => {
  const at = server.place();
  const child = new Stubborn(t, at, '4s');
  const group = await child.running();
  const tillMs = await renewedTillMs(at);
  await server.kill();
  t.after(() => server.start());
  const { code, stderr } = await child.command.ended;
  assert.equal(code, 76, stderr);
  assert.match(
    stderr,
    /^dragonlock: The lock "job" could not be renewed, and ends within .* The command was ended\.$/m,
  );
  await gone(group);
  const earlyMs = tillMs - child.lastSeenMs();
  assert.ok(earlyMs > 0, `the last of them was seen ${-earlyMs} ms after the end of the lease`);
  assert.ok(earlyMs < 2000, `they had ${earlyMs} ms more, more than needed`);
});

test('the server is killed and restarted in time: the lease goes on, and the child with it', async (t) => {
  const at = server.place();
  const script = `trap 'exit 3' USR1; echo held; ${waits}`;
  const args = ['lock', 'job', '--ttl', '20s', '--', 'bash', '-c', script];
  const command = new CommandUnderTest(t, args, at);
  await command.printed(/held/);
  const { Since } = await server.ok('GET', `/db/${at.account}/lock/job`);
  await server.restart('kill', { listen: `127.0.0.1:${server.port}` });
  await renewedTillMs(at);
  command.signal('SIGUSR1');
  const { code, stderr } = await command.ended;
  assert.deepEqual([code, stderr], [3, '']);
  assert.ok(Since > 0);
  assert.equal((await server.ok('GET', `/db/${at.account}/lock/job`)).Locked, false, 'released on the new server');
});

test('the lock is taken away by force: the group ends soon, and the exit code says lost', async (t) => {
  const at = server.place();
  const child = new Stubborn(t, at, '6s');
  const group = await child.running();
  await prints(t, ['locks', '--force-unlock', 'job'], at);
  const { code, stderr } = await child.command.ended;
  assert.equal(code, 76);
  assert.match(stderr, /"job".*force.* The command was ended\.$/m);
  await gone(group);
});

test('the command is stopped beyond the ttl: the group is killed in time; continued, it says lost', async (t) => {
  const at = server.place();
  const child = new Stubborn(t, at, '4s');
  const group = await child.running();
  await renewedTillMs(at);
  child.command.signal('SIGSTOP');
  const { TillMs } = await server.ok('GET', `/db/${at.account}/lock/job`);
  const next = await server.ok('POST', `/db/${at.account}/lock/job?id=next&dur=5&wait=30`);
  assert.equal(next.Recover?.Why, 'expired');
  const earlyMs = TillMs - child.lastSeenMs();
  assert.ok(earlyMs > 0, `the last of them was seen ${-earlyMs} ms after the end of the lease`);
  child.command.signal('SIGCONT');
  const { code, stderr } = await child.command.ended;
  assert.equal(code, 76);
  assert.match(stderr, /may have expired: it was not renewed within its ttl of 4000 ms\. The command was ended\.$/m);
  await gone(group);
});

test('the command and its watchdog are stopped: the group is killed as soon as the command runs', async (t) => {
  const at = server.place();
  const child = new Stubborn(t, at, '2s');
  const group = await child.running();
  const stopped = [...childrenOf(child.command.pid).filter((pid) => pid !== group), child.command.pid];
  assert.equal(stopped.length, 2, 'the command and its watchdog');
  for (const pid of stopped) process.kill(pid, 'SIGSTOP');
  await server.ok('POST', `/db/${at.account}/lock/job?id=next&dur=5&wait=30`);
  assert.equal(isAlive(group), true, 'no process could end it');
  child.command.signal('SIGCONT');
  const { code } = await child.command.ended;
  assert.equal(code, 76);
  await gone(group);
});

test('the command is killed: the group gets SIGTERM at once, and SIGKILL before the lease can end', async (t) => {
  const at = server.place();
  const child = new Stubborn(t, at, '4s');
  const group = await child.running();
  await renewedTillMs(at);
  child.command.signal('SIGKILL');
  const { TillMs } = await server.ok('GET', `/db/${at.account}/lock/job`);
  await gone(group);
  const earlyMs = TillMs - child.lastSeenMs();
  assert.ok(earlyMs > 0, `the last of them was seen ${-earlyMs} ms after the end of the lease`);

  const script = `trap 'echo asked; exit' TERM; echo held; ${waits}`;
  const args = ['lock', 'other', '--ttl', '1h', '--', 'bash', '-c', script];
  const gentle = new CommandUnderTest(t, args, at);
  await gentle.printed(/held/);
  gentle.signal('SIGKILL');
  assert.match((await gentle.ended).stdout, /asked/, 'long before the hour is over');
});

test('the server is gone when the child ends: its exit code stays, and a line says so', async (t) => {
  const at = server.place();
  const script = `trap 'exit 3' USR1; echo held; ${waits}`;
  const args = ['lock', 'job', '--timeout', '1s', '--', 'bash', '-c', script];
  const command = new CommandUnderTest(t, args, at);
  await command.printed(/held/);
  await server.kill();
  t.after(() => server.start());
  command.signal('SIGUSR1');
  const { code, stderr } = await command.ended;
  assert.equal(code, 3);
  assert.match(stderr, /^dragonlock: The lock "job" could not be released, and ends with its ttl\. .*\n$/);
});

test('the lock is lost just before the child succeeds: 76, because another client may have held it', async (t) => {
  const at = server.place();
  for (const [ends, code] of [
    [0, 76],
    [3, 3],
  ] as const) {
    const script = `trap 'exit ${ends}' USR1; echo held; ${waits}`;
    const args = ['lock', 'job', '--ttl', '10m', '--', 'bash', '-c', script];
    const command = new CommandUnderTest(t, args, at);
    await command.printed(/held/);
    await server.batch({ UnlockID: 'job' });
    command.signal('SIGUSR1');
    const ended = await command.ended;
    assert.equal(ended.code, code, ended.stderr);
    assert.match(
      ended.stderr,
      /^dragonlock: The lock "job" was lost before the command ended: it was taken away by force\.$/m,
    );
  }
});

test('Ctrl-Z stops the child too, and fg continues both', async (t) => {
  const at = server.place();
  const script = `trap 'exit 4' USR1; echo held; ${waits}`;
  const args = ['lock', 'job', '--ttl', '1h', '--', 'bash', '-c', `echo "pid $$"; ${script}`];
  const command = new CommandUnderTest(t, args, at);
  await command.printed(/held/);
  const [, pid] = await command.printed(/pid (\d+)/);
  command.signal('SIGTSTP');
  for (const stopped of [Number(pid), command.pid]) await until('stopped', () => stateOf(stopped) === 'T');
  command.signal('SIGCONT');
  await until('running again', () => stateOf(Number(pid)) !== 'T');
  command.signal('SIGUSR1');
  assert.equal((await command.ended).code, 4);
});

/** Polls, because a test gets no event from a process that is not its child. */
async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!holds()) {
    assert.ok(Date.now() < deadline, `not within 30 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The state as in proc(5): T is stopped. */
function stateOf(pid: number): string | undefined {
  return /\) ([A-Z]) /i.exec(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1];
}

function childrenOf(pid: number): number[] {
  return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}
