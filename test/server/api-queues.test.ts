/** Queues: in batches and over REST, with one shard and with several. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServerUnderTest, serverForFile } from '../support/server-under-test.ts';

const server = serverForFile();

interface Message {
  readonly ID: string;
  readonly Data: unknown;
  readonly Lock: number;
  readonly Attempts: number;
}

const messagesOf = (body: object): Message[] => (body as { Dequeue: { Messages: Message[] } }).Dequeue.Messages;

test('queues: a message, a write and an unlock are one commit; so are an ack, a write and the next message', async () => {
  const acc = 'life';
  const held = await server.batch({ LockID: 'order:7', LockDur: 30 }, acc);
  const sent = (await server.batch(
    {
      KVSet: { Key: 'order:7', Value: { paid: true } },
      UnlockID: 'order:7',
      Unlock: held.Lock,
      Enqueue: [
        { Queue: 'mail', Data: { to: 'a@b.c' }, Group: 'cust-9', DedupID: 'order-7' },
        { Queue: 'mail', Data: 1 },
        { Queue: 'mail', Data: 2, DedupID: 'order-7' },
      ],
    },
    acc,
  )) as unknown as { Rev: number; Enqueue: object[] };
  assert.deepEqual(sent.Enqueue, [
    { Queue: 'mail', ID: `${sent.Rev}-0:cust-9` },
    { Queue: 'mail', ID: `${sent.Rev}-1` },
    { Queue: 'mail', ID: `${sent.Rev}-0:cust-9`, Duplicate: true },
  ]);
  const [first] = messagesOf(await server.batch({ Dequeue: { Queue: 'mail', LockDur: 60 } }, acc));
  assert.deepEqual(first!.Data, { to: 'a@b.c' });
  const ack = { Queue: 'mail', ID: first!.ID, Lock: first!.Lock };
  const next = await server.batch({ Ack: ack, KVSet: { Key: 'sent', Value: 1 }, Dequeue: { Queue: 'mail' } }, acc);
  assert.deepEqual(
    messagesOf(next).map(({ Data, Lock }) => [Data, Lock]),
    [[1, next.Rev]],
  );
  const refused = await server.batchFails('receipt_expired', { Ack: ack, KVSet: { Key: 'sent', Value: 2 } }, acc);
  assert.partialDeepStrictEqual(refused, { Queue: 'mail', ID: first!.ID, Why: 'gone', Failed: [{ Field: 'Ack[0]' }] });
  assert.equal((await server.ok('GET', `/db/${acc}/kv/sent`)).Value, 1);
});

test('queues: over REST', async () => {
  const db = '/db/rest';
  const sent = (await server.ok('POST', `${db}/queue/a/b?priority=3`, { x: 1 })) as unknown as { ID: string };
  assert.match(sent.ID, /^\d+-0p3$/);
  await server.ok('POST', `${db}/queue/a/b?as=text&delay=3600&group=g`, 'plain');
  const { Messages } = (await server.ok('POST', `${db}/dequeue/a/b?max=5&dur=60`)) as unknown as {
    Messages: Message[];
  };
  assert.equal(Messages.length, 1);
  const { ID, Lock } = Messages[0]!;
  const nothing = await server.call('POST', `${db}/dequeue/a/b`);
  assert.deepEqual([nothing.status, nothing.text], [204, '']);
  await server.ok('POST', `${db}/extend/a/b?id=${ID}&lock=${Lock}&dur=90`);
  await server.ok('POST', `${db}/nack/a/b?id=${ID}&lock=${Lock}&delay=0&error=no`);
  await server.fails('receipt_expired', 'POST', `${db}/ack/a/b?id=${ID}&lock=${Lock}`);
  const again = (await server.ok('POST', `${db}/dequeue/a/b`)) as unknown as { Messages: Message[] };
  assert.partialDeepStrictEqual(again.Messages, [{ ID, Attempts: 2, LastError: 'no' }]);
  await server.ok('POST', `${db}/ack/a/b?id=${ID}&lock=${again.Messages[0]!.Lock}`);
  const stat = await server.ok('GET', `${db}/queue/a/b`);
  assert.partialDeepStrictEqual(stat, { Queue: 'a/b', Ready: 0, InFlight: 0, Delayed: 1, Groups: 1, Paused: false });
  await server.ok('POST', `${db}/pause/queue/a/b`);
  await server.ok('PUT', `${db}/queue/a/b`, { MaxAttempts: 2, DedupWindow: 'pending' });
  const { Queues } = (await server.ok('GET', `${db}/queue?prefix=a`)) as unknown as { Queues: object[] };
  assert.partialDeepStrictEqual(Queues, [{ Queue: 'a/b', Paused: true, Policy: { MaxAttempts: 2, DedupWindow: 0 } }]);
  const peeked = (await server.ok('GET', `${db}/peek/a/b?state=delayed`)) as unknown as { Messages: Message[] };
  assert.partialDeepStrictEqual(peeked.Messages, [{ Data: 'plain', State: 'delayed', Group: 'g' }]);
  assert.equal(((await server.ok('POST', `${db}/purge/a/b`)) as unknown as { Purged: number }).Purged, 1);
  await server.ok('POST', `${db}/resume/queue/a/b`);
  await server.ok('POST', `${db}/redrive/a/b?do=retry`);
  await server.ok('DELETE', `${db}/queue/a/b`);
  assert.deepEqual(((await server.ok('GET', `${db}/queue`)) as unknown as { Queues: object[] }).Queues, []);
  assert.partialDeepStrictEqual(await server.ok('GET', `${db}/queue/unused`), { Ready: 0, Consumers: 0 });
});

test('queues: what is malformed is 400, and the message names the field', async () => {
  const cases: readonly (readonly [body: object, names: RegExp])[] = [
    [{ Dequeue: { Queue: 'q', LockWait: 1 }, KVGet: 'a' }, /Dequeue\.LockWait/],
    [{ Enqueue: { Queue: 'q', Data: 1, TTL: 5, Delay: 5 } }, /Enqueue\[0\]\.TTL/],
    [{ Enqueue: { Queue: 'q' } }, /Enqueue\[0\]\.Data/],
    [{ Enqueue: { Queue: 'q', Data: 1, Priority: 10 } }, /Priority/],
    [{ Enqueue: { Queue: 'q', Data: 1, Priority: 1, Group: 'g' } }, /Enqueue\[0\]\.Priority/],
    [{ Enqueue: { Queue: 'q\0', Data: 1 } }, /Enqueue\[0\]\.Queue/],
    [{ Ack: { Queue: 'q', ID: 'x', Lock: 1 } }, /Ack\[0\]\.ID/],
    [{ Ack: { Queue: 'q', ID: '01-0', Lock: 1 } }, /Ack\[0\]\.ID/],
    [{ Nack: { Queue: 'q', ID: '1-0' } }, /Nack\[0\]\.Lock/],
    [{ Nack: { Queue: 'q', ID: '1-0', Lock: 1, Return: true, Delay: 1 } }, /Nack\[0\]\.Delay/],
    [{ Dequeue: { Queue: 'q', GroupMax: 2 } }, /Dequeue\.GroupMax/],
    [{ Dequeue: { Queue: 'q', DequeueMax: 1001 } }, /DequeueMax/],
    [{ Dequeue: [{ Queue: 'q' }] }, /Dequeue/],
    [{ Dequeue: { Queue: 'q' }, IdempotencyIDs: 'i' }, /IdempotencyIDs/],
  ];
  for (const [body, names] of cases) {
    const { Message } = await server.fails('invalid', 'POST', '/db/bad', body);
    assert.match(Message, names, JSON.stringify(body));
  }
  await server.fails('invalid', 'POST', '/db/bad', [{ Dequeue: { Queue: 'q', LockWait: 1 } }]);
  await server.fails('invalid', 'POST', '/db/bad/redrive/q');
  await server.fails('invalid', 'PUT', '/db/bad/queue/q', { MaxAttempts: -1 });
  await server.fails('too_large', 'POST', '/db/bad', {
    Nack: { Queue: 'q', ID: '1-0', Lock: 1, Error: 'x'.repeat(1025) },
  });
});

test('queues: a consumer that waits gets the message in the commit after the enqueue; one that hangs up gets none', async () => {
  const wait = { Dequeue: { Queue: 'q', LockWait: 30 } };
  const gone = new AbortController();
  const first = server.call('POST', '/db/wait', wait, { signal: gone.signal }).catch(() => undefined);
  await server.waiters(1);
  const second = server.batch(wait, 'wait');
  await server.waiters(2);
  gone.abort();
  await first;
  await server.waiters(1);
  const sent = await server.batch({ Enqueue: { Queue: 'q', Data: 'a' } }, 'wait');
  const got = await second;
  assert.deepEqual([messagesOf(got)[0]!.Data, got.Rev], ['a', sent.Rev + 1]);
  const none = await server.batch({ Dequeue: { Queue: 'q', LockWait: 0.05 } }, 'wait');
  assert.deepEqual(messagesOf(none), []);
});

test('queues: with several shards, and over a kill, all of a batch is there or nothing', async (t) => {
  const many = await ServerUnderTest.forTest(t, { config: 'shards: 3\n' });
  const queues = Array.from({ length: 8 }, (_, i) => `q${i}`);
  await many.batch({ Enqueue: queues.flatMap((Queue) => [1, 2].map((Data) => ({ Queue, Data, Group: 'g' }))) });
  const taken: Message[] = [];
  for (const Queue of queues) taken.push(...messagesOf(await many.batch({ Dequeue: { Queue } })));
  const Ack = taken.map(({ ID, Lock }, i) => ({ Queue: queues[i]!, ID, Lock }));
  await many.restart('kill');
  const moved = await many.batch({ Ack, Dequeue: { Queue: 'q3' }, Enqueue: { Queue: 'q0', Data: 3, Group: 'g' } });
  assert.deepEqual(
    messagesOf(moved).map(({ Data }) => Data),
    [2],
  );
  await many.batchFails('receipt_expired', { Ack: [Ack[1]], KVSet: { Key: 'k', Value: 1 } });
  const { Queues } = (await many.ok('GET', '/db/acc/queue')) as unknown as {
    Queues: { Queue: string; Ready: number }[];
  };
  assert.deepEqual(
    Queues.map(({ Queue, Ready }) => [Queue, Ready]),
    queues.map((Queue) => [Queue, Queue === 'q0' ? 2 : Queue === 'q3' ? 0 : 1]),
  );
});
