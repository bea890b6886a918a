/** Histories of locks and mutexes by hand: two holders, early and late ends, fencing tokens, what an unlock is told. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Clients,
  clients,
  wrote,
  granted,
  lostLock,
  passes,
  caught,
  takenAndReleased,
  takenAndForced,
  heldUntil,
} from '../support/checkers/history-by-hand.ts';
import { checkWitness } from '../support/checkers/witness-checker.ts';
import { batch, extend, inspect, lock, mlock, munlock, unlock } from '../support/commands.ts';

const shortLease = (): Clients => clients().ok(lock('l', { durMs: 100 }), granted(1010, 1, 1, 100));

const shortLeaseAndRestart = (): Clients =>
  clients()
    .ok(lock('l', { durMs: 100 }), granted(1010, 1, 1, 100))
    .wait(50)
    .restart();

const lockAndMutex = (): Clients =>
  clients()
    .ok(lock('x'), granted(1010, 1))
    .ok(mlock('m'), granted(1020, 7, 1));

test('locks: a second holder is caught, before the end of the first', () => {
  passes(
    clients()
      .ok(lock('l'), granted(1010, 1))
      .ok(unlock('l', { fence: 1 }), { Rev: 2 })
      .ok(lock('l'), granted(1030, 3)),
  );
  const double = clients().ok(lock('l'), granted(1010, 1)).ok(lock('l'), granted(1020, 2));
  const { violations } = checkWitness(double.history);
  assert.match(violations[0]!.message, /operation 2 .*expected status 409 .*not_locked.*got 200/);
  assert.match(violations[1]!.message, /operation 2 .*fence 2 while it was held with fencing token 1 .*operation 1/);
});

test('locks: what expires does so at its time, not before, and is remembered for the next holder', () => {
  const Recover = { Lock: 1, Why: 'expired' };
  passes(
    shortLease()
      .wait(100)
      .ok(lock('l'), { ...granted(1120, 3), Recover }),
  );
  const early = checkWitness(
    shortLease()
      .wait(50)
      .ok(lock('l'), { ...granted(1070, 3), Recover }).history,
    { clockToleranceMs: 6 },
  );
  assert.match(early.violations[0]!.message, /operation 2 .*expected status 409/);
  caught(shortLease().wait(100).ok(lock('l'), granted(1120, 3)), 2, /Recover: expected .*, got nothing/);
  const late = shortLease()
    .wait(100)
    .ok(extend('l', 1, 100), granted(1120, 1, 2, 100));
  caught(late, 2, /expected status 409 .*lock_lost/);
  caught(
    shortLease().wait(20).ok(inspect('l'), { Locked: false, Waiters: 0, Rev: 1 }),
    2,
    /Locked: expected true, got false/,
  );
});

test('locks: a lost lease is not given back, a repeated unlock is told so', () => {
  passes(takenAndReleased().ok(unlock('l', { fence: 1 }), { Rev: 2 }));
  caught(
    takenAndReleased().refused(unlock('l', { fence: 1 }), lostLock('l', 'expired', 'Unlock')),
    3,
    /expected status 200/,
  );
  passes(takenAndForced().refused(unlock('l', { fence: 1 }), lostLock('l', 'forced', 'Unlock', { EndedMs: 1020 })));
  caught(takenAndForced().ok(unlock('l', { fence: 1 }), { Rev: 2 }), 3, /expected status 409 .*forced/);
});

/** A first unlock that was never answered, a second that was; behind a start the first cannot happen any more. */
const endedTwice = (fence: number, EndedMs: number): Clients =>
  clients()
    .ok(lock('l'), granted(1010, 1))
    .unanswered(unlock('l', { fence }))
    .wait(500)
    .ok(unlock('l', { fence: 1 }), { Rev: 2 })
    .restart()
    .ok(lock('l'), granted(1560, 4))
    .refused(extend('l', 1), lostLock('l', 'released', 'Unlock', { EndedMs }));

test('locks: a lease whose release was never answered and repeated ended at one of the two, and at no other time', () => {
  // `node test/checkers/run.ts 489` in short: the second unlock was taken for the one that ended the lease.
  passes(endedTwice(1, 1020));
  passes(endedTwice(1, 1530));
  caught(endedTwice(1, 1010), 5, /EndedMs: expected a time from 1014 to 1541, got 1010/);
  caught(endedTwice(1, 1550), 5, /EndedMs: expected a time from 1014 to 1541, got 1550/);
  // What cannot have ended it is no excuse.
  caught(endedTwice(9, 1020), 5, /EndedMs: expected a time from 1524 to 1541, got 1020/);
});

test('locks: a fencing token that goes back is caught, over a restart too', () => {
  const made = clients()
    .ok(lock('l'), granted(1010, 5))
    .ok(unlock('l', { fence: 5 }), { Rev: 6 })
    .restart()
    .ok(lock('l'), granted(1050, 2));
  const messages = checkWitness(made.history, { clockToleranceMs: 6 }).violations.map(({ message }) => message);
  assert.ok(messages.some((message) => /operation 3 .*committed at revision 2, though revision 6/.test(message)));
  assert.ok(
    messages.some((message) => /fence 2 after fence 5 had been given out: fencing tokens only grow/.test(message)),
  );
});

test('locks: a restart lengthens a lease by the grace and no more, and ends mutexes', () => {
  passes(shortLeaseAndRestart().wait(50).refused(lock('l'), heldUntil(1180)));
  caught(
    shortLeaseAndRestart().wait(50).refused(lock('l'), heldUntil(1110)),
    2,
    /TillMs: expected a time from 1174 to 1186, got 1110/,
  );
  passes(
    lockAndMutex()
      .restart()
      .ok(mlock('m'), granted(1050, 9, 2)),
  );
  caught(lockAndMutex().ok(mlock('m'), granted(1030, 8, 1)), 3, /fence 8 while it was held with fencing token 7/);
  passes(
    lockAndMutex()
      .ok(munlock('m', { fence: 7 }), { Rev: 1 })
      .ok(mlock('m'), granted(1040, 8, 1)),
  );
});

test('a guard that did not hold is caught', () => {
  const made = clients()
    .ok(lock('l'), granted(1010, 1))
    .ok(unlock('l', { fence: 1 }), { Rev: 2 });
  caught(
    made.ok(batch({ guard: [{ id: 'l', fence: 1 }], set: [{ key: 'a', value: '1' }] }), wrote(3, 'a')),
    3,
    /expected status 409/,
  );
});
