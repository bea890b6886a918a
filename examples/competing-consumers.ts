/**
 * Competing consumers: workers on several machines share a list of jobs, and one worker does each job. A lock guards
 * each job, and a worker writes its result only over the pair that it read under the lock. One worker breaks down in
 * the middle of its first job. After its lease ends, another worker takes the job over.
 *
 *     node examples/competing-consumers.ts                       Dragon Lock: DRAGONLOCK_URL, _ACCOUNT, _TOKEN
 *     node examples/competing-consumers.ts --dynamodb <table>    DynamoDB: AWS_REGION and the other AWS variables
 *
 * Outside this repository, import from 'dragonlock' and 'dragonlock/store'.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { DragonLock } from '../src/client/exports.ts';
import {
  DragonLockStore,
  DynamoDbStore,
  KeyNotFound,
  LockAcquireFailed,
  type KVPair,
  type Locker,
  type Store,
} from '../src/client/store/exports.ts';

interface Job {
  readonly doneBy?: string;
}

/** Milliseconds for which a job stays locked after its worker has died. */
const ttl = 2000;
const workMs = 50;

/** Works until all jobs are done. */
async function consume(store: Store, worker: string, breaksDown = false): Promise<void> {
  const heart = new AbortController();
  for (;;) {
    const open = await openJobs(store);
    const [first] = open;
    if (first === undefined) return;
    const taken = await takeOne(store, open, heart.signal);
    if (taken === undefined) {
      // Other workers hold all open jobs. One of them may be dead, so wait for its lock.
      const lock = store.newLock(`locks/${first.key}`, { ttl });
      await lock.lock();
      await lock.unlock();
      continue;
    }
    const { lock, job, fence } = taken;
    if (breaksDown) {
      heart.abort();
      console.log(`${worker} breaks down in ${job.key}`);
      return;
    }
    await sleep(workMs);
    await store.atomicPut(job.key, { value: { doneBy: worker } satisfies Job, previous: job });
    console.log(`${worker} has done ${job.key}, with fence ${fence}`);
    await lock.unlock();
  }
}

async function openJobs(store: Store): Promise<KVPair[]> {
  const jobs = await store.list('jobs/');
  return jobs.filter(({ value }) => (value as Job).doneBy === undefined);
}

/** Locks the first free job. */
async function takeOne(
  store: Store,
  jobs: readonly KVPair[],
  renewalStop: AbortSignal,
): Promise<{ lock: Locker; job: KVPair; fence: number } | undefined> {
  for (const { key } of jobs) {
    const lock = store.newLock(`locks/${key}`, { ttl, renewalStop, noPolling: true });
    try {
      const { fence } = await lock.lock();
      // Another worker may have done it since the list was made.
      const job = await store.get(key);
      if ((job.value as Job).doneBy === undefined) return { lock, job, fence };
      await lock.unlock();
    } catch (error) {
      if (!(error instanceof LockAcquireFailed || error instanceof KeyNotFound)) throw error;
    }
  }
  return undefined;
}

const { values } = parseArgs({ options: { dynamodb: { type: 'string' } } });
const tableName = values.dynamodb;

if (tableName === undefined) {
  await using client = new DragonLock();
  await run(new DragonLockStore({ client }));
} else {
  const { DynamoDB } = await import('@aws-sdk/client-dynamodb');
  const client = new DynamoDB();
  await run(new DynamoDbStore({ client, tableName, partition: 'example', pollMs: 200 }));
  client.destroy();
}

async function run(store: Store): Promise<void> {
  for (let job = 1; job <= 8; job += 1) {
    await store.put(`jobs/${job}`, { value: {} satisfies Job, noExpiry: true });
  }
  await Promise.all([consume(store, 'worker A', true), consume(store, 'worker B'), consume(store, 'worker C')]);
  console.log(`${(await openJobs(store)).length} jobs are left`);
}
