/** Measures anonymous memory, which only the server itself can free, with many small keys in it. */
import { valueOf } from '../load/workloads.ts';
import { openRedis } from '../load/line-connection.ts';
import { memoryOf, type Memory } from '../process-stats.ts';
import type { Sample } from '../results.ts';
import { DragonLock } from '../servers/dragon-lock.ts';
import { sleep, type LoadedServer } from '../servers/loaded-server.ts';
import { call } from '../servers/requests.ts';
import { thousands } from '../statistics.ts';
import { oursTitle } from './contestants.ts';
import type { Row, Run, ServerSpec } from './row.ts';
import type { Target } from '../load/types.ts';

const keys = 10_000_000;
const keysQuick = 100_000;
const accounts = 1000;
export const perBatch = 1000;
const batchesAtOnce = 4;
const bytes = 64;
/** Time after the last write in which the server may finish its work; after it the server is at rest. */
const restMs = 5000;
const readEveryMs = 100;

const ourSpec: ServerSpec = { kind: 'dragonlock', settings: {} };
const redisSpec: ServerSpec = { kind: 'redis' };

type Fill = (run: Run, target: Target) => Promise<number>;

/** A row that compares how much memory what two fillings leave takes. */
export function memoryOfFilled(head: Pick<Row, 'name' | 'title' | 'goals'>, ours: Fill, redis: Fill): Row {
  return {
    ...head,
    group: 'goals',
    unit: 'MB',
    better: 'less',
    note:
      'RssAnon, the highest reading from before the first write until 5 s after the last; without pages of mapped ' +
      'files, which the kernel drops when it needs memory',
    repeats: 1,
    local: true,
    contestants: [
      {
        title: oursTitle,
        starts: ourSpec,
        async measure(run: Run) {
          const directory = run.newDirectory();
          const server = await run.start(ourSpec, directory);
          const sample = await readings(server, () => ours(run, server.target));
          await server.stop();
          const again = await run.start(ourSpec, directory);
          const { pid } = again;
          const restartMs = again instanceof DragonLock ? again.startMs : Number.NaN;
          const restarted = pid === undefined ? Number.NaN : memoryOf(pid).anonymousBytes / 1e6;
          await again.stop();
          const extra = { 'ms to start again with all of them': restartMs, 'MB anonymous after that': restarted };
          return { ...sample, extra: { ...sample.extra, ...extra } };
        },
      },
      {
        title: 'Redis',
        starts: redisSpec,
        async measure(run: Run) {
          const server = await run.start(redisSpec);
          const sample = await readings(server, () => redis(run, server.target));
          await server.stop();
          return sample;
        },
      },
    ],
  };
}

export const memoryRow = memoryOfFilled(
  {
    name: 'memory-10M',
    title: 'anonymous memory with 10 million keys of 64-byte values',
    goals: [{ bound: 'at most', value: 0.3, against: 'Redis' }],
  },
  fillOurs,
  populate,
);

async function fillOurs(run: Run, target: Target): Promise<number> {
  const count = run.quick ? keysQuick : keys;
  const value = valueOf(bytes);
  await inBatches(run, count, async (batch) => {
    const first = Math.floor(batch / accounts) * perBatch;
    const sets = Array.from({ length: perBatch }, (_, index) => `{"Key":"key:${first + index}","Value":"${value}"}`);
    await call(target, `/db/loadtest-${batch % accounts}`, `{"KVSet":[${sets.join(',')}]}`);
  });
  return count;
}

/** Calls `fill` for each batch of `perBatch`, a few at once. */
export async function inBatches(run: Run, count: number, fill: (batch: number) => Promise<void>): Promise<void> {
  const batches = count / perBatch;
  let next = 0;
  const go = async (): Promise<void> => {
    for (;;) {
      const batch = next++;
      if (batch >= batches) return;
      if (batch > 0 && batch % (batches / 10) === 0) run.progress(thousands(batch * perBatch));
      await fill(batch);
    }
  };
  await Promise.all(Array.from({ length: batchesAtOnce }, go));
}

/** Fills Redis with DEBUG POPULATE: keys and values of the same sizes as SET would store. */
async function populate(run: Run, target: Target): Promise<number> {
  const count = run.quick ? keysQuick : keys;
  await tellRedis(target, [['DEBUG', 'POPULATE', String(count), 'key', String(bytes)]]);
  return count;
}

/** Sends commands to Redis one after the other. */
export async function tellRedis(target: Target, commands: Iterable<readonly string[]>): Promise<void> {
  const failed = Promise.withResolvers<never>();
  const connection = await openRedis(target, failed.reject);
  for (const command of commands) {
    const done = new Promise<void>((resolve, reject) => {
      connection.send({ command }, ({ status, body }) => {
        if (status === 200) resolve();
        else reject(new Error(`Redis refused ${command[0]}: ${body}`));
      });
    });
    await Promise.race([done, failed.promise]);
  }
  connection.close();
}

/**
 * The value is the highest reading, also while the server is being filled: a machine must have that much. The readings
 * of the empty server and of the server at rest stand beside it.
 */
async function readings({ pid }: LoadedServer, fill: () => Promise<number>): Promise<Sample> {
  if (pid === undefined) throw new Error('the memory of a server on another machine cannot be read');
  const empty = memoryOf(pid);
  let most = empty;
  const read = (): Memory => {
    const now = memoryOf(pid);
    if (now.anonymousBytes > most.anonymousBytes) most = now;
    return now;
  };
  const reading = setInterval(read, readEveryMs);
  const startedAt = performance.now();
  try {
    const filled = await fill();
    const filledAt = performance.now();
    await sleep(restMs);
    const { anonymousBytes, residentBytes } = read();
    return {
      value: most.anonymousBytes / 1e6,
      seconds: (performance.now() - startedAt) / 1000,
      requests: 0,
      units: filled,
      extra: {
        keys: filled,
        's to fill': (filledAt - startedAt) / 1000,
        'MB anonymous when empty': empty.anonymousBytes / 1e6,
        'MB anonymous at rest': anonymousBytes / 1e6,
        'MB resident at rest, mapped files included': residentBytes / 1e6,
        'bytes anonymous each at the highest reading': (most.anonymousBytes - empty.anonymousBytes) / filled,
      },
    };
  } finally {
    clearInterval(reading);
  }
}
