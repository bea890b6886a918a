/** Several threads run the real code on one shared buffer as fast as they can. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { RateLimiter } from '../../src/front-end/rate-limiter.ts';
import { SharedMutex } from '../../src/shared/shared-mutex.ts';
import { SharedCount, sharedCountBytes } from '../../src/shared/shared-count.ts';

const threads = 3;
/** See shared-mutex.ts. */
const contended = 2;

/** Runs the body in several threads with the same buffer. Returns the sum of their results. */
async function inThreads(memory: SharedArrayBuffer, imports: string, body: string): Promise<number> {
  const source = `
    import { parentPort, workerData as memory } from 'node:worker_threads';
    ${imports}
    parentPort.postMessage('ready');
    parentPort.once('message', () => {
      parentPort.postMessage((() => { ${body} })());
    });`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
  const workers = Array.from({ length: threads }, () => new Worker(url, { workerData: memory }));
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  const answers = workers.map((worker) => once(worker, 'message') as Promise<[number]>);
  for (const worker of workers) worker.postMessage('go');
  const results = await Promise.all(answers);
  return results.reduce((sum, [result]) => sum + result, 0);
}

function importOf(name: string, file: string): string {
  return `import { ${name} } from ${JSON.stringify(new URL(`../../src/${file}`, import.meta.url).href)};`;
}

const importCount = importOf('SharedCount', 'shared/shared-count.ts');
const importMutex = importOf('SharedMutex', 'shared/shared-mutex.ts');
const importLimiter = importOf('RateLimiter', 'front-end/rate-limiter.ts');

test('shared count: threads together take exactly the limit', async () => {
  const memory = new SharedArrayBuffer(sharedCountBytes * 2);
  const body =
    'const count = new SharedCount(memory, 1); let n = 0; for (let i = 0; i < 1e5; i++) n += count.take(150001); return n;';
  assert.equal(await inThreads(memory, importCount, body), 150_001);
  const count = new SharedCount(memory, 1);
  assert.equal(count.value, 150_001);
  count.give();
  assert.deepEqual([count.take(150_001), count.take(150_001)], [true, false]);
  assert.equal(new SharedCount(memory, 0).value, 0, 'its neighbour is another count');
});

test('shared mutex: no update that threads make under it is lost', async () => {
  const memory = new SharedArrayBuffer(16);
  const body = `
    const mutex = new SharedMutex(new Int32Array(memory, 0, 1));
    const sum = new Float64Array(memory, 8, 1);
    for (let i = 0; i < 2e5; i++) mutex.run(() => { sum[0] = sum[0] + 1; });
    return 0;`;
  await inThreads(memory, importMutex, body);
  assert.equal(new Float64Array(memory, 8, 1)[0], threads * 2e5);
  assert.equal(new Int32Array(memory, 0, 1)[0], 0, 'and it is free in the end');
});

test('shared mutex: a thread that sleeps before it is woken by the one that leaves', { timeout: 20_000 }, async (t) => {
  const memory = new SharedArrayBuffer(8);
  const [cell, pause] = [new Int32Array(memory, 0, 1), new Int32Array(memory, 4, 1)];
  const mutex = new SharedMutex(cell);
  const source = `
    import { parentPort, workerData as memory } from 'node:worker_threads';
    ${importMutex}
    const mutex = new SharedMutex(new Int32Array(memory, 0, 1));
    parentPort.on('message', () => mutex.run(() => parentPort.postMessage('was in')));
    parentPort.postMessage('ready');`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), { workerData: memory });
  t.after(() => worker.terminate());
  await once(worker, 'message');
  for (let round = 0; round < 10; round += 1) {
    const wasIn = once(worker, 'message');
    mutex.run(() => {
      worker.postMessage('go');
      while (Atomics.load(cell, 0) !== contended) Atomics.wait(pause, 0, 0, 1);
      // It says so before it sleeps. If it has not slept yet, this round shows nothing.
      Atomics.wait(pause, 0, 0, 5);
    });
    await wasIn;
  }
});

test('rates: an account has its share once over all threads, to the request', async () => {
  const memory = RateLimiter.allocate();
  const body = `
    const limiter = new RateLimiter(memory, 5000, () => 1000);
    let n = 0;
    for (let i = 0; i < 5000; i++) n += limiter.admit('one') + limiter.admit('two');
    return n;`;
  assert.equal(await inThreads(memory, importLimiter, body), 10_000, '5000 of each account');
  let now = 1000;
  const later = new RateLimiter(memory, 5000, () => now);
  const one = 'one' as Parameters<typeof later.admit>[0];
  assert.equal(later.admit(one), false);
  now += 1;
  const admitted = Array.from({ length: 10 }, () => later.admit(one)).filter((ok) => ok);
  assert.equal(admitted.length, 5, 'a millisecond brings five');
});
