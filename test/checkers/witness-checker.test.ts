/** Histories by hand: each fault is found, named, and only where it is; what looks like one and is none passes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Command } from '../../src/protocol/commands.ts';
import type { Answer, Body, History, Operation, Restart } from '../support/checkers/history.ts';
import { checkWitness } from '../support/checkers/witness-checker.ts';
import {
  batch,
  extend,
  get,
  inspect,
  kvList,
  lock,
  mlock,
  munlock,
  next,
  once,
  set,
  unlock,
  watch,
} from '../support/commands.ts';

/** A history in the making: each operation is sent 10 ms after the one before, and answered after 5. */
class Clients {
  readonly operations: Operation[] = [];
  readonly restarts: Restart[] = [];
  now = 1000;

  ok(call: Command, body: Body, at: Partial<Pick<Answer, 'replayed'>> = {}): this {
    return this.answered(call, 200, body, at);
  }

  refused(call: Command, body: Body): this {
    return this.answered(call, 409, body);
  }

  answered(call: Command, status: number, body: Body, at: Partial<Pick<Answer, 'replayed'>> = {}): this {
    this.now += 10;
    return this.#add({ call, sentAt: this.now, answer: { at: this.now + 5, status, body, ...at } });
  }

  unanswered(call: Command): this {
    this.now += 10;
    return this.#add({ call, sentAt: this.now });
  }

  wait(ms: number): this {
    this.now += ms;
    return this;
  }

  restart(): this {
    this.now += 20;
    this.restarts.push({ downAt: this.now - 5, startedAt: this.now, upAt: this.now });
    return this;
  }

  #add(operation: Omit<Operation, 'id' | 'client'>): this {
    this.operations.push({ id: this.operations.length + 1, client: 'c', ...operation });
    return this;
  }

  get history(): History {
    return this;
  }
}

const clients = (): Clients => new Clients();
const found = (key: string, version: number, value: unknown): Body => ({ Key: key, Version: version, Value: value });
const wrote = (rev: number, ...keys: string[]): Body => ({
  KVSet: keys.map((Key) => ({ Key, Version: rev })),
  Rev: rev,
});
const read = (rev: number, ...items: Body[]): Body => ({ KV: items, Rev: rev });
const missing = (key: string): Body => ({ Key: key, Version: 0 });
const sets = (...keys: string[]): Command => batch({ set: keys.map((key) => ({ key, value: '1' })) });
/** As `Clients` times it: granted when it was sent. */
const granted = (sentAt: number, handle: number, rev = handle, ms = 10_000): Body => ({
  Lock: handle,
  Till: Math.ceil((sentAt + ms) / 1000),
  TillMs: sentAt + ms,
  TTLMs: ms,
  Now: sentAt,
  Rev: rev,
});
const lostLock = (id: string, Why: string, Field: string, more: Body = {}): Body => ({
  Code: 'lock_lost',
  Failed: [{ Field, Code: 'lock_lost', LockID: id, Why, ...more }],
});

function passes(made: Clients): void {
  assert.deepEqual(checkWitness(made.history, { clockToleranceMs: 6 }).violations, []);
}

/** Exactly one fault, which is about this operation and says this. */
function caught(made: Clients, operation: number, message: RegExp): void {
  const { violations } = checkWitness(made.history, { clockToleranceMs: 6 });
  assert.equal(violations.length, 1, JSON.stringify(violations));
  assert.match(violations[0]!.message, message);
  assert.equal(violations[0]!.verdict, 'violation');
  assert.ok(violations[0]!.operations.includes(operation), violations[0]!.message);
}

void test('keys: writes, conditions, deletes and reads in order pass', () => {
  passes(
    clients()
      .ok(get('a'), read(1, missing('a')))
      .ok(set('a', 'x', { version: 0 }), wrote(2, 'a'))
      .refused(set('a', 'y', { version: 1 }), {
        Code: 'version_mismatch',
        Failed: [{ Field: 'KVSet[0]', Code: 'version_mismatch', Key: 'a', Version: 2 }],
      })
      .ok(batch({ shape: 'kv.delete', set: [{ key: 'a', version: 2 }] }), { Key: 'a', Deleted: true, Rev: 3 })
      .ok(batch({ shape: 'kv.delete', set: [{ key: 'a' }] }), { Key: 'a', Deleted: false, Rev: 3 })
      .answered(batch({ shape: 'kv.get', get: ['a'] }), 404, { Code: 'not_found' })
      .ok(sets('b', 'a'), wrote(4, 'b', 'a'))
      .ok(kvList(''), read(4, found('a', 4, 1), found('b', 4, 1)))
      .ok(watch('a', 0), { ...found('a', 4, 1), Rev: 4 }),
  );
});

void test('a lost write is caught where it is missed', () => {
  caught(
    clients()
      .ok(set('a', 'x'), wrote(1, 'a'))
      .ok(get('a'), read(1, missing('a'))),
    2,
    /Version: expected 1, got 0 .*by operation 1/,
  );
});

void test('a stale read is caught, by its content and by its revision', () => {
  const writes = (): Clients => clients().ok(set('a', 'x'), wrote(1, 'a')).ok(set('a', 'y'), wrote(2, 'a'));
  caught(writes().ok(get('a'), read(2, found('a', 1, 'x'))), 3, /operation 3 .*Version: expected 2, got 1/);
  caught(
    writes().ok(get('a'), read(1, found('a', 1, 'x'))),
    3,
    /claims revision 1, though revision 2 had been told .*operation 2 .*past/,
  );
  caught(writes().ok(get('a'), read(2, found('a', 2, 'x'))), 3, /Value: expected "y", got "x"/);
});

void test('a torn batch is caught: one of its keys is there, the other is not', () => {
  const torn = clients()
    .ok(sets('a', 'b'), wrote(1, 'a', 'b'))
    .ok(get('a', 'b'), read(1, found('a', 1, 1), missing('b')));
  caught(torn, 2, /KV\[1\]\.Version: expected 1, got 0/);
  caught(
    clients()
      .ok(sets('a', 'b'), wrote(1, 'a', 'b'))
      .ok(kvList(''), read(1, found('b', 1, 1))),
    2,
    /expected 2 items/,
  );
});

void test('a reused revision is caught, and one that nobody can have taken', () => {
  const twice = clients().ok(set('a', 'x'), wrote(1, 'a')).ok(set('b', 'x'), wrote(1, 'b'));
  const { violations } = checkWitness(twice.history);
  assert.match(
    violations.map(({ message }) => message).join('\n'),
    /Revision 1 was given to two commits: operation 1 .* operation 2 /,
  );
  const { violations: gaps } = checkWitness(
    clients().ok(set('a', 'x'), wrote(1, 'a')).ok(set('b', 'x'), wrote(3, 'b')).history,
  );
  assert.match(gaps[0]!.message, /Revision 2 belongs to nobody/);
  passes(clients().ok(set('a', 'x'), wrote(1, 'a')).unanswered(set('c', 1)).ok(set('b', 'x'), wrote(3, 'b')));
  passes(clients().ok(set('a', 'x'), wrote(1, 'a')).restart().ok(set('b', 'x'), wrote(3, 'b')));
  passes(
    clients()
      .ok(set('a', 'x', { ttlMs: 50 }), wrote(1, 'a'))
      .wait(100)
      .ok(set('b', 'x'), wrote(3, 'b')),
  );
});

void test('a commit with a lower revision than one that was told before is caught', () => {
  const made = clients().ok(set('a', 'x'), wrote(2, 'a')).ok(set('b', 'x'), wrote(1, 'b'));
  caught(made, 2, /committed at revision 1, though revision 2 had been told before/);
});

void test('sequences: a number that is given out twice, or left out, is caught', () => {
  const numbers = (from: number): Clients =>
    clients()
      .ok(next('s'), { Key: 's', Value: 1, From: 1, To: 1, Rev: 1 })
      .ok(next('s', 2), { Key: 's', Value: from + 1, From: from, To: from + 1, Rev: 2 });
  passes(numbers(2));
  caught(numbers(1), 2, /Value: expected 3, got 2/);
  caught(numbers(3), 2, /Value: expected 3, got 4/);
});

void test('counters: a lost addition is caught, an IfEq that fails names the value', () => {
  const add = batch({ atomic: [{ key: 'c', op: 'add', n: 1 }] });
  const added = (Value: number, Rev: number): Body => ({ Atomic: [{ Key: 'c', Value, Old: Value - 1 }], Rev });
  caught(clients().ok(add, added(1, 1)).ok(add, added(1, 2)), 2, /Atomic\[0\]\.Value: expected 2, got 1/);
  const ifEq = batch({ atomic: [{ key: 'c', op: 'set', n: 9, ifEq: 7 }] });
  const not = (Value: number): Body => ({
    Code: 'precondition_failed',
    Failed: [{ Field: 'Atomic[0]', Code: 'precondition_failed', Key: 'c', Value }],
  });
  passes(clients().ok(add, added(1, 1)).refused(ifEq, not(1)).ok(add, added(2, 2)));
  caught(
    clients().ok(add, added(1, 1)).ok(add, added(2, 2)).refused(ifEq, not(1)),
    3,
    /at no moment between revision 2 and Infinity/,
  );
});

void test('locks: a second holder is caught, before the end of the first', () => {
  passes(
    clients()
      .ok(lock('l'), granted(1010, 1))
      .ok(unlock('l', { handle: 1 }), { Rev: 2 })
      .ok(lock('l'), granted(1030, 3)),
  );
  const double = clients().ok(lock('l'), granted(1010, 1)).ok(lock('l'), granted(1020, 2));
  const { violations } = checkWitness(double.history);
  assert.match(violations[0]!.message, /operation 2 .*expected status 409 .*not_locked.*got 200/);
  assert.match(violations[1]!.message, /operation 2 .*handle 2 while it was held with handle 1 .*operation 1/);
});

void test('locks: what expires does so at its time, not before, and is remembered for the next holder', () => {
  const Recover = { Lock: 1, Why: 'expired' };
  const short = (): Clients => clients().ok(lock('l', { durMs: 100 }), granted(1010, 1, 1, 100));
  passes(
    short()
      .wait(100)
      .ok(lock('l'), { ...granted(1120, 3), Recover }),
  );
  const early = checkWitness(
    short()
      .wait(50)
      .ok(lock('l'), { ...granted(1070, 3), Recover }).history,
    { clockToleranceMs: 6 },
  );
  assert.match(early.violations[0]!.message, /operation 2 .*expected status 409/);
  caught(short().wait(100).ok(lock('l'), granted(1120, 3)), 2, /Recover: expected .*, got nothing/);
  const late = short()
    .wait(100)
    .ok(extend('l', 1, 100), granted(1120, 1, 2, 100));
  caught(late, 2, /expected status 409 .*lock_lost/);
  caught(
    short().wait(20).ok(inspect('l'), { Locked: false, Waiters: 0, Rev: 1 }),
    2,
    /Locked: expected true, got false/,
  );
});

void test('locks: a lost lease is not given back, a repeated unlock is told so', () => {
  const released = (): Clients =>
    clients()
      .ok(lock('l'), granted(1010, 1))
      .ok(unlock('l', { handle: 1 }), { Rev: 2 });
  passes(released().ok(unlock('l', { handle: 1 }), { Rev: 2 }));
  caught(released().refused(unlock('l', { handle: 1 }), lostLock('l', 'expired', 'Unlock')), 3, /expected status 200/);
  const forced = (): Clients => clients().ok(lock('l'), granted(1010, 1)).ok(unlock('l'), { Rev: 2 });
  passes(forced().refused(unlock('l', { handle: 1 }), lostLock('l', 'forced', 'Unlock', { EndedMs: 1020 })));
  caught(forced().ok(unlock('l', { handle: 1 }), { Rev: 2 }), 3, /expected status 409 .*forced/);
});

void test('locks: a fencing token that goes back is caught, over a restart too', () => {
  const made = clients()
    .ok(lock('l'), granted(1010, 5))
    .ok(unlock('l', { handle: 5 }), { Rev: 6 })
    .restart()
    .ok(lock('l'), granted(1050, 2));
  const messages = checkWitness(made.history, { clockToleranceMs: 6 }).violations.map(({ message }) => message);
  assert.ok(messages.some((message) => /operation 3 .*committed at revision 2, though revision 6/.test(message)));
  assert.ok(
    messages.some((message) => /handle 2 after handle 5 had been given out: fencing tokens only grow/.test(message)),
  );
});

void test('locks: a restart lengthens a lease by the grace and no more, and ends mutexes', () => {
  const held = (): Clients =>
    clients()
      .ok(lock('l', { durMs: 100 }), granted(1010, 1, 1, 100))
      .wait(50)
      .restart();
  const busy = (TillMs: number): Body => ({
    Code: 'not_locked',
    Holder: { Till: Math.ceil(TillMs / 1000), TillMs, Since: 1010 },
    Waiters: 0,
  });
  passes(held().wait(50).refused(lock('l'), busy(1180)));
  caught(held().wait(50).refused(lock('l'), busy(1110)), 2, /TillMs: expected a time from 1174 to 1186, got 1110/);
  const mutex = (): Clients =>
    clients()
      .ok(lock('x'), granted(1010, 1))
      .ok(mlock('m'), granted(1020, 7, 1));
  passes(
    mutex()
      .restart()
      .ok(mlock('m'), granted(1050, 9, 2)),
  );
  caught(mutex().ok(mlock('m'), granted(1030, 8, 1)), 3, /handle 8 while it was held with handle 7/);
  passes(
    mutex()
      .ok(munlock('m', { handle: 7 }), { Rev: 1 })
      .ok(mlock('m'), granted(1040, 8, 1)),
  );
});

void test('a guard that did not hold is caught', () => {
  const made = clients()
    .ok(lock('l'), granted(1010, 1))
    .ok(unlock('l', { handle: 1 }), { Rev: 2 });
  caught(
    made.ok(batch({ guard: [{ id: 'l', handle: 1 }], set: [{ key: 'a', value: '1' }] }), wrote(3, 'a')),
    3,
    /expected status 409/,
  );
});

void test('idempotency: the same answer again, or told that it is another payload', () => {
  const asked = batch({ set: [{ key: 'a', value: '1' }], ...once('i') });
  const replay = batch({ set: [{ key: 'a', value: '1' }], ...once('i', { mode: 'replay' }) });
  const other = batch({ set: [{ key: 'a', value: '2' }], ...once('i', { mode: 'replay', fingerprint: 'g' }) });
  const first = (): Clients => clients().ok(asked, wrote(1, 'a'));
  const duplicate = { Code: 'duplicate_request', IDs: ['i'], Rev: 1, Same: true, Response: wrote(1, 'a') };
  passes(first().ok(replay, wrote(1, 'a'), { replayed: true }).refused(asked, duplicate));
  passes(first().answered(other, 422, { Code: 'idempotency_mismatch', IDs: ['i'], Rev: 1 }));
  caught(first().ok(replay, wrote(2, 'a')), 2, /expected a replay/);
  caught(first().ok(other, wrote(1, 'a'), { replayed: true }), 2, /expected status 422/);
  caught(first().ok(replay, wrote(1, 'b'), { replayed: true }), 2, /KVSet\[0\]\.Key: expected "a", got "b"/);
  caught(first().refused(asked, { ...duplicate, Response: wrote(1, 'b') }), 2, /Response\.KVSet\[0\]\.Key/);
});

void test('acknowledged and lost after a restart is caught; unacknowledged and lost is not', () => {
  const acknowledged = clients()
    .ok(sets('a'), wrote(1, 'a'))
    .restart()
    .ok(get('a'), read(2, missing('a')));
  caught(acknowledged, 2, /Version: expected 1, got 0 .*operation 1/);
  passes(
    clients()
      .ok(sets('b'), wrote(1, 'b'))
      .unanswered(sets('a'))
      .restart()
      .ok(get('a'), read(2, missing('a'))),
  );
});

void test('an unknown outcome is there whole or not at all', () => {
  const asked = (): Clients => clients().ok(sets('x'), wrote(1, 'x')).unanswered(sets('a', 'b')).restart();
  passes(asked().ok(get('a', 'b'), read(3, found('a', 2, 1), found('b', 2, 1))));
  passes(asked().ok(get('a', 'b'), read(3, missing('a'), missing('b'))));
  caught(asked().ok(get('a', 'b'), read(3, found('a', 2, 1), missing('b'))), 3, /KV\[1\]\.Version: expected 2, got 0/);
  const twice = asked().ok(get('a', 'b'), read(4, found('a', 2, 1), found('b', 3, 1)));
  assert.notEqual(checkWitness(twice.history).violations.length, 0);
});

void test('an unknown outcome does not happen after a restart, nor although its condition failed, nor twice', () => {
  const late = clients()
    .ok(sets('x'), wrote(1, 'x'))
    .unanswered(sets('a'))
    .restart()
    .ok(sets('y'), wrote(3, 'y'))
    .ok(get('a'), read(4, found('a', 4, 1)));
  assert.match(checkWitness(late.history).violations[0]!.message, /operation 4 .*Version: expected 0, got 4/);
  const conditional = clients()
    .ok(sets('a'), wrote(1, 'a'))
    .unanswered(set('a', 'new', { version: 9 }))
    .ok(get('a'), read(2, found('a', 2, 'new')));
  assert.match(checkWitness(conditional.history).violations[0]!.message, /it cannot have happened: .*version_mismatch/);
  const add = batch({ shape: 'counter.add', atomic: [{ key: 'c', op: 'add', n: 1 }] });
  const counted = (value: number): Clients =>
    clients()
      .ok(add, { Key: 'c', Value: 1, Old: 0, Rev: 1 })
      .unanswered(add)
      .wait(5)
      .restart()
      .ok(batch({ shape: 'counter.get', atomic: [{ key: 'c', op: 'get', n: 0 }] }), { Key: 'c', Value: value, Rev: 4 });
  assert.notEqual(checkWitness(counted(3).history).violations.length, 0);
  assert.deepEqual(
    checkWitness(counted(2).history).violations.filter(({ message }) => !/belongs to nobody/.test(message)),
    [],
  );
});

void test('an error of the server, and a success without a revision, are caught', () => {
  caught(clients().answered(sets('a'), 500, { Code: 'internal' }), 1, /answered with an error of the server/);
  caught(clients().ok(sets('a'), { KVSet: [] }), 1, /succeeded without a Rev/);
});
