/** An arsenal of hostile scripts, one after the other in one machine, with a well-behaved script of another account between. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ScriptMachine } from '../../src/scripts/machine/script-machine.ts';
import { endless, greedy, polluting } from './hostile-scripts.ts';
import { entriesOf, noReads, outcomeOf, runOf } from './run.ts';

const machine = new ScriptMachine();
const reads = { ...noReads, entries: entriesOf({ a: { n: 1 } }) };
const good = `let calls = 0;
export default (tx, args) => {
  calls += 1;
  const a = tx.get('a');
  tx.set('a', { n: a.n + args.by });
  console.log(calls, typeof seen, [].seen, JSON.stringify([1, { b: 2 }]), Math.random(), tx.uuid());
  return [calls, Object.keys(globalThis), Date.now(), 'abc'.slice(1), [3, 1, 2].sort(), /b/.exec('abc').index];
}`;

function runGood(): Promise<unknown> {
  return outcomeOf(machine, good, { account: 'good', args: '{"by":2}', reads }).then((outcome) => ({
    ...outcome,
    cpuMs: 0,
  }));
}

test('an endless script is ended by the interrupt, and leaves nothing', async () => {
  const before = await runGood();
  assert.equal((before as { kind: string }).kind, 'done');
  for (const [name, body] of Object.entries(endless)) {
    const source = `export default (tx, args) => {\n${body}\n}`;
    const outcome = await outcomeOf(machine, source, { account: 'bad', cpuMs: 5 });
    assert.equal(outcome.kind, 'timeout', `${name}: ${JSON.stringify(outcome)}`);
    assert.deepEqual(await runGood(), before, name);
  }
});

test('a script that wants too much memory or stack fails, and leaves nothing', async () => {
  const before = await runGood();
  for (const [name, body] of Object.entries(greedy)) {
    const source = `export default (tx, args) => {\n${body}\n}`;
    const outcome = await outcomeOf(machine, source, { account: 'bad', cpuMs: 2000 });
    assert.equal(outcome.kind, 'failed', `${name}: ${JSON.stringify(outcome).slice(0, 300)}`);
    assert.match(`${outcome.error.name}: ${outcome.error.message}`, /^(Range|Internal|Syntax)Error: /, name);
    assert.deepEqual(await runGood(), before, name);
  }
});

test('1000 calls see nothing of each other: not the same script, not another of another account', async () => {
  const before = await runGood();
  const clean = await outcomeOf(machine, polluter('return [typeof seen, topLevel.length]'), { account: 'bad' });
  for (let i = 0; i < 1000; i += 1) {
    const source = polluter(polluting[i % polluting.length]!);
    const outcome = await outcomeOf(machine, source, { account: 'bad', args: JSON.stringify({ secret: i }) });
    if (i % 5 === 0) {
      const same = await outcomeOf(machine, source, { account: 'bad', args: JSON.stringify({ secret: i }) });
      assert.deepEqual({ ...same, cpuMs: 0 }, { ...outcome, cpuMs: 0 }, source);
    }
    if (i % 10 === 0) assert.deepEqual(await runGood(), before, source);
    if (i % 50 !== 0) continue;
    const again = await outcomeOf(machine, polluter('return [typeof seen, topLevel.length]'), { account: 'bad' });
    assert.deepEqual({ ...again, cpuMs: 0 }, { ...clean, cpuMs: 0 }, source);
  }
});

function polluter(body: string): string {
  return `const topLevel = [];\nexport default (tx, args) => {\n${body}\n}`;
}

test('the bytes of the last run are gone, whatever it was', async () => {
  const secret = 'tell-nobody-tell-nobody';
  const source = `globalThis.kept = []; export default (tx, args) => { globalThis.kept.push(args.secret + args.secret); return 1 }`;
  await outcomeOf(machine, source, { account: 'a', args: JSON.stringify({ secret }) });
  await machine.prepare();
  assert.equal(machine.memoryText().includes(secret), false);
  await runGood();
  assert.equal(machine.memoryText().includes(secret), false);
});

test('a run that has no interrupt, but takes longer than it may, has not been done', async () => {
  const body = 'return (3n ** 100000n * 3n ** 100000n).toString().length';
  const outcome = await outcomeOf(machine, `export default () => { ${body} }`, { cpuMs: 5 });
  assert.equal(outcome.kind, 'timeout');
});

test('an endless top level is ended, too, and a hostile source that is checked', async () => {
  const outcome = await outcomeOf(machine, 'for (;;) {} export default () => 1', { cpuMs: 5 });
  assert.equal(outcome.kind, 'timeout');
  const jobs = 'const again = () => Promise.resolve().then(again); again(); export default () => 1';
  assert.equal((await outcomeOf(machine, jobs, { cpuMs: 5 })).kind, 'timeout');
  for (const source of ['('.repeat(65_000), '`${'.repeat(20_000), `export default ${'()=>'.repeat(16_000)}1`])
    assert.notEqual(await machine.check(source), undefined);
  assert.equal(await machine.check(good), undefined);
});

test('scripts that are compiled are kept within bytes: what was used longest ago goes', async () => {
  const small = new ScriptMachine(() => {}, 300_000);
  for (let i = 0; i < 60; i += 1) {
    const source = `const text = ${JSON.stringify('x'.repeat(10_000) + i)}; export default () => text.length`;
    assert.equal((await outcomeOf(small, source)).kind, 'done');
    assert.equal((await outcomeOf(small, good, { reads, args: '{"by":1}' })).kind, 'done');
    assert.ok(small.cachedBytes <= 300_000, `${small.cachedBytes} bytes`);
  }
  const unknown = await small.run({ ...runOf('export default () => 0'), source: undefined });
  assert.equal(unknown, undefined);
});
