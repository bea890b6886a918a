import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { ServerUnderTest } from '../support/server-under-test.ts';
import { CommandUnderTest, prints, runCommand } from './command-under-test.ts';

test('queue: send, take, ack, nack, and what an operator does', async (t) => {
  const { url } = await ServerUnderTest.forTest(t);
  const id = (await prints(t, ['queue', 'send', 'mail', 'hello', '--dedup', 'd'], { url })).trim();
  const twice = await runCommand(t, ['queue', 'send', 'mail', 'again', '--dedup', 'd'], { url });
  assert.deepEqual([twice.code, twice.stdout.trim()], [0, id]);
  const [taken, lock, data] = (await prints(t, ['queue', 'take', 'mail'], { url })).trim().split('\t');
  assert.deepEqual([taken, data], [id, '"hello"']);
  await prints(t, ['queue', 'take', 'mail'], { url }, 1);
  await prints(t, ['queue', 'nack', 'mail', id, lock!, '--delay', '0', '--error', 'no'], { url });
  assert.match(await prints(t, ['queue', 'peek', 'mail'], { url }), /^\S+\t1\t"hello"\tno\n$/);
  await prints(t, ['queue', 'ack', 'mail', id, lock!], { url }, 1);
  const policy = await prints(t, ['queue', 'policy', 'mail', '--max-attempts', '2'], { url });
  assert.equal((JSON.parse(policy) as { MaxAttempts: number }).MaxAttempts, 2);
  await prints(t, ['queue', 'pause', 'mail'], { url });
  assert.match(await prints(t, ['queue', 'list'], { url }), /^QUEUE +READY.*\nmail +1 .* paused\n$/);
  await prints(t, ['queue', 'resume', 'mail'], { url });
  const row = JSON.parse(await prints(t, ['queue', 'take', 'mail', '--json'], { url })) as { ID: string; Lock: number };
  await prints(t, ['queue', 'nack', 'mail', row.ID, String(row.Lock)], { url });
  assert.match(await prints(t, ['queue', 'peek', 'mail', '--state', 'dead'], { url }), /"hello"/);
  assert.equal(await prints(t, ['queue', 'redrive', 'mail'], { url }), '1\n');
  assert.equal(await prints(t, ['queue', 'purge', 'mail', '--forget'], { url }), '1\n');
  const { Ready } = JSON.parse(await prints(t, ['queue', 'stat', 'mail', '--json'], { url })) as { Ready: number };
  assert.equal(Ready, 0);
});

test('queue work: a child for each message; exit 0 acks, all else nacks with the code; a signal ends it gracefully', async (t) => {
  const server = await ServerUnderTest.forTest(t);
  const { url } = server;
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'dragonlock-work-'));
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const out = path.join(directory, 'out');
  await server.ok('PUT', '/db/acc/queue/jobs', { Backoff: { Min: 0 } });
  for (const data of ['a', 'fail', { b: 1 }]) await server.batch({ Enqueue: { Queue: 'jobs', Data: data } });
  const script = `data=$(cat); echo "$data $DRAGONLOCK_ATTEMPTS" >> ${out}; [ "$data" != fail ] || [ $DRAGONLOCK_ATTEMPTS = 2 ] || exit 3`;
  const worker = new CommandUnderTest(t, ['queue', 'work', 'jobs', '--', 'sh', '-c', script], { url });
  const lines = (): string[] => (fs.existsSync(out) ? fs.readFileSync(out, 'utf8').trim().split('\n') : []);
  for (let i = 0; i < 600 && lines().length < 4; i += 1) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(lines().toSorted(), ['a 1', 'fail 1', 'fail 2', '{"b":1} 1']);
  worker.signal('SIGTERM');
  const ended = await worker.ended;
  assert.equal(ended.code, 0, ended.stderr);
  assert.match(ended.stderr, /exit code 3/);
  assert.partialDeepStrictEqual(await server.ok('GET', '/db/acc/queue/jobs'), { Ready: 0, InFlight: 0, Delayed: 0 });
  await prints(t, ['queue', 'work', 'jobs'], { url }, 64);
});

test('queue work: the child is ended before its lease can end, when the worker is stopped and when it is killed', async (t) => {
  const server = await ServerUnderTest.forTest(t);
  const { url } = server;
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'dragonlock-work-'));
  t.after(() => fs.rmSync(directory, { recursive: true }));
  for (const signal of ['SIGSTOP', 'SIGKILL'] as const) {
    const seen = path.join(directory, signal);
    await server.batch({ Enqueue: { Queue: signal, Data: signal } });
    // It ignores what could be ignored, and says that it lives.
    const script = `trap '' TERM; while :; do date +%s%N >> ${seen}; sleep 0.02; done`;
    const worker = new CommandUnderTest(t, ['queue', 'work', signal, '--ttl', '2s', '--', 'sh', '-c', script], { url });
    await until(() => fs.existsSync(seen));
    worker.signal(signal);
    const { Dequeue, Now } = await server.batch({ Dequeue: { Queue: signal, LockWait: 60 } });
    assert.equal(Dequeue!.Messages.length, 1);
    const lastMs = Number(fs.readFileSync(seen, 'utf8').trim().split('\n').at(-1)) / 1e6;
    assert.ok(lastMs < Now, `the child lived ${lastMs - Now} ms into the next delivery`);
    const { size } = fs.statSync(seen);
    await server.call('GET', '/readyz');
    assert.equal(fs.statSync(seen).size, size, 'it lives no more');
    worker.signal('SIGKILL');
  }
});

test('queue policy: backoff and how long the dead are kept', async (t) => {
  const { url } = await ServerUnderTest.forTest(t);
  const options = ['--backoff-min', '2s', '--backoff-max', '1m', '--backoff-factor', '1.5', '--dead-retention', '3d'];
  const policy = JSON.parse(await prints(t, ['queue', 'policy', 'mail', ...options], { url })) as object;
  assert.partialDeepStrictEqual(policy, { Backoff: { Min: 2, Max: 60, Factor: 1.5 }, DeadRetention: 259_200 });
  await prints(t, ['queue', 'policy', 'mail', '--backoff-factor', 'much'], { url }, 64);
});

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 600 && !holds(); i += 1) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(holds());
}
