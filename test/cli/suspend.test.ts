/** A machine that was suspended: timers go on as if no time had passed, and only some clocks show it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withBootTime } from '../../src/cli/boot-clock.ts';
import { type GuardedLease, GuardedGroup } from '../../src/cli/guarded-child.ts';
import type { LeaseClock } from '../../src/client/lease-clock.ts';

const ttlMs = 30_000;

class Machine {
  monotonicMs = 0;
  wallMs = 1e12;
  bootMs = 0;
  readonly sent: string[] = [];
  #timers: { atMs: number; run: () => void }[] = [];

  readonly clock: LeaseClock = withBootTime(
    {
      mark: () => ({ monotonicMs: this.monotonicMs, wallMs: this.wallMs }),
      since: (mark) => Math.max(this.monotonicMs - mark.monotonicMs, this.wallMs - mark.wallMs),
      after: (delayMs, run) => this.after(delayMs, run),
      pause: (delayMs, run) => this.after(delayMs, run),
    },
    () => this.bootMs,
  );

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.monotonicMs + delayMs, run };
    this.#timers.push(timer);
    return () => (this.#timers = this.#timers.filter((other) => other !== timer));
  }

  pass(ms: number): void {
    const end = this.monotonicMs + ms;
    for (;;) {
      const [next] = this.#timers.toSorted((a, b) => a.atMs - b.atMs);
      const to = next === undefined ? end : Math.min(end, Math.max(next.atMs, this.monotonicMs));
      for (const clock of ['wallMs', 'bootMs'] as const) this[clock] += to - this.monotonicMs;
      this.monotonicMs = to;
      if (next === undefined || next.atMs > end) return;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      next.run();
    }
  }

  suspend(ms: number, wallMs = ms): void {
    this.bootMs += ms;
    this.wallMs += wallMs;
  }

  guard(): GuardedGroup {
    const sentAt = this.clock.mark();
    const { clock } = this;
    const lease: GuardedLease = {
      signal: new AbortController().signal,
      get state() {
        return clock.since(sentAt) < ttlMs ? 'held' : 'unknown';
      },
      get remaining() {
        return Math.max(0, ttlMs - clock.since(sentAt));
      },
    };
    const group = new GuardedGroup(
      { lease, name: 'lock "job"', ttlMs, forwarded: [] },
      {
        clock,
        after: (delayMs, run) => this.after(delayMs, run),
        signalGroup: (_, signal) => this.sent.push(String(signal)) > 0,
        watchdog: { guard: () => undefined, allow: () => undefined, dismiss: () => undefined },
      },
    );
    group.guard(4711);
    return group;
  }
}

for (const [name, wallMs] of [
  ['', 60_000],
  [', and the wall clock was set back meanwhile', -5000],
] as const) {
  test(`a suspend beyond the ttl ends the group within a quarter of a second of waking${name}`, () => {
    const machine = new Machine();
    const group = machine.guard();
    machine.pass(1000);
    assert.deepEqual(machine.sent, []);
    machine.suspend(60_000, wallMs);
    machine.pass(250);
    assert.deepEqual(machine.sent, ['SIGTERM', 'SIGCONT', 'SIGKILL']);
    group.release();
  });
}

test('a short suspend ends nothing, and one that leaves little of the lease asks first', () => {
  const machine = new Machine();
  const group = machine.guard();
  machine.suspend(10_000);
  machine.pass(250);
  assert.deepEqual(machine.sent, []);
  machine.suspend(15_000);
  machine.pass(250);
  assert.deepEqual(machine.sent, ['SIGTERM', 'SIGCONT']);
  machine.pass(4000);
  assert.deepEqual(machine.sent, ['SIGTERM', 'SIGCONT', 'SIGKILL']);
  group.release();
});
