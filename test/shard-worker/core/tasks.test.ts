import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import type { TaskEndOperation } from '../../../src/protocol/operations/task-definition.ts';
import { serverAccount } from '../../../src/protocol/ids.ts';
import { kinds } from '../../../src/protocol/record.ts';
import { dueTasksMax, taskDeadMs, taskDoneMs } from '../../../src/shared/task-limits.ts';
import { acme } from '../../support/commands.ts';
import { CoreUnderTest } from '../../support/core-under-test.ts';
import { cancelTask, changeTask, makeTask, newTaskState, taskOf } from '../../support/task-commands.ts';

const get = (id: string) => ({ kind: 'task.get', account: acme, id }) as const;
const end = (taskEnd: TaskEndOperation): Batch => {
  return { kind: 'batch', account: acme, format: 'batch', taskEnd: [taskEnd] };
};
const versionOfState = (core: CoreUnderTest, id: string): number => core.entries.get(kinds.taskState, acme, id)!.rev;

/** Asks for tasks that are due, as the dispatcher does. @returns the ids of those that the shard tells of at once */
function due(core: CoreUnderTest, bytesMax = 1_000_000): string[] {
  const asked = core.ask({ kind: 'task.due', account: serverAccount, bytesMax });
  if (asked.waits) {
    core.state.tasks.asking = undefined;
    return [];
  }
  return (asked.body['Due'] as readonly (readonly unknown[])[]).map(([, id]) => String(id));
}

describe('making and cancelling', () => {
  test('a named task exists once, until an hour after its end', () => {
    const core = new CoreUnderTest();
    const { Version, NextMs } = core.ok(makeTask('t', { delayMs: 5000 })) as unknown as Record<string, number>;
    assert.deepEqual([Version, NextMs], [core.state.lastRev, core.now + 5000]);
    const again = core.ask(makeTask('t'));
    assert.equal(again.code, 'duplicate_task');
    assert.deepEqual([again.body['State'], again.body['ID']], ['scheduled', 't']);
    core.ok(end({ key: 't', version: versionOfState(core, 't'), state: newTaskState(1), ended: 'done' }));
    assert.equal(core.ok(get('t'))['State'], 'done');
    assert.equal(core.ask(makeTask('t')).body['State'], 'done');
    core.advance(taskDoneMs);
    assert.equal(core.ask(get('t')).code, 'not_found');
    core.ok(makeTask('t'));
  });

  test('a dead task is kept for two weeks, and run revives it', () => {
    const core = new CoreUnderTest();
    core.ok(makeTask('t', { data: '"x"' }));
    core.ok(end({ key: 't', version: versionOfState(core, 't'), state: newTaskState(1), ended: 'dead' }));
    core.advance(taskDeadMs - 1);
    const { State, Data } = core.ok(get('t'));
    assert.deepEqual([State, Data], ['dead', 'x']);
    assert.equal(core.ask(changeTask('t', 'pause')).code, 'not_found');
    core.ok(changeTask('t', 'run'));
    assert.deepEqual(due(core), ['t']);
    core.advance(10 * taskDeadMs);
    assert.equal(core.ok(get('t'))['State'], 'scheduled', 'it does not end while it is due');
  });

  test('Replace puts a task in the place of another, and Version conditions it', () => {
    const core = new CoreUnderTest();
    const refused = core.ask(makeTask('t', { replace: true, version: 7 }));
    assert.deepEqual([refused.code, refused.body['Version']], ['version_mismatch', 0]);
    const first = core.ok(makeTask('t', { delayMs: 1000, replace: true, version: 0 }));
    const second = core.ok(makeTask('t', { delayMs: 9000, replace: true, version: first['Version'] as number }));
    assert.equal(core.ok(get('t'))['NextMs'], core.now + 9000);
    assert.equal(
      core.ask(makeTask('t', { replace: true, version: first['Version'] as number })).code,
      'version_mismatch',
    );
    assert.equal(core.ask(cancelTask('t', first['Version'] as number)).code, 'version_mismatch');
    assert.equal(core.ok(cancelTask('t', second['Version'] as number))['Version'], second['Version']);
    assert.equal(core.ok(cancelTask('t'))['Version'], 0);
    assert.deepEqual(core.entries.range(kinds.taskState, acme, ''), []);
  });

  test('in one batch tasks are cancelled first, and all of it happens or nothing', () => {
    const core = new CoreUnderTest();
    core.ok(makeTask('a'));
    const both: Batch = {
      kind: 'batch',
      account: acme,
      format: 'batch',
      taskCancel: [{ key: 'a' }],
      tasks: [taskOf('a', { delayMs: 7 }), taskOf('b')],
      set: [{ key: 'k', value: '1' }],
    };
    core.ok(both);
    const failed = core.ask({ ...both, taskCancel: [], set: [{ key: 'k', value: '2' }] });
    assert.deepEqual(
      [failed.code, failed.body.Failed.map(({ Field }) => Field)],
      ['duplicate_task', ['Tasks[0]', 'Tasks[1]']],
    );
    assert.equal(core.entries.get(kinds.kv, acme, 'k')!.value, '1');
  });

  test('lists show tasks by state, in pages', () => {
    const core = new CoreUnderTest();
    for (const id of ['a', 'b', 'c', 'd']) core.ok(makeTask(id, { delayMs: 1000 }));
    core.ok(changeTask('b', 'pause'));
    core.ok(end({ key: 'c', version: versionOfState(core, 'c'), state: newTaskState(1), ended: 'dead' }));
    const ids = (more: object): unknown[] => {
      const body = core.ok({ kind: 'task.list', account: acme, prefix: '', limit: 10, ...more });
      return (body['Tasks'] as readonly { ID: string }[]).map(({ ID }) => ID);
    };
    assert.deepEqual(ids({}), ['a', 'b', 'c', 'd']);
    assert.deepEqual(ids({ state: 'scheduled' }), ['a', 'd']);
    assert.deepEqual(ids({ state: 'paused' }), ['b']);
    assert.deepEqual(ids({ state: 'dead' }), ['c']);
    assert.deepEqual(ids({ after: 'a', limit: 2 }), ['b', 'c']);
  });
});

describe('what is due', () => {
  test('tasks are told in the order in which they are due, each once', () => {
    const core = new CoreUnderTest();
    core.ok(makeTask('late', { delayMs: 300 }));
    core.ok(makeTask('soon', { delayMs: 100 }));
    core.ok(makeTask('then', { delayMs: 200 }));
    assert.deepEqual(due(core), []);
    core.advance(200);
    assert.deepEqual(due(core), ['soon', 'then']);
    assert.deepEqual(due(core), []);
    core.advance(100);
    assert.deepEqual(due(core), ['late']);
  });

  test('one that falls due at a time that was told already is told, too', () => {
    const core = new CoreUnderTest();
    core.ok(makeTask('b'));
    assert.deepEqual(due(core), ['b']);
    core.ok(makeTask('a'));
    assert.ok(due(core).includes('a'));
  });

  test('who asks is answered when a task falls due, however many there are', () => {
    const core = new CoreUnderTest();
    for (let i = 0; i < dueTasksMax + 10; i += 1)
      core.ok(makeTask(`t${String(i).padStart(4, '0')}`, { delayMs: 1000 }));
    assert.deepEqual(due(core), []);
    core.advance(5000);
    const told = [...due(core), ...due(core), ...due(core)];
    assert.equal(new Set(told).size, dueTasksMax + 10);
    assert.equal(told.length, dueTasksMax + 10);
  });

  test('large tasks are told a few at a time', () => {
    const core = new CoreUnderTest();
    for (const id of ['a', 'b', 'c']) core.ok(makeTask(id, { data: JSON.stringify('x'.repeat(1000)) }));
    assert.deepEqual([due(core, 10), due(core, 10), due(core, 10), due(core, 10)], [['a'], ['b'], ['c'], []]);
  });

  test('a run is recorded only if its task is as it was', () => {
    const core = new CoreUnderTest();
    core.ok(makeTask('t'));
    const version = versionOfState(core, 't');
    core.ok(makeTask('t', { replace: true }));
    const asked = core.ask(end({ key: 't', version, state: newTaskState(1), ended: 'done' }));
    assert.deepEqual([asked.code, asked.body.Failed[0]!.Field], ['version_mismatch', 'taskEnd[0]']);
    core.ok(cancelTask('t'));
    assert.equal(core.ask(end({ key: 't', version, state: newTaskState(1), till: 5 })).code, 'version_mismatch');
    assert.equal(core.ask(get('t')).code, 'not_found');
  });

  test('whoever waits for tasks that are due is answered when the server goes down', () => {
    const core = new CoreUnderTest();
    const asked = core.ask({ kind: 'task.due', account: serverAccount, bytesMax: 1 });
    core.send({ kind: 'drain' });
    assert.equal(asked.code, 'draining');
    assert.equal(core.ask({ kind: 'task.due', account: serverAccount, bytesMax: 1 }).code, 'draining');
  });

  test('a task whose definition is gone, because its account is being deleted, is not told', () => {
    const core = new CoreUnderTest();
    core.ok(makeTask('a'));
    core.ok(makeTask('b'));
    core.entries.delete(kinds.task, acme, 'a');
    assert.deepEqual(due(core), ['b']);
  });
});
