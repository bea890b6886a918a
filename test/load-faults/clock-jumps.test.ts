/**
 * The wall clock jumps by hours (libfaketime, Debian's package `faketime`); the monotonic clock does not. Under a
 * running server nothing ends early or late. Over a restart a lock is held for its whole duration from the start on,
 * whatever the clock shows. Without libfaketime this is skipped: the simulator's clocks jump as well.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { machineMs } from '../../src/shared/clock.ts';
import { sleep, trial } from '../support/crash-trial.ts';
import type { AnswerBody, CrashClient, CrashServer, LaunchOptions } from '../support/crash-server.ts';
import { full, sized } from './scale.ts';

const libraries = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib', '/usr/local/lib'];
const library = libraries.map((place) => `${place}/faketime/libfaketimeMT.so.1`).find((file) => fs.existsSync(file));
const skip = library === undefined ? 'libfaketime is not there (Debian: apt-get install faketime)' : false;

/** Seconds. */
const hour = 3600;
const jumps = full ? [1, -1, 3, -5, 26, -48, 0].map((hours) => hours * hour) : [3 * hour, -5 * hour];
const durMs = sized(1000, 4000);
/** The delay that a busy machine may add. */
const slackMs = 5000;

trial(
  `a wall clock that jumps by hours under a running server, ${jumps.length} times: nothing ends early, nothing late`,
  import.meta.url,
  async ({ t, server }) => {
    const clock = new WallClock(server);
    await server.start(clock.launch);
    const client = server.client();
    const waiting = Array.from({ length: 3 }, () => server.client());
    let effective = 0;
    for (const [i, jump] of jumps.entries()) {
      const seconds = durMs / 1000;
      const from = machineMs();
      const lock = await client.must('POST', '/db/jump', { LockID: `l${i}`, LockDur: seconds });
      const mutex = await client.must('POST', `/db/jump/mlock/m${i}?dur=${seconds}`);
      await client.must('POST', '/db/jump', { KVSet: [{ Key: `k${i}`, Value: i, TTL: seconds }] });
      const busy = await client.must('POST', '/db/jump', { LockID: `busy${i}`, LockDur: 600 });
      const madeAt = machineMs();
      const nextLock = timed(waiting[0]!, '/db/jump', { LockID: `l${i}`, LockDur: 600, LockWait: 120 });
      const nextMutex = timed(waiting[1]!, `/db/jump/mlock/m${i}?dur=600&wait=120`);
      const overFrom = machineMs();
      const over = timed(waiting[2]!, '/db/jump', { LockID: `busy${i}`, LockDur: 600, LockWait: seconds });
      await clock.set(jump);
      effective += 1;
      // While every lease certainly holds, all must hold.
      for (let last = false; !last; last = machineMs() > from + durMs * 0.5) {
        const asked = await client.ask('GET', `/db/jump/lock/l${i}?fence=${lock.Lock}`);
        const read = await client.ask('GET', `/db/jump/kv/k${i}`);
        if (machineMs() >= from + durMs) break;
        assert.equal(asked?.status, 200, 'the lock is held');
        assert.equal(read?.status, 200, 'the key is there');
      }
      const [granted, mutexGranted, waited] = await Promise.all([nextLock, nextMutex, over]);
      for (const [{ at, body }, before] of [[granted, lock] as const, [mutexGranted, mutex] as const]) {
        assert(at >= from + durMs, `not early: ${at - from} ms after ${jump} s`);
        assert(at <= madeAt + durMs + slackMs, `not late: ${at - madeAt} ms after ${jump} s`);
        assert(body.Lock > before.Lock);
        assert.deepEqual(body.Recover, { Lock: before.Lock, Why: 'expired' });
      }
      assert.deepEqual([waited.status, waited.body.Code], [409, 'not_locked']);
      assert(waited.at >= overFrom + durMs && waited.at <= overFrom + durMs + slackMs, 'the wait took its time');
      await gone(client, `/db/jump/kv/k${i}`, madeAt + durMs + slackMs);
      await client.must('GET', `/db/jump/lock/busy${i}?fence=${busy.Lock}`);
    }
    for (const one of [client, ...waiting]) await one.close();
    await server.stop();
    t.diagnostic(JSON.stringify({ jumps, effective }));
    assert.equal(effective, jumps.length);
  },
  { skip },
);

trial(
  `a wall clock that jumps by hours while the server is down, ${jumps.length} times: a lock is held on for its time, and no longer`,
  import.meta.url,
  async ({ t, server }) => {
    const clock = new WallClock(server);
    await server.start(clock.launch);
    let effective = 0;
    for (const [i, jump] of jumps.entries()) {
      let client = server.client();
      const held = await client.must('POST', '/db/jump', { LockID: `r${i}`, LockDur: durMs / 1000 });
      const far = await client.must('POST', '/db/jump', { LockID: `far${i}`, LockDur: 600 });
      await client.close();
      await server.kill();
      clock.write(jump);
      const launchedAt = machineMs();
      await server.start(clock.launch);
      const servedAt = machineMs();
      await clock.shows(jump);
      effective += 1;
      client = server.client();
      const next = await timed(client, '/db/jump', { LockID: `r${i}`, LockDur: 600, LockWait: 120 });
      assert(next.at >= launchedAt + durMs, `not early: ${next.at - launchedAt} ms after the start, at ${jump} s`);
      assert(next.at <= servedAt + durMs + slackMs, `not late: ${next.at - servedAt} ms after it served, at ${jump} s`);
      assert(next.body.Lock > held.Lock);
      // The grace is ten seconds at most: what is left of the rest is up to the clock.
      if (next.at < launchedAt + 10_000) await client.must('GET', `/db/jump/lock/far${i}?fence=${far.Lock}`);
      await client.close();
    }
    await server.stop();
    t.diagnostic(JSON.stringify({ jumps, effective }));
    assert.equal(effective, jumps.length);
  },
  { skip },
);

/** The server's wall clock: its offset in seconds is in a file that libfaketime reads each time. */
class WallClock {
  readonly #server: CrashServer;
  readonly #file: string;

  constructor(server: CrashServer) {
    this.#server = server;
    this.#file = path.join(server.directory, 'wall-clock');
    this.write(0);
  }

  get launch(): LaunchOptions {
    return {
      shards: 2,
      env: {
        LD_PRELOAD: library ?? '',
        FAKETIME_TIMESTAMP_FILE: this.#file,
        FAKETIME_NO_CACHE: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
        NO_FAKE_STAT: '1',
      },
    };
  }

  /** Replaces the file at once, because it is read at any moment. */
  write(seconds: number): void {
    fs.writeFileSync(`${this.#file}.new`, `${seconds < 0 ? '' : '+'}${seconds}\n`);
    fs.renameSync(`${this.#file}.new`, this.#file);
  }

  async set(seconds: number): Promise<void> {
    this.write(seconds);
    await this.shows(seconds);
  }

  /** @returns when the server's own wall clock shows it: the fault has taken effect */
  async shows(seconds: number): Promise<void> {
    for (const until = machineMs() + slackMs; ; ) {
      const { headers } = await fetch(`${this.#server.url}/livez`);
      const beside = (Date.parse(headers.get('date') ?? '') - Date.now()) / 1000;
      if (Math.abs(beside - seconds) < 60) return;
      assert(machineMs() < until, `the server's clock is ${beside} s beside the real one; wanted ${seconds}`);
      await sleep(20);
    }
  }
}

interface Timed {
  readonly status: number;
  readonly body: AnswerBody;
  readonly at: number;
}

async function timed(client: CrashClient, target: string, body?: unknown): Promise<Timed> {
  const answer = await client.ask('POST', target, body);
  assert(answer !== undefined, 'it is answered');
  return { status: answer.status, body: answer.body, at: machineMs() };
}

async function gone(client: CrashClient, target: string, latestAt: number): Promise<void> {
  while ((await client.ask('GET', target))?.status !== 404) {
    assert(machineMs() < latestAt, 'the key ends in time');
    await sleep(20);
  }
}
