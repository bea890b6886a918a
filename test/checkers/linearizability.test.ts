/** The search finds an order where there is one, finds that there is none, and says so when it gave up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkLinearizable, type TimedCall } from '../support/checkers/linearizability.ts';
import {
  counterModel,
  lockModel,
  registerModel,
  sequenceModel,
  type CounterInput,
  type CounterOutput,
  type LockInput,
  type LockOutput,
  type RegisterInput,
  type RegisterOutput,
  type SequenceInput,
  type SequenceOutput,
} from '../support/checkers/sequential-models.ts';
import { seededRandom } from '../support/seeded-random.ts';

let ids = 0;

function call<Input, Output>(
  sentAt: number,
  answeredAt: number,
  input: Input,
  output: Output,
): TimedCall<Input, Output> {
  ids += 1;
  return { id: ids, key: 'k', sentAt, answeredAt, input, output };
}

function unanswered<Input>(sentAt: number, input: Input): TimedCall<Input, never> {
  ids += 1;
  return { id: ids, key: 'k', sentAt, input };
}

const register = (calls: readonly TimedCall<RegisterInput, RegisterOutput>[]) =>
  checkLinearizable(registerModel, calls);
const counter = (calls: readonly TimedCall<CounterInput, CounterOutput>[]) => checkLinearizable(counterModel, calls);
const sequence = (calls: readonly TimedCall<SequenceInput, SequenceOutput>[]) =>
  checkLinearizable(sequenceModel, calls);
const rememberedMs = 1000;
const lock = (calls: readonly TimedCall<LockInput, LockOutput>[]) =>
  checkLinearizable(lockModel(0, rememberedMs), calls);

const get = { op: 'get' } as const;
const set = (value: string, version?: number): RegisterInput =>
  version === undefined ? { op: 'set', value } : { op: 'set', value, version };

test('register: reads may fall on either side of a write that they overlap', () => {
  const write = call(0, 10, set('a'), { version: 5 });
  const before = call(1, 2, get, { version: 0 });
  const after = call(3, 4, get, { version: 5, value: 'a' });
  assert.equal(register([write, before, after]).verdict, 'ok');
});

test('register: a read that goes back behind another is caught, by its name', () => {
  const write = call(0, 10, set('a'), { version: 5 });
  const after = call(1, 2, get, { version: 5, value: 'a' });
  const stale = call(3, 4, get, { version: 0 });
  const verdict = register([write, after, stale]);
  assert.ok(verdict.verdict === 'violation');
  assert.match(verdict.message, new RegExp(`operation ${stale.id} `));
});

test('register: of two creations one fails; if both succeed it is caught', () => {
  const first = call(0, 10, set('a', 0), { version: 5 });
  assert.equal(register([first, call(0, 10, set('b', 0), { mismatch: 5 })]).verdict, 'ok');
  assert.equal(register([first, call(0, 10, set('b', 0), { version: 6 })]).verdict, 'violation');
  const deleted = call(11, 12, { op: 'delete', version: 5 } as const, { deleted: true });
  assert.equal(register([first, deleted, call(13, 14, set('b', 0), { version: 7 })]).verdict, 'ok');
});

test('register: versions that come again, or go back, are caught', () => {
  const first = call(0, 1, set('a'), { version: 5 });
  assert.equal(register([first, call(2, 3, set('b'), { version: 5 })]).verdict, 'violation');
  assert.equal(register([first, call(2, 3, set('b'), { version: 4 })]).verdict, 'violation');
});

test('register: a write without an answer may happen at any later time, or never, but not before it was sent', () => {
  const unknown = unanswered(5, set('a'));
  const nothing = { version: 0 } as const;
  const written = { version: 9, value: 'a' } as const;
  assert.equal(register([unknown, call(6, 7, get, nothing), call(100, 101, get, written)]).verdict, 'ok');
  assert.equal(register([unknown, call(6, 7, get, nothing)]).verdict, 'ok');
  assert.equal(register([unknown, call(1, 2, get, written)]).verdict, 'violation');
  assert.equal(register([unknown, call(6, 7, get, written), call(8, 9, get, nothing)]).verdict, 'violation');
  assert.equal(
    register([unknown, call(6, 7, get, written), call(8, 9, get, { ...written, version: 10 })]).verdict,
    'violation',
  );
});

test('counter: a lost addition is caught, overlapping ones are put in order', () => {
  const add = { op: 'add', n: 1 } as const;
  const both = [call(0, 10, add, { value: 2, old: 1 }), call(0, 10, add, { value: 1, old: 0 })];
  assert.equal(counter([...both, call(11, 12, get, { value: 2 })]).verdict, 'ok');
  assert.equal(counter([...both, call(11, 12, get, { value: 1 })]).verdict, 'violation');
  assert.equal(counter([...both, call(11, 12, { op: 'set', n: 0, ifEq: 1 } as const, { isnt: 2 })]).verdict, 'ok');
  assert.equal(counter([...both, unanswered(3, add), call(11, 12, get, { value: 3 })]).verdict, 'ok');
  assert.equal(counter([...both, unanswered(3, add), call(11, 12, get, { value: 4 })]).verdict, 'violation');
});

test('sequence: a number that is given out twice is caught, and one that is left out unless somebody may have it', () => {
  const next = { op: 'next' } as const;
  const one = call(0, 10, next, { from: 1, to: 1 });
  assert.equal(sequence([one, call(0, 10, { op: 'next', n: 3 } as const, { from: 2, to: 4 })]).verdict, 'ok');
  assert.equal(sequence([one, call(0, 10, next, { from: 1, to: 1 })]).verdict, 'violation');
  assert.equal(sequence([one, call(0, 10, next, { from: 3, to: 3 })]).verdict, 'violation');
  assert.equal(sequence([one, unanswered(2, next), call(5, 10, next, { from: 3, to: 3 })]).verdict, 'ok');
});

test('lock: two holders are caught, unless the first may have ended', () => {
  const take = { op: 'acquire', durMs: 100 } as const;
  const first = call(0, 1, take, { fence: 5, till: 100 });
  assert.equal(lock([first, call(10, 20, take, { fence: 6, till: 120 })]).verdict, 'violation');
  assert.equal(lock([first, call(10, 20, take, { ok: false })]).verdict, 'ok');
  assert.equal(lock([first, call(10, 100, take, { fence: 6, till: 200 })]).verdict, 'ok');
  assert.equal(lock([first, call(101, 102, take, { ok: false })]).verdict, 'violation');
  assert.equal(
    lock([first, unanswered(5, { op: 'release', fence: 5 } as const), call(10, 20, take, { fence: 6, till: 120 })])
      .verdict,
    'ok',
  );
});

test('lock: fencing tokens that go back and late releases that succeed are caught', () => {
  const take = { op: 'acquire', durMs: 100 } as const;
  const first = call(0, 1, take, { fence: 5, till: 100 });
  const release = { op: 'release', fence: 5 } as const;
  const released = call(2, 3, release, { ok: true });
  assert.equal(lock([first, released, call(4, 5, take, { fence: 4, till: 104 })]).verdict, 'violation');
  assert.equal(lock([first, released, call(4, 5, release, { ok: true })]).verdict, 'ok');
  // The same release again is refused only when the lock may have forgotten the first.
  assert.equal(lock([first, released, call(4, 1001, release, { ok: false })]).verdict, 'violation');
  assert.equal(lock([first, released, call(4, 1002, release, { ok: false })]).verdict, 'ok');
  assert.equal(lock([first, call(101, 102, release, { ok: true })]).verdict, 'violation');
  assert.equal(
    lock([first, call(101, 102, { op: 'extend', fence: 5, durMs: 50 } as const, { fence: 5, till: 151 })]).verdict,
    'violation',
  );
});

test('lock: an owner whose lease ended is refused, whatever it has released before', () => {
  const take = { op: 'acquire', durMs: 100, owner: 'o' } as const;
  const byOwner = { op: 'release', owner: 'o' } as const;
  const first = call(0, 1, take, { fence: 5, till: 101 });
  const released = call(2, 3, { op: 'release', fence: 5 } as const, { ok: true });
  assert.equal(lock([first, released, call(4, 5, byOwner, { ok: false })]).verdict, 'violation');
  const again = call(4, 5, take, { fence: 6, till: 105 });
  assert.equal(lock([first, released, again, call(200, 201, byOwner, { ok: false })]).verdict, 'ok');
  assert.equal(lock([first, released, again, call(50, 51, byOwner, { ok: false })]).verdict, 'violation');
});

test('a search that runs out of steps is undecided, never ok', () => {
  const adds = Array.from({ length: 14 }, (_, i) => call(0, 10, { op: 'add', n: 2 ** i } as const, { value: -1 }));
  const verdict = checkLinearizable(
    counterModel,
    [...adds.map(({ input, sentAt, id }) => ({ id, key: 'k', input, sentAt })), call(11, 12, get, { value: -1 })],
    { stepsMax: 1000 },
  );
  assert.equal(verdict.verdict, 'undecided');
});

test('random histories of one copy pass, and a changed value is nearly always caught', (t) => {
  const random = seededRandom(Number(process.env['DRAGONLOCK_SEED'] ?? 20_261_120));
  let caught = 0;
  const runs = 100;
  for (let run = 0; run < runs; run++) {
    let value = 0;
    const calls: TimedCall<CounterInput, CounterOutput>[] = Array.from({ length: 60 }, (_, i) => {
      const n = random.below(5);
      const input: CounterInput = random.below(3) === 0 ? get : { op: 'add', n };
      const old = value;
      value = input.op === 'get' ? value : value + n;
      const [sentAt, answeredAt] = [i - random.next() * 4, i + random.next() * 4];
      if (random.below(20) === 0) return { id: i, key: 'k', sentAt, input };
      const output = input.op === 'get' ? { value } : { value, old };
      return { id: i, key: 'k', sentAt, answeredAt, input, output };
    });
    assert.equal(counter(calls).verdict, 'ok');
    const at = random.below(calls.length);
    const { output, ...rest } = calls[at]!;
    if (output === undefined || !('value' in output)) continue;
    const bad = calls.with(at, { ...rest, output: { ...output, value: output.value + 1 } });
    if (counter(bad).verdict === 'violation') caught += 1;
  }
  t.diagnostic(JSON.stringify({ searched: runs, caught }));
  assert.ok(caught >= runs * 0.7, `${caught} of ${runs} were caught`);
});
