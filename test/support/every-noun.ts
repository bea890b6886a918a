/** Puts at least one of everything that an account may have: a new kind of entry belongs here, see exports.test.ts. */
import { completePolicy } from '../../src/protocol/operations/queue-policy.ts';
import type { Batch } from '../../src/protocol/operations/operations.ts';
import { flowEntryKey, secretKey } from '../../src/protocol/operations/task-setting.ts';
import { batch, lock, next, once, set } from './commands.ts';
import { change, message, nack, policy, send, take, taken } from './queue-commands.ts';
import type { ServerInMemory } from './server-in-memory.ts';
import { changeTask, httpTask, makeTask, newTaskState } from './task-commands.ts';

export const taskIds = ['http', 'script', 'every', 'cron', 'paused', 'done', 'dead'] as const;

export async function fillWithEverything(server: ServerInMemory): Promise<void> {
  await server.ok(set('a', { deep: [1, 'ü', null] }));
  await server.ok(set('ends', 2, { ttlMs: 500_000 }));
  await server.ok(
    batch({
      counter: [
        { key: 'c', op: 'add', n: -5 },
        { key: 't', op: 'add', n: 3, ttlMs: 600_000 },
      ],
    }),
  );
  await server.ok(next('s', 7));
  await server.ok(lock('l', { durMs: 60_000 }));
  await server.ok(policy({ MaxAttempts: 1, Fifo: false }));
  await server.ok(send(message('dies')));
  const [dead] = taken(await server.ok(take()));
  await server.ok(nack(dead!, { error: 'why' }));
  await server.ok(
    send(
      message('plain'),
      message('first', { group: 'g' }),
      message('second', { group: 'g' }),
      message('urgent', { priority: 7 }),
      message('later', { delayMs: 90_000 }),
      message('later in line', { group: 'h', delayMs: 80_000 }),
      message('ends', { ttlMs: 700_000, key: 'other' }),
      message('once', { dedup: 'd', key: 'fifo', group: '' }),
    ),
  );
  await server.ok(send(message('twice', { dedup: 'window', key: 'deduped' })));
  await server.ok({ ...policy({ DedupWindow: 0 }), queueChange: pendingPolicy });
  await server.ok(send(message('pending', { dedup: 'p', key: 'pending' })));
  await server.ok(takeLimit());
  await server.ok(batch({ set: [{ key: 'a', value: '1' }], ...once('id', { mode: 'replay' }) }));
  await fillTasks(server);
  for (const source of ['old', 'new']) await server.ok(batch({ format: 'script.put', script: { key: 'pay', source } }));
  await server.ok({ ...change('pause'), queueChange: { key: 'fifo', change: 'pause' } });
  await server.ok(take({ durMs: 60_000 }));
}

const pendingPolicy = { key: 'pending', change: 'policy', policy: completePolicy({ DedupWindow: 'pending' }) } as const;

function takeLimit(): Batch {
  return batch({ limit: [{ key: 'api', rateThousandths: 1, perMs: 1000, burst: 4, cost: 2, waitMs: 0 }] });
}

async function fillTasks(server: ServerInMemory): Promise<void> {
  const resultQueue = 'results';
  const script = { kind: 'script', script: 'pay', args: '{"n":1}', sends: true } as const;
  await server.ok(makeTask('http', { ...httpTask({ headers: { authorization: 'x' }, body: '[1]' }), resultQueue }));
  await server.ok(makeTask('script', { target: script, flow: 'f', delayMs: 5000 }));
  await server.ok(makeTask('every', { schedule: { everyMs: 1500 }, misfire: 'all', overlap: 'queue', group: 'g' }));
  await server.ok(makeTask('cron', { schedule: { cron: '0 3 * * *', tz: 'Europe/Rome' }, untilMs: server.now + 1e9 }));
  await server.ok(makeTask('paused', { delayMs: 9000, maxLateMs: 70_000 }));
  await server.ok(changeTask('paused', 'pause'));
  for (const ended of ['done', 'dead'] as const) {
    const { Version: version } = (await server.ok(makeTask(ended))) as unknown as { Version: number };
    const state = { ...newTaskState(server.now), attempts: 3, lastError: 'ü', lastStatus: 500, lastEndMs: 7 };
    await server.ok(batch({ taskEnd: [{ key: ended, version, state, ended }] }));
  }
  const flow = { rate: 2.5, perMs: 60_000, parallel: 3, paused: true };
  for (const [key, of] of [
    [flowEntryKey('f'), flow],
    [flowEntryKey('g'), { perMs: 1000, paused: false }],
  ] as const)
    await server.ok(batch({ format: 'flow.set', taskSetting: { key, change: 'flow.set', flow: of } }));
  for (const candidate of ['whsec_b2xkb2xkb2xkb2xkb2xk', 'whsec_bmV3bmV3bmV3bmV3bmV3'])
    await server.ok(
      batch({ format: 'secret.rotate', taskSetting: { key: secretKey, change: 'secret.rotate', candidate } }),
    );
}
