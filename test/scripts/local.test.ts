/** `dragonlock/script`: scripts against a Map. And what `tx` does against a model of its own: every read, what is left. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { runScript } from '../../src/scripts/local/exports.ts';
import { readDoc } from '../docs/markdown.ts';

const transfer = `export default (tx, { from, to, amount }) => {
  const [a, b] = tx.getAll(['acct/' + from, 'acct/' + to]);
  if (!(a?.balance >= amount)) tx.fail('insufficient', { balance: a?.balance });
  tx.set('acct/' + from, { ...a, balance: a.balance - amount });
  tx.set('acct/' + to, { ...b, balance: (b?.balance ?? 0) + amount });
  tx.add('transfers', 1, { ceil: 2 });
  tx.enqueue('mail', { to }, { delay: '5s' });
  console.log(from, '→', to);
  return a.balance - amount;
}`;

test('a script changes the Map when it is done, and nothing otherwise', async () => {
  const values = new Map<string, unknown>([['acct/1', { balance: 30 }]]);
  const counters = new Map<string, number>();
  const attempt = (from: number, to: number, amount: number): ReturnType<typeof runScript> =>
    runScript(transfer, values, { args: { from, to, amount }, counters });
  const done = await attempt(1, 2, 10);
  assert.equal(done.kind, 'done');
  assert.deepEqual([done.result, done.log], [20, ['1 → 2']]);
  assert.deepEqual(done.operations['Enqueue'], [{ Queue: 'mail', Data: { to: 2 }, Delay: 5 }]);
  assert.deepEqual(await attempt(1, 2, 21), {
    kind: 'refused',
    reason: 'insufficient',
    details: { balance: 20 },
    log: [],
  });
  const empty = await attempt(3, 2, 1);
  assert.deepEqual(empty.kind === 'refused' && empty.details, {});
  assert.equal((await attempt(2, 1, 1)).kind, 'done');
  assert.deepEqual(await attempt(2, 1, 1), {
    kind: 'conflict',
    code: 'out_of_bounds',
    key: 'transfers',
    log: ['2 → 1'],
  });
  assert.deepEqual(
    [...values],
    [
      ['acct/1', { balance: 21 }],
      ['acct/2', { balance: 9 }],
    ],
  );
  assert.deepEqual([...counters], [['transfers', 2]]);
});

test('a version that has moved is a conflict, and one that was read is not', async () => {
  const values = new Map<string, unknown>([['a', 1]]);
  const source = 'export default (tx, { version }) => tx.set("a", 2, { version: version ?? tx.entry("a").version })';
  assert.equal((await runScript(source, values)).kind, 'done');
  assert.equal((await runScript(source, values)).kind, 'done');
  const conflict = await runScript(source, values, { args: { version: 99 } });
  assert.deepEqual(conflict, { kind: 'conflict', code: 'version_mismatch', key: 'a', log: [] });
});

const rounds = (n: number): Promise<unknown> =>
  runScript(`export default (tx) => { for (let i = 0; i < ${n}; i++) tx.get('k' + i); return 1 }`);

test('mistakes, endless loops and too many rounds are told', async () => {
  const wrong = await runScript('export default (tx) => {\n  null.x\n}');
  assert.deepEqual(wrong.kind === 'failed' && wrong.error.line, 2);
  assert.deepEqual(await runScript('export default () => { for (;;) {} }', new Map(), { cpuMs: 5 }), {
    kind: 'timeout',
    log: [],
  });
  assert.equal(((await rounds(15)) as { kind: string }).kind, 'done');
  const many = (await rounds(16)) as { kind: string; error: { name: string; message: string } };
  assert.deepEqual([many.kind, many.error.name], ['failed', 'LimitError']);
});

test('the script of the document does what it says', async () => {
  const [, source = ''] = /```js\n(export default[^]*?)```/.exec(readDoc('docs/scripts.md')) ?? [];
  const values = new Map<string, unknown>([['acct/1', { balance: 30 }]]);
  const end = await runScript(source, values, { args: { from: 1, to: 2, amount: 10 } });
  assert.deepEqual([end.kind, end.kind === 'done' && end.result, values.get('acct/2')], ['done', 20, { balance: 10 }]);
});

/** Does what it is told, and returns what it was told. */
const interpreter = `export default (tx, calls) => calls.map(([name, ...args]) => {
  const told = tx[name](...args);
  return told === undefined ? 'nothing' : name === 'entry' ? told.value : name === 'list' ? told.map((row) => [row.key, row.value]) : told;
})`;

type Call = readonly [name: string, ...args: unknown[]];

/** The model: it changes what is there, call by call. */
function told(call: Call, values: Map<string, unknown>, counters: Map<string, number>): unknown {
  const [name, key, arg] = call as [string, string, never];
  switch (name) {
    case 'get':
    case 'entry':
      return values.has(key) ? values.get(key) : 'nothing';
    case 'getAll':
      return (key as unknown as string[]).map((each) => values.get(each) ?? null);
    case 'counter':
      return counters.get(key) ?? 0;
    case 'list': {
      const { after = '', limit = 100 } = (arg ?? {}) as { after?: string; limit?: number };
      const rows = [...values].filter(([each]) => each.startsWith(key) && each > after);
      return rows.toSorted(([a], [b]) => (a < b ? -1 : 1)).slice(0, limit);
    }
    case 'set':
      values.set(key, arg);
      return 'nothing';
    case 'delete':
      values.delete(key);
      return 'nothing';
    case 'merge': {
      const before = values.get(key) as Record<string, unknown> | undefined;
      const isObject = typeof before === 'object' && before !== null;
      const merged = Object.entries({ ...(isObject ? before : {}), ...(arg as object) });
      values.set(key, Object.fromEntries(merged.filter(([, value]) => value !== null)));
      return 'nothing';
    }
    default:
      counters.set(key, (counters.get(key) ?? 0) + (arg as number));
      return 'nothing';
  }
}

const key = fc.constantFrom('a', 'b', 'c', 'd/1', 'd/2', 'd/3', '__proto__');
const plain = { noNullPrototype: true };
const value = fc.oneof(fc.integer(), fc.constant('text'), fc.record({ x: fc.integer(), y: fc.integer() }, plain));
const call: fc.Arbitrary<Call> = fc.oneof(
  fc.tuple(fc.constantFrom('get', 'entry', 'delete', 'counter'), key),
  fc.tuple(fc.constant('getAll'), fc.array(key, { maxLength: 3 })),
  fc.tuple(fc.constant('set'), key, value),
  fc.tuple(fc.constant('merge'), key, fc.record({ x: fc.constantFrom(1, null), z: fc.integer() }, plain)),
  fc.tuple(fc.constant('add'), key, fc.integer({ min: -9, max: 9 })),
  fc.tuple(fc.constant('list'), fc.constantFrom('', 'd/', 'e'), fc.record({ limit: fc.integer({ min: 1, max: 4 }) })),
  fc.tuple(fc.constant('list'), fc.constantFrom('', 'd/'), fc.record({ after: key })),
);

test('whatever a script does, it is told what the model is told, and leaves what the model leaves', async () => {
  const start = fc.array(fc.tuple(key, value), { maxLength: 6 });
  const property = fc.asyncProperty(start, fc.array(call, { maxLength: 12 }), async (entries, calls) => {
    const [values, counters] = [new Map(entries), new Map([['a', 5]])];
    const [modelValues, modelCounters] = [new Map<string, unknown>(entries), new Map([['a', 5]])];
    const end = await runScript(interpreter, values, { args: calls, counters, cpuMs: 1000 });
    // What needs more rounds than a script may have is not what this is about.
    if (end.kind === 'failed') return assert.match(end.error.message, /rounds/);
    assert.equal(end.kind, 'done');
    assert.deepEqual(
      end.result,
      calls.map((each) => told(each, modelValues, modelCounters)),
    );
    assert.deepEqual(sorted(values), sorted(modelValues));
    assert.deepEqual(sorted(counters), sorted(modelCounters));
  });
  await fc.assert(property, { numRuns: 300 });
});

function sorted(map: ReadonlyMap<string, unknown>): unknown {
  return [...map].toSorted(([a], [b]) => (a < b ? -1 : 1));
}
