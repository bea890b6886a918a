import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dueMove, failed, succeeded } from '../../src/dispatcher/task-moves.ts';
import { defaultRetry, type TaskDefinition, type TaskState } from '../../src/protocol/operations/task-definition.ts';
import { newTaskState, taskOf } from '../support/task-commands.ts';

const now = 1_700_000_000_000;
const definitionOf = (more: Partial<TaskDefinition> = {}): TaskDefinition => taskOf('t', more).definition;
const everyMinute = { schedule: { everyMs: 60_000 } } as const;
const run = { startMs: now, now, error: 'no', salt: 'acme\0t' };

test('delays grow by the factor up to the longest, a tenth more or less, and differ between tasks', () => {
  const definition = definitionOf({ retry: { max: 20, minMs: 1000, maxMs: 60_000, factor: 2 } });
  const firsts = new Set<number>();
  for (let task = 0; task < 50; task += 1) {
    let state: TaskState = newTaskState(now);
    for (let n = 1; n <= 20; n += 1) {
      const moved = failed(definition, state, { ...run, salt: `acme\0t${task}` });
      const delay = moved.till! - now;
      const plain = Math.min(60_000, 1000 * 2 ** (n - 1));
      assert.ok(delay >= 0.9 * plain - 1 && delay <= 1.1 * plain + 1, `${n}: ${delay}`);
      if (n === 1) firsts.add(delay);
      state = moved.state;
      assert.equal(state.attempts, n);
    }
    assert.equal(failed(definition, state, run).ended, 'dead');
  }
  assert.ok(firsts.size > 20, 'tasks that fail together come again apart');
});

test('of an error so much is kept as there is room for, and no broken character', () => {
  const { state } = failed(definitionOf(), newTaskState(now), { ...run, error: `${'x'.repeat(1022)}é\u{1F600}` });
  assert.equal(state.lastError, `${'x'.repeat(1022)}é`);
});

test('what would run later than MaxLate is passed over, a single run too; what is tried again is not', () => {
  const late = { ...newTaskState(now - 6000) };
  const single = dueMove(definitionOf({ maxLateMs: 5000 }), late, now);
  assert.ok('moved' in single);
  assert.deepEqual([single.moved.ended, single.moved.state.skipped], ['done', 1]);
  const again = dueMove(definitionOf({ maxLateMs: 5000 }), { ...late, attempts: 1 }, now);
  assert.ok('instant' in again);
  const scheduled = dueMove(definitionOf({ ...everyMinute, maxLateMs: 5000 }), { ...late, fromMs: now - 66_000 }, now);
  assert.ok('moved' in scheduled);
  assert.deepEqual([scheduled.moved.till, scheduled.moved.state.skipped], [now + 54_000, 1]);
});

test('instants that pass while an earlier one is tried again are passed over, and counted', () => {
  const definition = definitionOf({ ...everyMinute, retry: defaultRetry });
  const tried = { ...newTaskState(now), fromMs: now - 60_000, attempts: 3 };
  const move = dueMove(definition, tried, now + 150_000);
  assert.ok('instant' in move);
  assert.equal(move.instant, now);
  const { state, till } = succeeded(definition, move.state, { startMs: now + 150_000, now: now + 150_000 });
  assert.deepEqual([state.attempts, state.runs, state.skipped, till], [0, 1, 2, now + 180_000]);
});

test('a run that was asked for ahead of time is that of the next instant', () => {
  const definition = definitionOf(everyMinute);
  const early = { ...newTaskState(now + 30_000), fromMs: now - 30_000 };
  const move = dueMove(definition, early, now);
  assert.ok('instant' in move);
  const { till } = succeeded(definition, move.state, { startMs: now, now: now });
  assert.equal(till, now + 90_000);
});

test('a paused task that was asked to run stays paused', () => {
  const definition = definitionOf(everyMinute);
  const paused: TaskState = { ...newTaskState(now), paused: true };
  assert.equal(succeeded(definition, paused, { startMs: now, now: now }).till, 0);
  assert.equal(failed(definition, paused, run).till, 0);
  assert.equal(succeeded(definitionOf(), paused, { startMs: now, now: now }).ended, 'done');
});

test('no instant after Until is run for what was missed, and none is counted', () => {
  const definition = definitionOf({ ...everyMinute, untilMs: now + 90_000, retry: defaultRetry });
  const state = { ...newTaskState(now), fromMs: now - 60_000 };
  const move = dueMove(definition, state, now + 600_000);
  assert.ok('instant' in move);
  assert.deepEqual([move.instant, move.state.skipped], [now + 60_000, 1]);
  const tried = dueMove(definition, { ...state, attempts: 1 }, now + 600_000);
  assert.ok('instant' in tried);
  const { state: ran, ended } = succeeded(definition, tried.state, { startMs: now + 600_000, now: now + 600_000 });
  assert.deepEqual([ran.runs, ran.skipped, ended], [1, 1, 'done']);
});
