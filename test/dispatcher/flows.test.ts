import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Flows, type Verdict } from '../../src/dispatcher/flows.ts';
import { accountId } from '../../src/protocol/ids.ts';
import type { Batch } from '../../src/protocol/operations/operations.ts';
import type { TaskOperation } from '../../src/protocol/operations/task-definition.ts';
import { flowEntryKey, type Flow } from '../../src/protocol/operations/task-setting.ts';
import { acme } from '../support/commands.ts';
import { changeTask, httpTask, taskOf } from '../support/task-commands.ts';
import { TasksUnderTest } from '../support/tasks-under-test.ts';

function tasksOf(tasks: readonly TaskOperation[], account = acme): Batch {
  return { kind: 'batch', account, format: 'batch', tasks };
}

function flowCommand(key: string, flow: Partial<Flow>, account = acme): Batch {
  const taskSetting = {
    key: flowEntryKey(key),
    change: 'flow.set',
    flow: { perMs: 1000, paused: false, ...flow },
  } as const;
  return { kind: 'batch', account, format: 'flow.set', taskSetting };
}

describe('flows', () => {
  test('the runs of a flow begin evenly, at its rate', async () => {
    const server = new TasksUnderTest({ shards: 2 });
    await server.ok(flowCommand('shop', { rate: 10, perMs: 1000 }));
    await server.ok(tasksOf(Array.from({ length: 25 }, (_, i) => taskOf(`t${i}`, httpTask({ flow: 'shop' })))));
    for (let ms = 0; ms < 3000; ms += 10) await server.advance(10);
    const at = server.sink.seen.map((request) => request.at);
    assert.equal(at.length, 25);
    for (const [i, ms] of at.slice(1).entries()) assert.ok(ms - at[i]! >= 100, `${ms - at[i]!} ms`);
    assert.ok(at.at(-1)! - at[0]! < 2900);
  });

  test('so many of a flow run at once, and rate and places hold together', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    server.sink.answers = () => undefined;
    await server.ok(flowCommand('shop', { parallel: 2, rate: 1000 }));
    await server.ok(tasksOf(Array.from({ length: 6 }, (_, i) => taskOf(`t${i}`, httpTask({ flow: 'shop' })))));
    for (let i = 0; i < 6; i += 1) {
      await server.advance(20);
      assert.ok(server.sink.open.size <= 2);
      const [first] = server.sink.open;
      first?.end();
    }
    await server.advance(20);
    for (const request of server.sink.open) request.end();
    await server.advance(20);
    assert.equal(server.sink.seen.length, 6);
    assert.equal(server.dispatcher.size, 0);
  });

  test('messages and requests of one flow share its places', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    server.sink.answers = () => undefined;
    await server.ok(flowCommand('shop', { parallel: 1 }));
    await server.ok(tasksOf([taskOf('a', httpTask({ flow: 'shop' }))]));
    await server.ok(tasksOf([taskOf('b', { flow: 'shop' }), taskOf('c', httpTask({ flow: 'shop' }))]));
    await server.advance(100);
    assert.deepEqual([server.sink.seen.length, (await server.taken('mail')).length], [1, 0]);
    server.sink.seen[0]!.end();
    await server.settle();
    assert.deepEqual([server.sink.seen.length, (await server.taken('mail')).length], [2, 1]);
    server.sink.seen[1]!.end();
    await server.settle();
    assert.equal(server.dispatcher.size, 0);
  });

  test('a paused flow runs nothing but what is asked for, and holds back no other', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    await server.ok(flowCommand('shop', { paused: true }));
    await server.ok(
      tasksOf([
        taskOf('a', httpTask({ flow: 'shop' })),
        taskOf('b', httpTask({ flow: 'shop' })),
        taskOf('c', httpTask()),
      ]),
    );
    await server.advance(5000);
    assert.equal(server.sink.seen.length, 1);
    await server.ok(changeTask('b', 'run'));
    await server.settle();
    assert.equal(server.sink.seen.length, 2);
    await server.ok(flowCommand('shop', {}));
    await server.advance(1000);
    assert.equal(server.sink.seen.length, 3);
    assert.equal(server.dispatcher.size, 0);
  });

  test('a flow limits messages, too, and another account not at all', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    await server.ok(flowCommand('shop', { rate: 1, perMs: 10_000 }));
    const two = [taskOf('a', { flow: 'shop' }), taskOf('b', { flow: 'shop' })];
    const other = accountId('other');
    await server.ok(tasksOf(two));
    await server.ok(tasksOf(two, other));
    assert.equal((await server.taken('mail', other)).length, 2);
    await server.advance(10_000);
    assert.equal((await server.taken('mail')).length, 1);
    await server.advance(10_000);
    assert.equal((await server.taken('mail')).length, 1);
  });

  test('a start does not know what went before, and begins with nothing to spend', async () => {
    const server = new TasksUnderTest({ shards: 1, startsLater: true });
    await server.ok(flowCommand('shop', { rate: 1, perMs: 1000 }));
    await server.ok(tasksOf([taskOf('a', httpTask({ flow: 'shop' }))]));
    server.dispatcher.start();
    await server.advance(999);
    assert.equal(server.sink.seen.length, 0);
    await server.advance(1);
    assert.equal(server.sink.seen.length, 1);
  });

  test('a run that was asked for keeps the rate, and the places, of a flow', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    server.sink.answers = () => undefined;
    await server.ok(flowCommand('shop', { rate: 1, perMs: 1000, parallel: 2 }));
    const ids = ['a', 'b', 'c'];
    await server.ok(tasksOf(ids.map((id) => taskOf(id, httpTask({ flow: 'shop', delayMs: 1_000_000 })))));
    await server.advance(5000);
    for (const id of ids) await server.ok(changeTask(id, 'run'));
    await server.settle();
    assert.equal(server.sink.seen.length, 1);
    await server.advance(999);
    assert.equal(server.sink.seen.length, 1);
    await server.advance(1);
    assert.equal(server.sink.seen.length, 2);
    await server.advance(5000);
    assert.equal(server.sink.seen.length, 2);
    server.sink.seen[0]!.end();
    await server.settle();
    assert.equal(server.sink.seen.length, 3);
  });

  test('a request that was held up does not let the next one follow closer than the rate allows', () => {
    const clock = { ms: 1000 };
    const flow = { Rate: 2, Per: 1 };
    const router = { request: (_: unknown, sink: { deliver(reply: object): void }) => sink.deliver(reply(flow)) };
    const flows = new Flows(router as never, { now: () => clock.ms });
    const ask = (): Verdict => {
      let told: Verdict | undefined;
      flows.ask({ account: acme, flow: 'shop', isAsked: false }, (verdict) => (told = verdict));
      return told!;
    };
    clock.ms = 2000;
    assert.equal(ask(), 'begins');
    clock.ms = 2500;
    assert.equal(ask(), 'begins');
    // The first one waited for its shard until now; the second one did not.
    assert.deepEqual([flows.sends(acme, 'shop'), flows.sends(acme, 'shop')], [0, 500]);
    clock.ms = 3000;
    assert.deepEqual(ask(), { waitsMs: 500 });
    clock.ms = 3500;
    assert.equal(ask(), 'begins');
    assert.equal(flows.sends(acme, 'shop'), 0);
  });
});

function reply(body: object): object {
  return { outcome: 'ok', body: JSON.stringify(body) };
}
