/** What is counted of tasks, for metrics. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SharedTaskCounts } from '../../src/front-end/task-metrics.ts';
import { completePolicy } from '../../src/protocol/operations/queue-policy.ts';
import { acme } from '../support/commands.ts';
import { httpTask, makeTask } from '../support/task-commands.ts';
import { TasksUnderTest } from '../support/tasks-under-test.ts';

const once = { retry: { max: 0, minMs: 0, maxMs: 0, factor: 1 } };

test('tries and passed over instants are counted by what came of them, with how late they began', async () => {
  const counts = new SharedTaskCounts(SharedTaskCounts.allocate());
  const server = new TasksUnderTest({ shards: 1, counts, startsLater: true });
  const full = completePolicy({ MaxMessages: 1 });
  await server.ok({
    kind: 'batch',
    account: acme,
    format: 'queue.policy',
    queueChange: { key: 'full', change: 'policy', policy: full },
  });
  await server.ok(makeTask('ok', { delayMs: 1000 }));
  await server.ok(makeTask('fits', { queue: 'full' }));
  await server.ok(makeTask('dead', { queue: 'full', delayMs: 1, ...once }));
  await server.ok(makeTask('again', { queue: 'full', delayMs: 1, schedule: { everyMs: 10_000 } }));
  // Three instants have passed when the dispatcher starts: one run for all.
  await server.ok(makeTask('tick', { queue: 'ticks', schedule: { everyMs: 2000 } }));
  await server.advance(7000);
  server.dispatcher.start();
  await server.settle();
  assert.deepEqual(
    (['ok', 'failed', 'dead', 'skipped'] as const).map((how) => counts.outcome(how)),
    [3, 0, 1, 2],
  );
  const late = counts.lateness();
  assert.equal(late.count, 4);
  assert.equal(late.sum, 6 + 7 + 6.999 + 1);
  await server.advance(4000);
  assert.equal(counts.outcome('failed'), 1, 'it is tried again');
  assert.equal(counts.due, 0);
});

test('what is due and what is under way is shown', async () => {
  const counts = new SharedTaskCounts(SharedTaskCounts.allocate());
  const server = new TasksUnderTest({ shards: 1, counts, parallel: 1 });
  server.sink.answers = () => undefined;
  for (const id of ['a', 'b', 'c']) await server.ok(makeTask(id, httpTask()));
  await server.advance(10);
  assert.deepEqual([counts.due, counts.sending], [3, 1]);
});
