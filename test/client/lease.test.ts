import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LeaseUnknownError, LockLostError, ReleasedError } from '../../src/client/errors.ts';
import { LeaseKeeper } from '../../src/client/lease.ts';
import type { Mark } from '../../src/client/lease-clock.ts';
import { FakeClock, settled } from './fake-clock.ts';

const ttlMs = 3000;

interface Renewal {
  readonly at: number;
  readonly sentAt: Mark;
  succeed(): void;
  fail(error: Error): void;
}

function leaseUnderTest(): { clock: FakeClock; lease: LeaseKeeper; renewals: Renewal[] } {
  const clock = new FakeClock();
  const start = clock.mark();
  const renewals: Renewal[] = [];
  const lease = new LeaseKeeper({
    name: 'lock "x"',
    ttlMs,
    clock,
    sentAt: start,
    renew: () =>
      new Promise((resolve, reject) => {
        const sentAt = clock.mark();
        renewals.push({ at: clock.since(start), sentAt, succeed: () => resolve(sentAt), fail: reject });
      }),
  });
  return { clock, lease, renewals };
}

test('it is renewed at a third of the ttl, counted from each request', async () => {
  const { clock, lease, renewals } = leaseUnderTest();
  await clock.pass(999);
  assert.equal(renewals.length, 0);
  await clock.pass(1);
  assert.deepEqual(
    renewals.map(({ at }) => at),
    [1000],
  );
  // The reply comes late; the next third is counted from when the request was sent.
  await clock.pass(600);
  renewals[0]?.succeed();
  await clock.pass(399);
  assert.equal(renewals.length, 1);
  await clock.pass(1);
  assert.equal(renewals.length, 2);
  assert.equal(lease.state, 'held');
});

test('without a renewal the signal fires before the ttl is over, with the state unknown', async () => {
  const { clock, lease } = leaseUnderTest();
  const fired: unknown[] = [];
  lease.signal.addEventListener('abort', () => fired.push(lease.signal.reason));
  await clock.pass(ttlMs - 100);
  assert.equal(lease.state, 'held');
  await clock.pass(90);
  assert.equal(lease.state, 'unknown');
  assert.ok(fired[0] instanceof LeaseUnknownError);
  assert.throws(() => lease.assertHeld(), LeaseUnknownError);
});

test("a failed renewal is tried again, and its error is the cause of the signal's reason", async () => {
  const { clock, lease, renewals } = leaseUnderTest();
  const down = new Error('down');
  for (let n = 0; n < 40; n += 1) {
    await clock.pass(100);
    for (const renewal of renewals) renewal.fail(down);
  }
  assert.ok(renewals.length > 5, `${renewals.length} tries`);
  assert.equal(lease.state, 'unknown');
  assert.equal((lease.signal.reason as Error).cause, down);
});

test('when the server reports the lock as lost, the signal fires at once', async () => {
  const { clock, lease, renewals } = leaseUnderTest();
  await clock.pass(1000);
  const lost = new LockLostError('lock_lost', 'it expired', { details: { LockID: 'x', Why: 'expired' } });
  renewals[0]?.fail(lost);
  await settled();
  assert.equal(lease.state, 'lost');
  assert.equal(lease.signal.reason, lost);
  assert.equal(lost.why, 'expired');
});

test('after a blocked event loop the signal has fired before any timer has run', () => {
  for (const look of [
    ({ lease }: { lease: LeaseKeeper }): boolean => lease.signal.aborted,
    ({ lease }: { lease: LeaseKeeper }): boolean => lease.signal.reason instanceof LeaseUnknownError,
    ({ lease }: { lease: LeaseKeeper }): boolean => lease.state === 'unknown',
    ({ lease }: { lease: LeaseKeeper }): boolean => throwsAny(() => lease.signal.throwIfAborted()),
    ({ lease }: { lease: LeaseKeeper }): boolean => throwsAny(() => lease.assertHeld()),
  ]) {
    const made = leaseUnderTest();
    made.clock.passBlocked(ttlMs);
    assert.equal(look(made), true, look.toString());
  }
});

test('the time for which the computer slept counts', () => {
  const { clock, lease } = leaseUnderTest();
  clock.passAsleep(ttlMs - 100);
  assert.equal(lease.signal.aborted, false);
  clock.passAsleep(90);
  assert.equal(lease.signal.aborted, true);
});

test('after a sleep the signal fires soon, for those who only listen', async () => {
  const { clock, lease, renewals } = leaseUnderTest();
  let fired = 0;
  lease.signal.addEventListener('abort', () => (fired += 1));
  clock.passAsleep(60_000);
  assert.equal(fired, 0, 'no timer has run yet');
  await clock.pass(500);
  assert.equal(fired, 1);
  assert.equal(renewals.length, 0);
});

test('after a sleep that the lease outlived it is renewed soon', async () => {
  const { clock, lease, renewals } = leaseUnderTest();
  clock.passAsleep(2000);
  await clock.pass(500);
  assert.equal(renewals.length, 1);
  assert.equal(lease.state, 'held');
});

test('a reply that comes too late does not revive the lease', async () => {
  const { clock, lease, renewals } = leaseUnderTest();
  await clock.pass(1000);
  clock.passBlocked(2500);
  renewals[0]?.succeed();
  await clock.pass(100);
  assert.equal(lease.state, 'unknown');
});

test('a release keeps the signal silent, and ends the renewals', async () => {
  const { clock, lease, renewals } = leaseUnderTest();
  assert.equal(lease.release(), 'held');
  await clock.pass(10 * ttlMs);
  assert.equal(lease.signal.aborted, false);
  assert.equal(renewals.length, 0);
  assert.equal(clock.nextMs, undefined, 'no timer is left');
  assert.throws(() => lease.assertHeld(), ReleasedError);
});

test("under any failures of renewals, the signal has fired before the server's lease ends", async () => {
  const step = fc.record({
    kind: fc.constantFrom('pass' as const, 'blocked' as const, 'answer' as const, 'fail' as const),
    ms: fc.integer({ min: 1, max: 2 * ttlMs }),
    /** When the server handled it, as a share of the time since the request was sent. */
    arrival: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  let ended = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const { clock, lease, renewals } = leaseUnderTest();
      const start = clock.mark();
      let serverEnd = ttlMs;
      let at = 0;
      for (const { kind, ms, arrival } of steps) {
        if (kind === 'pass') await clock.pass(ms);
        if (kind === 'blocked') clock.passBlocked(ms);
        const renewal = renewals.shift();
        const now = clock.since(start);
        if (renewal !== undefined) {
          // The server handled the request at some moment after it was sent. The lease may have ended before.
          const handledAt = renewal.at + arrival * (now - renewal.at);
          const alive = handledAt < serverEnd;
          if (alive) serverEnd = Math.max(serverEnd, handledAt + ttlMs);
          if (kind === 'answer' && alive) renewal.succeed();
          else renewal.fail(alive ? new Error('lost reply') : new LockLostError('lock_lost', 'over'));
          await settled();
        }
        at = clock.since(start);
        if (at >= serverEnd) {
          ended += 1;
          assert.equal(lease.signal.aborted, true, `at ${at}, the server's lease ended at ${serverEnd}`);
        }
      }
    }),
    { numRuns: 60 },
  );
  assert.ok(ended > 10, `${ended} leases ended`);
});

function throwsAny(run: () => void): boolean {
  try {
    run();
    return false;
  } catch {
    return true;
  }
}
