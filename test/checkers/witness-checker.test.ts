/** Histories by hand: each fault is found, named, and only where it is; what looks like one and is none passes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Clients,
  clients,
  found,
  wrote,
  read,
  missing,
  sets,
  passes,
  caught,
  caughtGap,
  written,
  twoNumbers,
  added,
  counterIs,
  unansweredPair,
} from '../support/checkers/history-by-hand.ts';
import { checkWitness } from '../support/checkers/witness-checker.ts';
import { batch, get, kvList, lock, once, set, unlock, watch } from '../support/commands.ts';
import type { Command } from '../../src/protocol/operations/operations.ts';

test('keys: writes, conditions, deletes and reads in order pass', () => {
  passes(
    clients()
      .ok(get('a'), read(1, missing('a')))
      .ok(set('a', 'x', { version: 0 }), wrote(2, 'a'))
      .refused(set('a', 'y', { version: 1 }), {
        Code: 'version_mismatch',
        Failed: [{ Field: 'KVSet[0]', Code: 'version_mismatch', Key: 'a', Version: 2 }],
      })
      .ok(batch({ format: 'kv.delete', set: [{ key: 'a', version: 2 }] }), { Key: 'a', Deleted: true, Rev: 3 })
      .ok(batch({ format: 'kv.delete', set: [{ key: 'a' }] }), { Key: 'a', Deleted: false, Rev: 3 })
      .answered(batch({ format: 'kv.get', get: ['a'] }), 404, { Code: 'not_found' })
      .ok(sets('b', 'a'), wrote(4, 'b', 'a'))
      .ok(kvList(''), read(4, found('a', 4, 1), found('b', 4, 1)))
      .ok(watch('a', 0), { ...found('a', 4, 1), Rev: 4 }),
  );
});

test('a lost write is caught where it is missed', () => {
  caught(
    clients()
      .ok(set('a', 'x'), wrote(1, 'a'))
      .ok(get('a'), read(1, missing('a'))),
    2,
    /Version: expected 1, got 0 .*by operation 1/,
  );
});

test('a stale read is caught, by its content and by its revision', () => {
  caught(written().ok(get('a'), read(2, found('a', 1, 'x'))), 3, /operation 3 .*Version: expected 2, got 1/);
  caught(
    written().ok(get('a'), read(1, found('a', 1, 'x'))),
    3,
    /claims revision 1, though revision 2 had been told .*operation 2 .*past/,
  );
  caught(written().ok(get('a'), read(2, found('a', 2, 'x'))), 3, /Value: expected "y", got "x"/);
});

test('a torn batch is caught: one of its keys is there, the other is not', () => {
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

test('a reused revision is caught, and one that nobody can have taken', () => {
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
  // It found nothing to do, and stands in the audit log.
  const redrive = batch({ queueChange: { key: 'q', change: 'redrive', how: 'retry', limit: 1 } });
  const moved = { Redriven: 0, Skipped: 0, Rev: 2 };
  passes(clients().ok(set('a', 'x'), wrote(1, 'a')).ok(redrive, moved).ok(set('b', 'x'), wrote(3, 'b')));
  passes(clients().ok(set('a', 'x'), wrote(1, 'a')).ok(unlock('l', {}), { Rev: 2 }).ok(set('b', 'x'), wrote(3, 'b')));
  passes(
    clients()
      .ok(set('a', 'x', { ttlMs: 50 }), wrote(1, 'a'))
      .wait(100)
      .ok(set('b', 'x'), wrote(3, 'b')),
  );
});

const leaves = (call: Command): Clients => clients().ok(set('a', 'x'), wrote(1, 'a')).unanswered(call);
const then = (made: Clients, ms: number, rev: number): Clients => made.wait(ms).ok(set('b', 'x'), wrote(rev, 'b'));

test('what was never answered may take one revision more for each thing it left that ends by itself, in its time', () => {
  // The stored reply of what changed nothing else.
  const onceOnly = batch({ ...once('i', { ttlMs: 5000 }), get: ['a'] });
  passes(then(leaves(onceOnly), 6000, 4));
  caughtGap(then(leaves(onceOnly), 6000, 5), 4);
  caughtGap(then(leaves(onceOnly), 4000, 4), 3);
  const short = set('c', 1, { ttlMs: 500 });
  passes(then(leaves(short), 600, 4));
  caughtGap(then(leaves(short), 400, 4), 3);
  caughtGap(then(leaves(set('c', 1)), 6000, 4), 3);
  // What ends after something was told takes a higher revision than that.
  caughtGap(then(leaves(short).wait(400).ok(set('d', 'x'), wrote(4, 'd')), 600, 5), 3);
  // A lease ends, or is taken back; its memory lasts.
  passes(then(leaves(lock('l', { durMs: 100 })), 200, 4));
  caughtGap(then(leaves(lock('l', { durMs: 100 })), 200, 5), 4);
});

test('a commit with a lower revision than one that was told before is caught', () => {
  const made = clients().ok(set('a', 'x'), wrote(2, 'a')).ok(set('b', 'x'), wrote(1, 'b'));
  caught(made, 2, /committed at revision 1, though revision 2 had been told before/);
});

test('sequences: a number that is given out twice, or left out, is caught', () => {
  passes(twoNumbers(2));
  caught(twoNumbers(1), 2, /Value: expected 3, got 2/);
  caught(twoNumbers(3), 2, /Value: expected 3, got 4/);
});

test('counters: a lost addition is caught, an IfEq that fails names the value', () => {
  const add = batch({ counter: [{ key: 'c', op: 'add', n: 1 }] });
  caught(clients().ok(add, added(1, 1)).ok(add, added(1, 2)), 2, /Atomic\[0\]\.Value: expected 2, got 1/);
  const ifEq = batch({ counter: [{ key: 'c', op: 'set', n: 9, ifEq: 7 }] });
  passes(clients().ok(add, added(1, 1)).refused(ifEq, counterIs(1)).ok(add, added(2, 2)));
  caught(
    clients().ok(add, added(1, 1)).ok(add, added(2, 2)).refused(ifEq, counterIs(1)),
    3,
    /at no moment between revision 2 and Infinity/,
  );
});

test('idempotency: the same answer again, or told that it is another payload', () => {
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

test('idempotency: a stored reply tells of an unknown outcome without what it says of queues', () => {
  const extend = [{ key: 'q', id: '1-0', lock: 1, durMs: 1000 }];
  const asked = batch({ extend, ...once('i') });
  const again = batch({ extend, ...once('i', { mode: 'replay' }) });
  const stored = { Extend: [{ Queue: 'q', ID: '1-0', Till: 2, TillMs: 2000 }], Rev: 2 };
  const known = clients().ok(set('a', 'x'), wrote(1, 'a')).unanswered(asked);
  passes(known.ok(again, stored, { replayed: true }).ok(set('b', 'x'), wrote(3, 'b')));
});

test('acknowledged and lost after a restart is caught; unacknowledged and lost is not', () => {
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

test('an unknown outcome is there whole or not at all', () => {
  passes(unansweredPair().ok(get('a', 'b'), read(3, found('a', 2, 1), found('b', 2, 1))));
  passes(unansweredPair().ok(get('a', 'b'), read(3, missing('a'), missing('b'))));
  caught(
    unansweredPair().ok(get('a', 'b'), read(3, found('a', 2, 1), missing('b'))),
    3,
    /KV\[1\]\.Version: expected 2, got 0/,
  );
  const twice = unansweredPair().ok(get('a', 'b'), read(4, found('a', 2, 1), found('b', 3, 1)));
  assert.notEqual(checkWitness(twice.history).violations.length, 0);
});

test('an unknown outcome does not happen after a restart, nor although its condition failed, nor twice', () => {
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
  const add = batch({ format: 'counter.add', counter: [{ key: 'c', op: 'add', n: 1 }] });
  const counted = (value: number): Clients =>
    clients()
      .ok(add, { Key: 'c', Value: 1, Old: 0, Rev: 1 })
      .unanswered(add)
      .wait(5)
      .restart()
      .ok(batch({ format: 'counter.get', counter: [{ key: 'c', op: 'get', n: 0 }] }), {
        Key: 'c',
        Value: value,
        Rev: 4,
      });
  assert.notEqual(checkWitness(counted(3).history).violations.length, 0);
  assert.deepEqual(
    checkWitness(counted(2).history).violations.filter(({ message }) => !/belongs to nobody/.test(message)),
    [],
  );
});

test('an error of the server, and a success without a revision, are caught', () => {
  caught(clients().answered(sets('a'), 500, { Code: 'internal' }), 1, /answered with an error of the server/);
  caught(clients().ok(sets('a'), { KVSet: [] }), 1, /succeeded without a Rev/);
});
