/** Tasks that call scripts, in memory. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ScriptTarget } from '../../src/protocol/operations/task-definition.ts';
import { kinds } from '../../src/protocol/record.ts';
import { accountTaskCallsMax, accountTaskRunsMax } from '../../src/shared/task-limits.ts';
import { acme } from '../support/commands.ts';
import { cancelTask, changeTask, makeTask } from '../support/task-commands.ts';
import { TasksUnderTest } from '../support/tasks-under-test.ts';

const every = { schedule: { everyMs: 60_000 } };
const calls = (script: string, args = 'null'): { target: ScriptTarget } => ({
  target: { kind: 'script', script, args },
});

async function put(server: TasksUnderTest, key: string, source: string): Promise<void> {
  await server.ok({ kind: 'batch', account: acme, format: 'script.put', script: { key, source } });
}

describe('tasks with scripts', () => {
  for (const shards of [1, 3])
    test(`what a script does and the end of its run are one commit, on ${shards} shards`, async () => {
      const server = new TasksUnderTest({ shards, scripts: {} });
      await put(
        server,
        'close',
        'export default (tx, n) => { tx.add("n", n); tx.set("k", n); tx.enqueue("mail", n); }',
      );
      await server.ok(makeTask('t', { ...calls('close', '7'), delayMs: 5000 }));
      const before = server.records.length;
      await server.advance(4999);
      assert.equal(server.records.length, before, 'nothing happens before the instant');
      await server.advance(1);
      const written = server.records.slice(before);
      assert.equal(new Set(written.map(({ rev }) => rev)).size, 1, 'one commit');
      const effects = new Set(written.flatMap(({ effects: all }) => all.map(({ kind }) => kind)));
      for (const kind of [kinds.kv, kinds.counter, kinds.queue, kinds.task]) assert.ok(effects.has(kind));
      assert.deepEqual(await server.taken('mail'), [7]);
      const { State, Runs } = await server.task('t');
      assert.deepEqual([State, Runs], ['done', 1]);
      assert.equal(server.dispatcher.size, 0);
    });

  test('a script that only reads has its run recorded', async () => {
    const server = new TasksUnderTest({ shards: 1, scripts: {} });
    await put(server, 'looks', 'export default (tx) => tx.get("k")');
    await server.ok(makeTask('t', { ...calls('looks'), ...every }));
    await server.advance(60_000 * 3);
    assert.equal((await server.task('t'))['Runs'], 3);
  });

  for (const change of ['cancel', 'pause'] as const)
    test(`a run that is at it when somebody has the task ${change} does nothing`, async () => {
      let ran = 0;
      const goes: (() => void)[] = [];
      const before = (): Promise<void> => {
        ran += 1;
        return new Promise((resolve) => goes.push(resolve));
      };
      const server = new TasksUnderTest({ shards: 1, scripts: { before } });
      await put(server, 'writes', 'export default (tx) => { tx.enqueue("mail", 1) }');
      await server.ok(makeTask('t', { ...calls('writes'), ...every }));
      await server.advance(60_000);
      assert.equal(ran, 1);
      await server.ok(change === 'cancel' ? cancelTask('t') : changeTask('t', 'pause'));
      goes.shift()!();
      await server.advance(1000);
      assert.deepEqual(await server.taken('mail'), []);
      assert.equal(server.dispatcher.size, 0);
      if (change === 'cancel') return;
      assert.equal((await server.task('t'))['Runs'], 0);
      await server.ok(changeTask('t', 'resume'));
      await server.advance(1000);
      goes.shift()!();
      await server.advance(1000);
      assert.deepEqual(await server.taken('mail'), [1], 'it has its run once it is resumed');
    });

  test('a server that runs no scripts says so, and the task is dead in the end', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    await server.ok(makeTask('t', { ...calls('close'), retry: { max: 0, minMs: 0, maxMs: 0, factor: 1 } }));
    await server.advance(1);
    const { State, LastError } = await server.task('t');
    assert.equal(State, 'dead');
    assert.match(LastError as string, /runs no scripts/);
  });

  test('scripts that take long hold back no message, and run so many at once', async () => {
    const waiting: (() => void)[] = [];
    const before = (): Promise<void> => new Promise((resolve) => waiting.push(resolve));
    const server = new TasksUnderTest({ shards: 1, scripts: { before } });
    await put(server, 'slow', 'export default (tx) => tx.add("n", 1)');
    const count = accountTaskRunsMax + 8;
    for (let i = 0; i < count; i += 1) await server.ok(makeTask(`s${i}`, calls('slow')));
    await server.ok(makeTask('m', { data: '"not held back"' }));
    await server.advance(10);
    assert.deepEqual(await server.taken('mail'), ['not held back']);
    assert.ok(waiting.length <= accountTaskCallsMax);
    for (let i = 0; i < count; i += 1) {
      await server.advance(10);
      waiting.shift()?.();
    }
    await server.advance(10);
    for (let i = 0; i < count; i += 1) assert.equal((await server.task(`s${i}`))['Runs'], 1);
  });
});
