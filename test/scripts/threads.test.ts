/** The threads that run scripts: started by the first run, shared by front ends, killed when they hear nothing. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { workerUrls } from '../../src/main/worker-urls.ts';
import type { ScriptOutcome, ScriptRun } from '../../src/scripts/script-run.ts';
import { ScriptClient } from '../../src/scripts/threads/script-client.ts';
import { ScriptThreads } from '../../src/scripts/threads/script-threads.ts';
import { systemAfter } from '../../src/shared/clock.ts';
import { deaf } from './hostile-scripts.ts';
import { entriesOf, noReads, runOf } from './run.ts';

const threads = new ScriptThreads({ url: workerUrls.scriptPool, threads: 2, after: systemAfter });
const first = new ScriptClient(threads.connect());
const second = new ScriptClient(threads.connect());
after(async () => {
  await Promise.all([first.close(), second.close()]);
  await threads.close();
});

const good = `export default (tx, args) => { tx.set('a', tx.get('a') + args.by); return args.by }`;

async function runOne(client: ScriptClient, run: ScriptRun): Promise<ScriptOutcome> {
  const [outcome] = await client.run([run]);
  // A thread that has lost the script wants its source.
  return outcome ?? runOne(client, run);
}

async function runGood(client: ScriptClient, by: number, account = 'good'): Promise<unknown> {
  const reads = { ...noReads, entries: entriesOf({ a: 1 }) };
  const outcome = await runOne(client, runOf(good, { account, args: JSON.stringify({ by }), reads }));
  return outcome.kind === 'done' ? outcome.operations : outcome;
}

const done = (by: number): unknown => ({ KVSet: [{ Key: 'a', Value: 1 + by }] });

const loaded = (): boolean => Object.keys(createRequire(import.meta.url).cache).some((file) => /piscina/.test(file));

const kindOf = async (body: string): Promise<unknown> => {
  const { cpuMs, ...outcome } = await runOne(second, runOf(`export default (tx) => { ${body} }`, { cpuMs: 5 }));
  assert.ok(cpuMs >= 0);
  return outcome;
};

test('nothing is loaded before there is something to run; then all front ends share the threads', async () => {
  assert.equal(loaded(), false);
  assert.deepEqual(await runGood(first, 1), done(1));
  assert.equal(loaded(), true);
  const both = await Promise.all(Array.from({ length: 40 }, (_, i) => runGood(i % 2 === 0 ? first : second, i)));
  assert.deepEqual(
    both,
    both.map((_, i) => done(i)),
  );
});

test('a source is checked in a thread, and what it says arrives with its place', async () => {
  const right = await second.check(good, 'acme');
  assert.equal(right.fault, undefined);
  assert.ok(right.cpuMs >= 0 && !right.killed);
  const { fault } = await second.check('export default (\n a b)', 'acme');
  assert.deepEqual([fault?.name, fault?.line, fault?.column], ['SyntaxError', 2, 4]);
});

test('every outcome arrives whole', async () => {
  const reads = { keys: [], counters: [], lists: [] };
  assert.deepEqual(await kindOf('console.log(1); tx.fail("no", [1])'), {
    kind: 'refused',
    reason: 'no',
    details: '[1]',
    reads,
    log: ['1'],
  });
  assert.deepEqual(await kindOf('tx.get("__proto__")'), {
    kind: 'needs',
    needs: { ...reads, keys: ['__proto__'] },
  });
  assert.deepEqual(await kindOf('for (;;) {}'), { kind: 'timeout', log: [] });
  assert.deepEqual(await kindOf('throw 5'), {
    kind: 'failed',
    error: { name: 'Error', message: 'The script threw 5' },
    log: [],
  });
});

test('a thread that hears nothing is killed: its run has failed, those behind it run again, others notice nothing', async () => {
  for (const [name, body] of Object.entries(deaf)) {
    const before = threads.kills;
    const killed = runOne(first, runOf(`export default () => {\n${body}\n}`, { account: 'bad', cpuMs: 1000 }));
    // Some of these are sent to the same thread, behind it.
    const beside = Array.from({ length: 30 }, (_, i) => runGood(i % 2 === 0 ? first : second, i));
    let answered = 0;
    for (const run of beside) void run.then(() => (answered += threads.kills === before ? 1 : 0));
    assert.deepEqual(
      await Promise.all(beside),
      beside.map((_, i) => done(i)),
    );
    assert.equal((await killed).kind, 'killed', name);
    assert.equal(threads.kills, before + 1, name);
    assert.ok(answered >= 20, `${name}: ${answered} of 30 were answered by the other thread`);
  }
  assert.deepEqual(await Promise.all([runGood(first, 1), runGood(second, 2)]), [done(1), done(2)]);
});

test('accounts take turns: one with many endless runs does not make another wait for all of them', async () => {
  let ended = 0;
  const endless = Array.from({ length: 60 }, async (_, i) => {
    const outcome = await runOne(
      first,
      runOf(`export default () => { for (;;) {} } // ${i}`, { account: 'bad', cpuMs: 10 }),
    );
    ended += 1;
    return outcome.kind;
  });
  assert.deepEqual(await runGood(first, 3), done(3));
  assert.ok(ended < 20, `${ended} runs of the other account came first`);
  assert.deepEqual(new Set(await Promise.all(endless)), new Set(['timeout']));
});

test('a thread that does not keep a script is told its source again', async () => {
  // Its top level takes more memory than the machine has, so it is compiled for each run.
  const big = `const table = 'x'.repeat(3e6); export default (tx, args) => table.length + args.n`;
  for (let n = 0; n < 6; n += 1) {
    const outcome = await runOne(first, runOf(big, { args: JSON.stringify({ n }), cpuMs: 1000 }));
    assert.equal(outcome.kind === 'done' && outcome.result, String(3e6 + n));
  }
});

function addOf(by: number): ScriptRun {
  const reads = { ...noReads, entries: entriesOf({ a: 1 }) };
  return runOf(good, { account: 'bundle', args: JSON.stringify({ by }), reads });
}

function outcomeKind(one?: ScriptOutcome): unknown {
  return one?.kind;
}

function operationsOf(one?: ScriptOutcome): unknown {
  return one?.kind === 'done' && one.operations;
}

/** A thread that lost its core for a while gives back what it would have run: then they are asked once more. */
async function bundled(
  runs: readonly ScriptRun[],
  expected: readonly unknown[],
  show: (one?: ScriptOutcome) => unknown,
) {
  let shown: unknown[] = [];
  for (let tries = 0; tries < 50; tries += 1) {
    shown = (await first.run(runs)).map(show);
    if (isDeepStrictEqual(shown, expected)) return;
  }
  assert.deepEqual(shown, expected);
}

test('a bundle runs in its order, is given back behind one that took long, and a kill ends one run of it', async () => {
  const long = runOf(
    'export default () => { const end = Date.now; for (let i = 0; i < 3e6; i += 1); return end() > 0 }',
    {
      account: 'bundle',
      cpuMs: 1000,
    },
  );
  await bundled([addOf(1), addOf(2), addOf(3)], [done(1), done(2), done(3)], operationsOf);
  await bundled([addOf(1), long, addOf(2), addOf(3)], ['done', 'done'], outcomeKind);
  const hung = runOf(`export default () => {\n${Object.values(deaf)[0]}\n}`, { account: 'bundle', cpuMs: 1000 });
  await bundled([addOf(1), hung, addOf(2)], [undefined, 'killed', undefined], outcomeKind);
});

test('what is under way when a front end ends is answered', async () => {
  const own = new ScriptThreads({ url: workerUrls.scriptPool, threads: 1, after: systemAfter });
  const client = new ScriptClient(own.connect());
  const runs = Array.from({ length: 5 }, () => runOne(client, runOf('export default () => { for (;;) {} }')));
  await client.close();
  assert.deepEqual(new Set((await Promise.all(runs)).map(({ kind }) => kind)), new Set(['killed']));
  assert.equal((await runOne(client, runOf(good))).kind, 'killed');
  await own.close();
});
