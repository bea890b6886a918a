/** Queues of the client against a real server: workers, leases, graceful stops, and a ledger over kills of the server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DragonLock, ReceiptExpiredError, type QueueMessage } from '../../src/client/exports.ts';
import { freePort } from '../support/free-port.ts';
import { ServerUnderTest, serverForFile } from '../support/server-under-test.ts';

const shared = serverForFile();

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 60_000; performance.now() < end; ) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${what} did not come about`);
}

test('queue: send, take, ack, nack and batch with the ack inside', async () => {
  await using client = new DragonLock({ url: shared.url, account: 'acc1' });
  const mail = client.queue<{ to: string }>('mail');
  const first = await mail.send({ to: 'a' }, { dedup: 'd' });
  assert.deepEqual(await mail.send({ to: 'b' }, { dedup: 'd' }), { id: first.id, duplicate: true });
  const [message] = await mail.take();
  assert.deepEqual([message!.data, message!.attempts, message!.id], [{ to: 'a' }, 1, first.id]);
  await message!.nack({ delay: 0, error: 'busy' });
  const [again] = await mail.take();
  assert.deepEqual([again!.attempts, again!.lastError], [2, 'busy']);
  await again!.batch({ set: [{ key: `sent/${again!.id}`, value: true }] }, { ack: true });
  assert.equal((await client.kv.get(`sent/${first.id}`))?.value, true);
  const stats = await mail.stats();
  assert.deepEqual([stats.ready, stats.inFlight, stats.dead], [0, 0, 0]);
  await assert.rejects(client.batch({ ack: [{ queue: 'mail', id: message!.id, lock: message!.lock }] }), (error) => {
    return error instanceof ReceiptExpiredError && error.why === 'gone';
  });
  await mail.setPolicy({ maxAttempts: 1, dedupWindow: 'pending' });
  await mail.send({ to: 'c' });
  await (await mail.take())[0]!.nack();
  assert.equal((await mail.peek({ state: 'dead' })).messages.length, 1);
  assert.equal(await mail.redrive('skip'), 1);
  assert.deepEqual(await Array.fromAsync(client.queues.list('m'), ({ queue }) => queue), ['mail']);
  await mail.delete();
});

test('queue: a worker renews what it works on, and tells nobody but onError of a failure', async () => {
  await using client = new DragonLock({ url: shared.url, account: 'acc2' });
  const jobs = client.queue<number>('jobs');
  await jobs.setPolicy({ backoff: { min: 0 } });
  const slow = Promise.withResolvers<void>();
  const done: [number, number][] = [];
  const errors: unknown[] = [];
  const worker = jobs.consume(
    async (message) => {
      if (message.data === 1 && message.attempts === 1) throw new Error('once');
      if (message.data === 2) await slow.promise;
      done.push([message.data, message.attempts]);
    },
    { concurrency: 2, ttl: 1000, onError: (error) => errors.push(error) },
  );
  for (const n of [1, 2, 3]) await jobs.send(n);
  await until('the others are done', () => done.length === 2);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  slow.resolve();
  await until('all are done', () => done.length === 3);
  await worker.stop();
  assert.deepEqual(
    done.toSorted(([a], [b]) => a - b),
    [
      [1, 2],
      [2, 1],
      [3, 1],
    ],
  );
  assert.deepEqual(errors.map(String), ['Error: once']);
  assert.deepEqual([(await jobs.stats()).ready, (await jobs.stats()).inFlight], [0, 0]);
});

test('queue: a stop waits for what runs; what does not end is given back at once, and what has not begun keeps its attempts', async () => {
  await using client = new DragonLock({ url: shared.url, account: 'acc3' });
  const jobs = client.queue<string>('jobs');
  for (const name of ['quick', 'stuck']) await jobs.send(name);
  const begun: QueueMessage<string>[] = [];
  const worker = jobs.consume(
    async (message, { signal }) => {
      begun.push(message);
      if (message.data === 'stuck')
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    },
    { concurrency: 2 },
  );
  await until('both have begun', () => begun.length === 2);
  await worker.stop({ drain: 100 });
  await until('nothing is out', async () => (await jobs.stats()).inFlight === 0);
  const [again] = await jobs.take();
  assert.deepEqual([again!.data, again!.attempts], ['stuck', 2]);
  await again!.ack();
});

test('queue: messages in a loop, one at a time; what is not acked is given back', async () => {
  await using client = new DragonLock({ url: shared.url, account: 'acc4' });
  const queue = client.queue<number>('q');
  for (const n of [1, 2, 3]) await queue.send(n, { group: 'g' });
  const seen: number[] = [];
  for await (const message of queue.messages()) {
    seen.push(message.data);
    if (message.data === 3) break;
    await message.ack();
  }
  assert.deepEqual(seen, [1, 2, 3]);
  await until('it was given back', async () => (await queue.stats()).ready === 1);
  assert.deepEqual((await queue.take())[0]!.attempts, 1);
});

test('queue: over kills of the server nothing is lost, each effect happens once, and groups keep their order', async (t) => {
  const listen = `127.0.0.1:${await freePort()}`;
  const server = await ServerUnderTest.forTest(t, { listen });
  await using client = new DragonLock({ url: server.url, account: 'acc', timeout: 60_000 });
  const rounds = Number(process.env['DRAGONLOCK_QUEUE_ROUNDS'] ?? 3);
  const groups = ['a', 'b', 'c'];
  const queue = client.queue<{ group: string; n: number }>('ledger');
  let sent = 0;
  const orders = new Map(groups.map((group) => [group, 0]));
  const problems: string[] = [];
  const errors: unknown[] = [];
  const worker = queue.consume(
    async (message) => {
      const { group, n } = message.data;
      const before = orders.get(group)!;
      // The next one, or one that is tried again: the reply to its ack may still be under way.
      if (n > before + 1) problems.push(`${group}: ${n} after ${before}`);
      orders.set(group, Math.max(before, n));
      await message.batch({ atomic: [{ key: `done/${group}`, add: 1 }] }, { ack: true });
    },
    { concurrency: 4, ttl: 2000, groupMax: 2, onError: (error) => errors.push(error) },
  );
  for (let round = 0; round < rounds; round += 1) {
    const sends = Array.from({ length: 30 }, (_, i) => {
      const group = groups[i % 3]!;
      const n = round * 10 + Math.floor(i / 3) + 1;
      sent += 1;
      return { group, n };
    });
    const sending = (async () => {
      for (const data of sends) await queue.send(data, { group: data.group });
    })();
    await until('some are done', async () => [...orders.values()].some((n) => n > round * 10));
    await server.restart('kill');
    await sending;
  }
  await until('all are done', async () => {
    const { ready, inFlight, delayed } = await queue.stats();
    return ready + inFlight + delayed === 0;
  });
  await worker.stop();
  const counts = await Promise.all(groups.map((group) => client.counter.get(`done/${group}`)));
  assert.deepEqual([counts.reduce((sum, n) => sum + n, 0), problems], [sent, []]);
  const { ready, inFlight, delayed, dead } = await queue.stats();
  assert.deepEqual([ready, inFlight, delayed, dead], [0, 0, 0, 0], `errors: ${errors.map(String).join('; ')}`);
});
