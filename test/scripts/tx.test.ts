/** What scripts can do: each member of `tx`, how a run ends, and what its limits are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ScriptMachine } from '../../src/scripts/machine/script-machine.ts';
import type { ScriptOutcome, ScriptReads, ScriptRun } from '../../src/scripts/script-run.ts';
import { entriesOf, noReads, outcomeOf } from './run.ts';

const machine = new ScriptMachine();

function attempt(body: string, more: Partial<ScriptRun> = {}): Promise<ScriptOutcome> {
  return outcomeOf(machine, `export default (tx, args) => {\n${body}\n}`, more);
}

async function resultOf(body: string, reads: Partial<ScriptReads> = {}): Promise<unknown> {
  const outcome = await attempt(body, { reads: { ...noReads, ...reads } });
  assert.equal(outcome.kind, 'done', JSON.stringify(outcome));
  return JSON.parse(outcome.result);
}

async function operationsOf(body: string, reads: Partial<ScriptReads> = {}): Promise<unknown> {
  const outcome = await attempt(body, { reads: { ...noReads, ...reads } });
  assert.equal(outcome.kind, 'done', JSON.stringify(outcome));
  return outcome.operations;
}

async function faultOf(body: string, reads: Partial<ScriptReads> = {}): Promise<string> {
  const outcome = await attempt(body, { reads: { ...noReads, ...reads } });
  assert.equal(outcome.kind, 'failed', JSON.stringify(outcome));
  const { name, message } = outcome.error;
  return `${name}: ${message}`;
}

const needsOf = async (body: string): Promise<unknown> => {
  const outcome = await attempt(body, { reads: { ...noReads, entries: entriesOf({ a: 1 }) } });
  assert.equal(outcome.kind, 'needs', JSON.stringify(outcome));
  return outcome.needs;
};

const keysOf = (...names: string[]) => ({ keys: names, counters: [], lists: [] });

const page = (after: string, keys: readonly string[], more: boolean) => ({
  prefix: 'k',
  after,
  limit: 3,
  entries: keys.map((key) => ({ key, value: '0', version: 1 })),
  more,
});

const failureOf = async (source: string): Promise<string> => {
  const outcome = await outcomeOf(machine, source);
  return outcome.kind === 'failed' ? outcome.error.message : outcome.kind;
};

test('a run reads what was read for it, and says what it has looked at', async () => {
  const entries = entriesOf({ a: { n: 1 }, b: [2], c: null, gone: undefined, unused: 1 });
  const body = `return [tx.get('a'), tx.entry('b'), tx.get('c'), tx.get('gone') === undefined,
    tx.entry('gone') === undefined, tx.getAll(['a', 'gone', 'b']), tx.counter('n')];`;
  const outcome = await attempt(body, { reads: { entries, counters: { n: 5 }, lists: [] } });
  assert.equal(outcome.kind, 'done');
  const seen = [{ n: 1 }, { value: [2], version: 1 }, null, true, true, [{ n: 1 }, null, [2]], 5];
  assert.deepEqual(JSON.parse(outcome.result), seen);
  assert.deepEqual(outcome.reads, { keys: ['a', 'b', 'c', 'gone'], counters: ['n'], lists: [] });
  assert.deepEqual(outcome.operations, {});
});

test('what came with the run is read once in the machine, and behind a write from the host', async () => {
  const entries = entriesOf({ a: { n: 1 }, b: { n: 2 }, gone: undefined, __proto: 3 });
  const reads = { entries };
  assert.deepEqual(await resultOf(`tx.get('a').n = 9; return tx.get('a')`, reads), { n: 1 });
  assert.deepEqual(await resultOf(`return tx.getAll(['a', 'a', 'gone', 'b', 'b'])`, reads), [
    { n: 1 },
    { n: 1 },
    null,
    { n: 2 },
    { n: 2 },
  ]);
  assert.deepEqual(await resultOf(`tx.set('a', 5); return [tx.get('a'), tx.entry('a')]`, reads), [5, { value: 5 }]);
  assert.deepEqual(await resultOf(`tx.delete('a'); return tx.getAll(['a', 'b'])`, reads), [null, { n: 2 }]);
  assert.deepEqual(await resultOf(`tx.merge('a', { m: 2 }); return tx.get('a')`, reads), { n: 1, m: 2 });
  assert.deepEqual(await resultOf(`tx.set('a', { toJSON: () => tx.get('a').n + 1 }); return tx.get('a')`, reads), 2);
  const outcome = await attempt(`tx.get('a'); tx.getAll(['b', 'gone']); return 1`, { reads: { ...noReads, ...reads } });
  assert.equal(outcome.kind, 'done');
  assert.deepEqual(outcome.reads, keysOf('a', 'b', 'gone'));
});

test('what a script puts into prototypes is no entry, and large entries stay outside until they are wanted', async () => {
  assert.deepEqual(await needsOf(`Object.prototype.x = [1, 1]; Array.prototype.x = [1]; tx.get('x')`), keysOf('x'));
  const large = 'x'.repeat(50_000);
  const reads = { entries: entriesOf({ a: 1, large }) };
  assert.deepEqual(await resultOf(`return [tx.get('a'), tx.get('large').length]`, reads), [1, large.length]);
});

test('what waits in the machine is heard in its order, before all that has an answer', async () => {
  const many = `for (let i = 0; i < 200; i += 1) { tx.set('k' + i, i); tx.add('n', 1); }`;
  assert.deepEqual(await resultOf(`${many} tx.get('k7'); return tx.counter('n')`, { counters: { n: 1 } }), 201);
  const { KVSet } = (await operationsOf(`tx.set('a', 1); tx.set('b', 2, { ttl: 1000 }); tx.set('a', 3)`)) as {
    KVSet: readonly { Key: string }[];
  };
  assert.deepEqual(
    KVSet.map(({ Key }) => Key),
    ['a', 'b', 'a'],
  );
  const limit = 'LimitError: The script does more than 1000 operations';
  assert.equal(await faultOf(`for (let i = 0; i < 1001; i += 1) tx.set('a', i); tx.fail('late')`), limit);
  assert.equal(await faultOf(`for (let i = 0; i < 1001; i += 1) tx.set('a', i); throw new Error('late')`), limit);
  assert.equal(await faultOf(`throw new Error('a\\0b\\0c')`), 'Error: a\0b\0c');
});

test('what was not read ends the run, whatever it catches, and is asked for together', async () => {
  assert.deepEqual(await needsOf(`tx.get('a'); tx.get('b')`), keysOf('b'));
  assert.deepEqual(await needsOf(`tx.getAll(['b', 'a', 'c', 'b'])`), keysOf('b', 'c'));
  assert.deepEqual(await needsOf(`try { tx.get('b') } catch { return 1 } finally { return 2 }`), keysOf('b'));
  assert.deepEqual(await needsOf(`tx.counter('n')`), { keys: [], counters: ['n'], lists: [] });
  const list = { prefix: 'x/', after: 'x/3', limit: 7 };
  assert.deepEqual(await needsOf(`tx.list('x/', { after: 'x/3', limit: 7 })`), {
    keys: [],
    counters: [],
    lists: [list],
  });
  assert.deepEqual(await needsOf(`tx.list('')`), {
    keys: [],
    counters: [],
    lists: [{ prefix: '', after: '', limit: 100 }],
  });
  assert.deepEqual(await needsOf(`tx.get('__proto__')`), keysOf('__proto__'));
});

test('a run sees its own writes, and what it only writes is not read', async () => {
  const entries = entriesOf({ a: { x: 1, y: 2 }, b: 1 });
  const body = `tx.set('new', [1]); tx.delete('b'); tx.merge('a', { x: null, z: 3 }); tx.add('n', 4); tx.add('n', -1);
    return [tx.get('new'), tx.get('b') === undefined, tx.get('a'), tx.counter('n'), tx.entry('new')];`;
  const outcome = await attempt(body, { reads: { entries, counters: { n: 10 }, lists: [] } });
  assert.equal(outcome.kind, 'done');
  assert.deepEqual(JSON.parse(outcome.result), [[1], true, { y: 2, z: 3 }, 13, { value: [1] }]);
  assert.deepEqual(outcome.reads, { keys: ['a'], counters: ['n'], lists: [] });
  assert.deepEqual(outcome.operations, {
    Atomic: [
      { Key: 'n', Add: 4 },
      { Key: 'n', Add: -1 },
    ],
    KVSet: [
      { Key: 'new', Value: [1] },
      { Key: 'b', Delete: true },
      { Key: 'a', Merge: { x: null, z: 3 } },
    ],
  });
});

test('a list has the own writes of the run in the order of keys', async () => {
  const lists = [page('', ['k1', 'k3', 'k5'], true), page('k5', ['k7', 'k8'], false)];
  const keys = async (writes: string): Promise<unknown> =>
    resultOf(`${writes}; return tx.list('k', { limit: 3 }).map(({ key }) => key)`, { lists });
  assert.deepEqual(await keys(''), ['k1', 'k3', 'k5']);
  assert.deepEqual(await keys(`tx.set('k2', 1); tx.set('k9', 1); tx.set('other', 1)`), ['k1', 'k2', 'k3']);
  assert.deepEqual(await keys(`tx.delete('k1'); tx.delete('k3')`), ['k5', 'k7', 'k8']);
  assert.deepEqual(await keys(`tx.set('k6', 1); tx.delete('k1'); tx.delete('k3')`), ['k5', 'k6', 'k7']);
  assert.deepEqual(await keys(`tx.delete('k1'); tx.delete('k3'); tx.delete('k7'); tx.set('k9', 1)`), [
    'k5',
    'k8',
    'k9',
  ]);
});

test('operations become a batch, with durations in seconds', async () => {
  const body = `tx.set('a', 1, { ttl: '90s', version: 3 }); tx.delete('b', { version: 2 }); tx.merge('c', {}, { ttl: 500 });
    tx.add('n', 1, { floor: 0, ceil: 9, ttl: '1m' });
    tx.enqueue('mail', { to: 1 }, { group: 'g', dedup: 'd', delay: '5m', ttl: '1d', priority: 3 });
    tx.ack('q', '1-0', 7); tx.ack('q', '1-1'); tx.nack('q', '1-2', 8, { delay: 1000, error: 'no', return: true });
    tx.task('t', { delay: '1h', queue: 'q', data: { a: 1 }, retry: { max: 2, min: '1s' }, until: new Date(5000) });
    tx.task('u', { cron: '0 2 * * *', tz: 'Europe/Rome', script: 'close', args: [1], replace: true, deadline: '30s' });
    tx.cancelTask('v', { version: 4 }); tx.limit('l', { rate: 5, per: '1m', burst: 9, cost: 2 }); tx.guard('lock', 77);`;
  assert.deepEqual(await operationsOf(body), {
    Guard: [{ LockID: 'lock', Lock: 77 }],
    Ack: [
      { Queue: 'q', ID: '1-0', Lock: 7 },
      { Queue: 'q', ID: '1-1' },
    ],
    Nack: [{ Queue: 'q', ID: '1-2', Lock: 8, Delay: 1, Error: 'no', Return: true }],
    Limit: [{ Key: 'l', Rate: 5, Per: 60, Burst: 9, Cost: 2 }],
    Atomic: [{ Key: 'n', Add: 1, Floor: 0, Ceil: 9, TTL: 60 }],
    KVSet: [
      { Key: 'a', Value: 1, TTL: 90, Version: 3 },
      { Key: 'b', Delete: true, Version: 2 },
      { Key: 'c', Merge: {}, TTL: 0.5 },
    ],
    Enqueue: [{ Queue: 'mail', Data: { to: 1 }, Group: 'g', DedupID: 'd', Delay: 300, TTL: 86_400, Priority: 3 }],
    Tasks: [
      { ID: 't', Delay: 3600, Queue: 'q', Data: { a: 1 }, Retry: { Max: 2, Min: 1 }, Until: 5 },
      { ID: 'u', Cron: '0 2 * * *', TZ: 'Europe/Rome', Script: 'close', Args: [1], Replace: true, Deadline: 30 },
    ],
    TaskCancel: [{ ID: 'v', Version: 4 }],
  });
});

test('a mistake in a call is a TypeError that says what is wrong, and can be caught', async () => {
  const mistakes: Readonly<Record<string, RegExp>> = {
    'tx.get()': /^TypeError: tx\.get: key: expected a string, got undefined$/,
    "tx.get('')": /expected 1 to 512 bytes .*, got ""$/,
    "tx.get('x'.repeat(513))": /expected 1 to 512 bytes/,
    "tx.get('\\ud800')": /well-formed UTF-8/,
    "tx.get('a\\0')": /without NUL/,
    'tx.getAll([1])': /tx\.getAll: keys\[0\]: expected a string, got 1$/,
    "tx.getAll('ab')": /tx\.getAll: keys: expected an array, got ab$/,
    "tx.set('a')": /tx\.set: value: expected JSON, got undefined$/,
    "tx.set('a', () => 1)": /expected JSON, got a function$/,
    "tx.set('a', { n: 0 / 0 })": /tx\.set: value, at n: NaN has no JSON$/,
    "tx.set('a', [undefined])": /tx\.set: value, at 0: undefined has no JSON$/,
    "tx.set('a', { m: new Map() })": /at m: an object of this class has no JSON$/,
    "tx.set('a', 1n)": /^TypeError: .*(BigInt|bigint)/,
    "const a = []; a.push(a); tx.set('a', a)": /^TypeError: .*circular/i,
    "tx.set('a', 1, { tll: 5 })": /options\.tll: there is no such option; expected ttl, version$/,
    "tx.set('a', 1, { ttl: '5 s' })": /options\.ttl: expected milliseconds, or a duration .*, got "5 s"$/,
    "tx.set('a', 1, 5)": /tx\.set: options: expected an object, got 5$/,
    "tx.set('a', 1, { version: -1 })": /options\.version: expected an integer from 0/,
    "tx.add('n', 1.5)": /tx\.add: n: expected an integer/,
    "tx.add('n', '1')": /tx\.add: n: expected a number, got 1$/,
    "tx.task('t', { retry: { mx: 1 } })": /options\.retry\.mx: there is no such option/,
    "tx.limit('l', {})": /tx\.limit: options\.rate: missing/,
    "tx.guard('l', 0)": /tx\.guard: handle: expected an integer from 1/,
    "tx.fail('')": /tx\.fail: reason: expected 1 to 1024 bytes/,
    "tx.list('', { limit: 1001 })": /options\.limit: expected 1 to 1000, got 1001$/,
  };
  for (const [call, message] of Object.entries(mistakes)) assert.match(await faultOf(call), message, call);
  assert.equal(await resultOf(`try { tx.get('') } catch (error) { return error instanceof TypeError }`), true);
});

test('fail refuses, and cannot be caught; its reason and details arrive', async () => {
  const body = `console.log('before'); tx.set('a', 1); try { tx.fail('insufficient', { balance: 3 }) } catch { } finally { return 1 }`;
  const outcome = await attempt(body, { reads: { ...noReads, entries: entriesOf({ a: 1 }) } });
  assert.equal(outcome.kind, 'refused');
  assert.deepEqual([outcome.reason, outcome.details, outcome.log], ['insufficient', '{"balance":3}', ['before']]);
  const bare = await attempt(`tx.fail('no')`);
  assert.equal(bare.kind === 'refused' && bare.details, undefined);
});

test('time, chance and zone are those of the run: the same run has the same, another has others', async () => {
  const body = `return [tx.now, Date.now(), new Date().toISOString(), new Date(0).getHours(), new Date().getTimezoneOffset(),
    Math.random(), Math.random(), tx.uuid(), tx.uuid()];`;
  const of = async (more: Partial<ScriptRun>): Promise<readonly unknown[]> => {
    const outcome = await attempt(body, more);
    assert.equal(outcome.kind, 'done');
    return JSON.parse(outcome.result) as unknown[];
  };
  const first = await of({});
  assert.deepEqual(first.slice(0, 5), [1_700_000_000_123, 1_700_000_000_123, '2023-11-14T22:13:20.123Z', 0, 0]);
  assert.match(String(first[7]), /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  assert.equal(new Set(first.slice(5)).size, 4);
  assert.deepEqual(await of({}), first);
  assert.deepEqual(
    await outcomeOf(new ScriptMachine(), `export default (tx, args) => {\n${body}\n}`).then(resultText),
    first,
  );
  for (const other of [{ seed: 8 }, { now: 1_700_000_000_124 }]) {
    const changed = await of(other);
    for (const at of [5, 6, 7, 8]) assert.notEqual(changed[at], first[at]);
  }
});

function resultText(outcome: ScriptOutcome): unknown {
  return outcome.kind === 'done' ? JSON.parse(outcome.result) : outcome;
}

test('uuids of many runs differ, also with the same seed or the same time', async () => {
  const seen = new Set<unknown>();
  for (let i = 0; i < 200; i += 1) {
    const { length } = [...seen];
    const outcome = await attempt('return [tx.uuid(), tx.uuid()]', { seed: i % 20, now: 1_700_000_000_000 + (i % 25) });
    assert.equal(outcome.kind, 'done');
    for (const id of JSON.parse(outcome.result) as unknown[]) seen.add(id);
    if (i < 100) assert.equal(seen.size, length + 2);
  }
});

test('limits end the run, whatever it catches', async () => {
  const entries = entriesOf(Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`k${i}`, 'x'.repeat(5000)])));
  const limits: Readonly<Record<string, RegExp>> = {
    "for (let i = 0; i < 1001; i++) tx.set('a', i)": /^LimitError: The script does more than 1000 operations$/,
    "try { for (;;) tx.add('a', 1) } catch { return 1 }": /more than 1000 operations/,
    "for (let i = 0; i < 1001; i++) tx.get('k' + i)": /^LimitError: The script reads more than 4194304 bytes$/,
    "return 'x'.repeat(1 << 20)": /^LimitError: The result takes more than 1048576 bytes$/,
    "tx.fail('no', 'x'.repeat(1 << 20))": /^LimitError: The details of the refusal take more than/,
    "const big = 'x'.repeat(1 << 20); for (let i = 0; i < 9; i++) tx.set('a', big)":
      /^LimitError: The operations .* 8388608/,
    "tx.getAll(Array.from({ length: 1001 }, (_, i) => 'n' + i))": /^LimitError: The script reads more than 1000 keys$/,
  };
  for (const [body, message] of Object.entries(limits)) assert.match(await faultOf(body, { entries }), message, body);
  assert.equal(await resultOf("for (let i = 0; i < 1000; i++) tx.set('a', i)"), null);
  const small = Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`k${i}`, { value: '1', version: 1 }]));
  assert.match(await faultOf("for (let i = 0; i < 1001; i++) tx.get('k' + i)", { entries: small }), /than 1000 keys/);
});

test('the log has 64 lines and 8 KiB at most, and is told with errors too', async () => {
  const lines = await attempt('for (let i = 0; i < 100; i++) console.log(i, { a: [i] }, undefined)');
  assert.equal(lines.kind, 'done');
  assert.deepEqual([lines.log.length, lines.log[63]], [64, '63 {"a":[63]} undefined']);
  const bytes = await attempt(`for (;;) console.log('ü'.repeat(3001))`);
  assert.equal(bytes.kind, 'timeout');
  assert.deepEqual(
    bytes.log.map((line) => Buffer.byteLength(line)),
    [6002, 2190],
  );
  const failed = await attempt(`console.error(new RangeError('far')); null.x`);
  assert.deepEqual(failed.kind === 'failed' && failed.log, ['RangeError: far']);
});

test('an error has the line and the column of the script, from 1', async () => {
  const places: Readonly<Record<string, readonly [name: string, line?: number]>> = {
    'export default () => {\n\n  null.x }': ['TypeError', 3],
    'export default (tx) => {\n tx.get(1) }': ['TypeError', 2],
    'const f = () => { throw new RangeError("no") };\nexport default () => f()': ['RangeError', 1],
    'export default () => { throw { odd: 1 } }': ['Error'],
    'export default () => {\n const x = 1;\n x = 2 }': ['TypeError', 3],
    'export default (\n a b) => 1': ['SyntaxError', 2],
    'let q;\nq.x;\nexport default () => 1': ['TypeError', 2],
  };
  for (const [source, [name, line]] of Object.entries(places)) {
    const outcome = await outcomeOf(machine, source);
    assert.equal(outcome.kind, 'failed', source);
    assert.deepEqual([outcome.error.name, outcome.error.line], [name, line], source);
    if (line !== undefined) assert.ok(outcome.error.column! >= 1, source);
  }
});

test('a source is checked without being run', async () => {
  const wrong: Readonly<Record<string, RegExp>> = {
    'export const a = 1': /^The script has no default export; expected export default/,
    'import x from "fs"; export default () => 1': /^The script imports "fs"; expected all of it in one piece$/,
    'import "<run>"; export default () => 1': /^The script imports/,
    'export default (\n  a b)': /^Unexpected/,
    'export default () => { return 08n }': /./,
    '': /no default export/,
    ['('.repeat(60_000)]: /./,
  };
  for (const [source, message] of Object.entries(wrong)) {
    const fault = await machine.check(source);
    assert.match(fault?.message ?? 'none', message, source.slice(0, 60));
    assert.notEqual(fault, undefined);
  }
  assert.deepEqual(await machine.check('export default (\n  a b)'), {
    name: 'SyntaxError',
    message: "Unexpected identifier 'b'",
    line: 2,
    column: 5,
  });
  assert.equal(await machine.check('for (;;) {} export default () => 1'), undefined);
  assert.equal(await machine.check('throw 5; export default () => 1'), undefined);
  assert.equal(await machine.check(`export default () => 1 //${'x'.repeat(65_000)}`), undefined);
});

test('a result of nothing is null, a promise is a failure, and a default export must be a function', async () => {
  assert.equal(await resultOf(''), null);
  assert.match(await faultOf('return Promise.resolve(1)'), /^TypeError: The script returned a promise/);
  assert.match(await faultOf('return NaN'), /The result: NaN has no JSON$/);
  assert.match(await faultOf('return () => 1'), /The result: expected JSON, got a function$/);
  assert.match(await failureOf('export default async () => 1'), /returned a promise/);
  assert.match(await failureOf('export default 5'), /default export is 5; expected a function/);
  assert.match(await failureOf('export const a = 5'), /no default export/);
  assert.match(await failureOf('await new Promise(() => {}); export default () => 1'), /waits at its top level/);
  assert.match(await failureOf('import a from "b"; export default () => 1'), /imports "b"/);
});
