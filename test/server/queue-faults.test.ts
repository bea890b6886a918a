/** Consumers that vanish, stop, and come back after their lease, and messages that kill whoever takes them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServerUnderTest } from '../support/server-under-test.ts';

interface Message {
  readonly ID: string;
  readonly Data: unknown;
  readonly Attempts: number;
  readonly Lock: number;
}

/** Waits until there is one: a lease that ends serves those who wait. */
async function take(server: ServerUnderTest, options: object = {}): Promise<Message> {
  const { Dequeue } = await server.batch({ Dequeue: { Queue: 'q', LockDur: 0.05, LockWait: 60, ...options } });
  const { Messages } = Dequeue as unknown as { Messages: Message[] };
  assert.equal(Messages.length, 1);
  return Messages[0]!;
}

const receipt = ({ ID, Lock }: Message): object => ({ Queue: 'q', ID, Lock });

test('queues: a message that kills its consumers kills MaxAttempts of them; others are served meanwhile', async (t) => {
  const server = await ServerUnderTest.forTest(t);
  await server.ok('PUT', '/db/acc/queue/q', '{"MaxAttempts":3}');
  await server.batch({ Enqueue: ['poison', 1, 2, 3].map((Data) => ({ Queue: 'q', Data })) });
  const attempts: number[] = [];
  const done: unknown[] = [];
  while (attempts.length < 3 || done.length < 3) {
    const message = await take(server);
    if (message.Data === 'poison') attempts.push(message.Attempts);
    else if ((await server.call('POST', '/db/acc', { Ack: receipt(message) })).status === 200) done.push(message.Data);
  }
  assert.deepEqual(
    [attempts, done.toSorted()],
    [
      [1, 2, 3],
      [1, 2, 3],
    ],
  );
  // Its third lease ends while this one waits in vain.
  const { Dequeue } = await server.batch({ Dequeue: { Queue: 'q', LockWait: 0.3 } });
  assert.deepEqual((Dequeue as { Messages: unknown[] }).Messages, []);
  const { Messages } = (await server.ok('GET', '/db/acc/peek/q?state=dead')) as unknown as { Messages: Message[] };
  assert.deepEqual(
    Messages.map(({ Data, Attempts }) => [Data, Attempts]),
    [['poison', 3]],
  );
});

test('queues: who comes back after its lease settles nothing that another has taken over, nor writes beside it', async (t) => {
  const server = await ServerUnderTest.forTest(t);
  await server.batch({ Enqueue: { Queue: 'q', Data: 1 } });
  const late = await take(server);
  const next = await take(server, { LockDur: 60 });
  assert.deepEqual([next.ID, next.Attempts, next.Lock > late.Lock], [late.ID, 2, true]);
  const effects = { KVSet: { Key: 'effect', Value: 'late' }, Atomic: { Key: 'done', Add: 1 } };
  for (const section of ['Ack', 'Nack', 'Extend']) {
    const body = await server.batchFails('receipt_expired', { [section]: receipt(late), ...effects });
    assert.equal(body.Why, 'redelivered');
  }
  await server.batch({ Ack: receipt(next), ...effects, KVSet: { Key: 'effect', Value: 'next' } });
  assert.equal((await server.ok('GET', '/db/acc/kv/effect')).Value, 'next');
  assert.equal((await server.ok('GET', '/db/acc/counter/done')).Value, 1);
});

test('queues: a group goes on behind one that comes back late, and behind a death', async (t) => {
  const server = await ServerUnderTest.forTest(t);
  await server.ok('PUT', '/db/acc/queue/q', '{"MaxAttempts":2}');
  await server.batch({ Enqueue: [1, 2].map((Data) => ({ Queue: 'q', Data, Group: 'g' })) });
  const late = await take(server);
  const again = await take(server);
  assert.deepEqual([again.Data, again.Attempts], [1, 2]);
  const second = await take(server, { LockDur: 60 });
  assert.equal(second.Data, 2);
  for (const [message, Why] of [
    [late, 'redelivered'],
    [again, 'expired'],
  ] as const) {
    assert.equal((await server.batchFails('receipt_expired', { Ack: receipt(message) })).Why, Why);
  }
  await server.batch({ Ack: receipt(second) });
});

test('queues: what one batch failed with does not bring back what it did not touch', async (t) => {
  const server = await ServerUnderTest.forTest(t);
  await server.batch({ Enqueue: [1, 2, 3].map((Data) => ({ Queue: 'q', Data })) });
  const { Dequeue } = await server.batch({ Dequeue: { Queue: 'q', DequeueMax: 3, LockDur: 60 } });
  const [a, b, c] = (Dequeue as unknown as { Messages: Message[] }).Messages.map(receipt);
  const array = [{ Ack: a }, { Nack: { ...b, Delay: 60 } }, { Ack: c }];
  const replies = (await server.batch(array)) as unknown as { readonly Status: number }[];
  assert.deepEqual(
    replies.map(({ Status }) => Status),
    [200, 200, 200],
  );
  const { Delayed, Ready, InFlight } = (await server.ok('GET', '/db/acc/queue/q')) as unknown as Record<string, number>;
  assert.deepEqual({ Delayed, Ready, InFlight }, { Delayed: 1, Ready: 0, InFlight: 0 });
});
