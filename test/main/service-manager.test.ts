/** What systemd is told, and when the watchdog is not. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { test } from 'node:test';
import { createInterface } from 'node:readline';
import { Watchdog } from '../../src/main/watchdog.ts';
import { temporaryDirectory } from '../docs/server-child.ts';
import { eventually, ServerUnderTest } from '../support/server-under-test.ts';

/** Prints each datagram as a line. */
const receiver = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('listens', flush=True)
while True: print(s.recv(65536).decode().replace('\\n', ' '), flush=True)
`;
const lacks = ['python3', 'systemd-notify'].find((name) => spawnSync(name, ['--version']).error !== undefined);

test('systemd hears of the start, of reloads, of life and of the end', {
  skip: lacks && `${lacks} is not installed`,
}, async (t) => {
  const socketPath = path.join(temporaryDirectory(t), 'notify');
  const listening = spawn('python3', ['-c', receiver, socketPath], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => listening.kill('SIGKILL'));
  const heard: string[] = [];
  createInterface({ input: listening.stdout }).on('line', (line) => heard.push(line));
  const hears = (what: RegExp, times = 1): Promise<void> =>
    eventually(String(what), async () => heard.filter((line) => what.test(line)).length >= times, 30_000);
  await hears(/^listens$/);
  const server = await ServerUnderTest.forTest(t, { env: { NOTIFY_SOCKET: socketPath, WATCHDOG_USEC: '300000' } });
  await hears(/^READY=1/);
  await hears(/^STATUS=Serving on http:/);
  await hears(/^WATCHDOG=1/, 3);
  process.kill(server.pid, 'SIGHUP');
  await hears(/^RELOADING=1/);
  await hears(/^READY=1/, 2);
  await server.stop();
  await hears(/^STOPPING=1/);
  assert.ok(heard.indexOf('RELOADING=1') > heard.indexOf('READY=1'));
  listening.kill();
  await once(listening, 'close');
});

class Times {
  readonly #due: { at: number; run: () => void }[] = [];
  now = 0;

  readonly after = (delayMs: number, run: () => void): (() => void) => {
    const entry = { at: this.now + delayMs, run };
    this.#due.push(entry);
    return () => void this.#due.splice(this.#due.indexOf(entry), this.#due.includes(entry) ? 1 : 0);
  };

  async pass(ms: number): Promise<void> {
    this.now += ms;
    for (const entry of this.#due.filter(({ at }) => at <= this.now)) {
      this.#due.splice(this.#due.indexOf(entry), 1);
      entry.run();
    }
    for (let i = 0; i < 10; i += 1) await Promise.resolve();
  }
}

test('the watchdog is fed three times in its time, and never for a thread that does not answer', async () => {
  const times = new Times();
  let asked = question();
  let alive = 0;
  const silences: number[] = [];
  const watchdog = new Watchdog({
    ask: () => (asked = question()).promise,
    alive: () => (alive += 1),
    withinMs: 30_000,
    after: times.after,
    onSilence: (ms) => silences.push(ms),
  });
  asked.resolve();
  await times.pass(0);
  assert.equal(alive, 1);
  await times.pass(10_000);
  asked.resolve();
  await times.pass(0);
  assert.equal(alive, 2);
  await times.pass(10_000);
  await times.pass(4999);
  assert.deepEqual([alive, silences], [2, []]);
  await times.pass(1);
  assert.deepEqual([alive, silences], [2, [5000]], 'one thread stands still');
  await times.pass(60_000);
  assert.equal(alive, 2, 'nothing is said for it');
  asked.resolve();
  await times.pass(0);
  assert.equal(alive, 3, 'it has come back');
  watchdog.stop();
  await times.pass(60_000);
  assert.equal(alive, 3);
});

function question(): { promise: Promise<void>; resolve: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { promise, resolve };
}
