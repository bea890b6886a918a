import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { serverForFile } from '../support/server-under-test.ts';
import { CommandUnderTest, prints, runCommand } from './command-under-test.ts';

const server = serverForFile();

test('queue: send, take, ack, nack, and what an operator does', async (t) => {
  const at = server.place();
  const id = (await prints(t, ['queue', 'send', 'mail', 'hello', '--dedup', 'd'], at)).trim();
  const twice = await runCommand(t, ['queue', 'send', 'mail', 'again', '--dedup', 'd'], at);
  assert.deepEqual([twice.code, twice.stdout.trim()], [0, id]);
  const [taken, lock, data] = (await prints(t, ['queue', 'take', 'mail'], at)).trim().split('\t');
  assert.deepEqual([taken, data], [id, '"hello"']);
  await prints(t, ['queue', 'take', 'mail'], at, 1);
  await prints(t, ['queue', 'nack', 'mail', id, lock!, '--delay', '0', '--error', 'no'], at);
  assert.match(await prints(t, ['queue', 'peek', 'mail'], at), /^\S+\t1\t"hello"\tno\n$/);
  await prints(t, ['queue', 'ack', 'mail', id, lock!], at, 1);
  const policy = await prints(t, ['queue', 'policy', 'mail', '--max-attempts', '2'], at);
  assert.equal((JSON.parse(policy) as { MaxAttempts: number }).MaxAttempts, 2);
  await prints(t, ['queue', 'pause', 'mail'], at);
  assert.match(await prints(t, ['queue', 'list'], at), /^QUEUE +READY.*\nmail +1 .* paused\n$/);
  await prints(t, ['queue', 'resume', 'mail'], at);
  const row = JSON.parse(await prints(t, ['queue', 'take', 'mail', '--json'], at)) as { ID: string; Lock: number };
  await prints(t, ['queue', 'nack', 'mail', row.ID, String(row.Lock)], at);
  assert.match(await prints(t, ['queue', 'peek', 'mail', '--state', 'dead'], at), /"hello"/);
  assert.equal(await prints(t, ['queue', 'redrive', 'mail'], at), '1\n');
  assert.equal(await prints(t, ['queue', 'purge', 'mail', '--forget'], at), '1\n');
  const { Ready } = JSON.parse(await prints(t, ['queue', 'stat', 'mail', '--json'], at)) as { Ready: number };
  assert.equal(Ready, 0);
});

test('queue work: a child for each message; exit 0 acks, all else nacks with the code; a signal ends it gracefully', async (t) => {
  const at = server.place();
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'dragonlock-work-'));
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const out = path.join(directory, 'out');
  await server.ok('PUT', `/db/${at.account}/queue/jobs`, { Backoff: { Min: 0 } });
  for (const data of ['a', 'fail', { b: 1 }]) await server.batch({ Enqueue: { Queue: 'jobs', Data: data } });
  const script = `data=$(cat); echo "$data $DRAGONLOCK_ATTEMPTS" >> ${out}; [ "$data" != fail ] || [ $DRAGONLOCK_ATTEMPTS = 2 ] || exit 3`;
  const worker = new CommandUnderTest(t, ['queue', 'work', 'jobs', '--', 'sh', '-c', script], at);
  const lines = (): string[] => (fs.existsSync(out) ? fs.readFileSync(out, 'utf8').trim().split('\n') : []);
  for (let i = 0; i < 600 && lines().length < 4; i += 1) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(lines().toSorted(), ['a 1', 'fail 1', 'fail 2', '{"b":1} 1']);
  worker.signal('SIGTERM');
  const ended = await worker.ended;
  assert.equal(ended.code, 0, ended.stderr);
  assert.match(ended.stderr, /exit code 3/);
  assert.partialDeepStrictEqual(await server.ok('GET', `/db/${at.account}/queue/jobs`), {
    Ready: 0,
    InFlight: 0,
    Delayed: 0,
  });
  await prints(t, ['queue', 'work', 'jobs'], at, 64);
});

test('queue work: the child is ended before its lease can end, when the worker is stopped and when it is killed', async (t) => {
  const at = server.place();
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'dragonlock-work-'));
  t.after(() => fs.rmSync(directory, { recursive: true }));
  for (const signal of ['SIGSTOP', 'SIGKILL'] as const) {
    const seen = path.join(directory, signal);
    await server.batch({ Enqueue: { Queue: signal, Data: signal } });
    // It ignores what could be ignored, and says that it lives.
    const script = `trap '' TERM; while :; do date +%s%N >> ${seen}; sleep 0.02; done`;
    const worker = new CommandUnderTest(t, ['queue', 'work', signal, '--ttl', '2s', '--', 'sh', '-c', script], at);
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
  const at = server.place();
  const options = ['--backoff-min', '2s', '--backoff-max', '1m', '--backoff-factor', '1.5', '--dead-retention', '3d'];
  const policy = JSON.parse(await prints(t, ['queue', 'policy', 'mail', ...options], at)) as object;
  assert.partialDeepStrictEqual(policy, { Backoff: { Min: 2, Max: 60, Factor: 1.5 }, DeadRetention: 259_200 });
  await prints(t, ['queue', 'policy', 'mail', '--backoff-factor', 'much'], at, 64);
});

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 600 && !holds(); i += 1) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(holds());
}
