/** Other queues through their own clients: how each enqueues, and how it takes, works and settles. */
import { Redis } from 'ioredis';
import { unreachable } from '../../src/shared/assert.ts';
import { loadQueuePackage } from '../servers/queue-packages.ts';
import type { Target } from './types.ts';

export type QueueSystem = 'redis-streams' | 'bullmq' | 'graphile-worker' | 'pg-boss';

export interface QueuePeerSpec {
  readonly system: QueueSystem;
  readonly target: Target;
  readonly queue: string;
  readonly bytes: number;
  /** Messages of one call, where the client has such calls. */
  readonly messages: number;
  readonly concurrency: number;
  readonly directory: string;
}

/** One loop of a producer or consumer. */
export interface QueueLoop {
  /** Does one call, or as many as belong together. @returns the lives that it completed */
  turn(): Promise<number>;
}

export interface QueueSide {
  /** Opens one of `concurrency` loops; undefined: the client loops by itself, and tells `done`. */
  readonly open?: () => Promise<QueueLoop>;
  /** Lives that have been completed, where the client loops by itself. */
  readonly done?: () => number;
  readonly close: () => Promise<unknown>;
}

/** Redis does both in one connection; the others have processes of their own for each. */
export function openSide(spec: QueuePeerSpec, role: 'produce' | 'consume' | 'both'): Promise<QueueSide> {
  switch (spec.system) {
    case 'redis-streams':
      return redisStreams(spec);
    case 'bullmq':
      return bullmq(spec, role);
    case 'graphile-worker':
      return graphileWorker(spec, role);
    case 'pg-boss':
      return pgBoss(spec, role);
    default:
      return unreachable(spec.system);
  }
}

/** XADD; XREADGROUP; XACK and XDEL. */
async function redisStreams({ target: { host, port }, queue, bytes, messages }: QueuePeerSpec): Promise<QueueSide> {
  const value = 'v'.repeat(bytes);
  const setUp = new Redis({ host, port });
  await setUp.xgroup('CREATE', queue, 'g', '$', 'MKSTREAM').catch(() => undefined);
  const open: Redis[] = [setUp];
  return {
    open: async () => {
      const redis = new Redis({ host, port });
      open.push(redis);
      const consumer = `c${open.length}`;
      return {
        async turn() {
          const adds = redis.pipeline();
          for (let i = 0; i < messages; i += 1) adds.xadd(queue, '*', 'd', value);
          await adds.exec();
          const read = await redis.xreadgroup('GROUP', 'g', consumer, 'COUNT', messages, 'STREAMS', queue, '>');
          const [stream] = (read ?? []) as [string, [string, string[]][]][];
          const entries = stream?.[1] ?? [];
          if (entries.length === 0) return 0;
          const ids = entries.map(([id]) => id);
          await redis
            .pipeline()
            .xack(queue, 'g', ...ids)
            .xdel(queue, ...ids)
            .exec();
          return ids.length;
        },
      };
    },
    close: async () => {
      for (const redis of open) redis.disconnect();
    },
  };
}

interface BullModule {
  readonly Queue: new (
    name: string,
    options: object,
  ) => {
    add(name: string, data: object, options: object): Promise<unknown>;
    addBulk(jobs: readonly object[]): Promise<unknown>;
    close(): Promise<void>;
  };
  readonly Worker: new (
    name: string,
    work: () => Promise<void>,
    options: object,
  ) => {
    waitUntilReady(): Promise<unknown>;
    close(force: boolean): Promise<void>;
  };
}

async function bullmq(spec: QueuePeerSpec, role: string): Promise<QueueSide> {
  const { Queue, Worker } = (await loadQueuePackage(spec.directory, 'bullmq')) as BullModule;
  const { host, port } = spec.target;
  const { queue: name, messages } = spec;
  const data = { d: 'v'.repeat(spec.bytes) };
  if (role === 'produce') {
    const queue = new Queue(name, { connection: { host, port } });
    const job = { name: 'job', data, opts: { removeOnComplete: true } };
    const turn = async (): Promise<number> => {
      if (messages === 1) await queue.add(job.name, data, job.opts);
      else await queue.addBulk(Array.from({ length: messages }, () => job));
      return 0;
    };
    return { open: async () => ({ turn }), close: () => queue.close() };
  }
  let done = 0;
  const work = async (): Promise<void> => {
    done += 1;
  };
  const worker = new Worker(name, work, {
    connection: { host, port, maxRetriesPerRequest: null },
    concurrency: spec.concurrency,
  });
  await worker.waitUntilReady();
  return { done: () => done, close: () => worker.close(true) };
}

function postgresUrl({ host, port }: Target): string {
  return `postgres://postgres@${host}:${port}/postgres`;
}

interface GraphileModule {
  readonly Logger: new (sink: () => () => void) => object;
  makeWorkerUtils(options: object): Promise<{
    migrate(): Promise<void>;
    addJob(task: string, data: object): Promise<unknown>;
    addJobs(jobs: readonly object[]): Promise<unknown>;
    release(): Promise<void>;
  }>;
  run(options: object): Promise<{ stop(): Promise<void> }>;
}

async function graphileWorker(spec: QueuePeerSpec, role: string): Promise<QueueSide> {
  const graphile = (await loadQueuePackage(spec.directory, 'graphile-worker')) as GraphileModule;
  const connectionString = postgresUrl(spec.target);
  const { messages } = spec;
  const payload = { d: 'v'.repeat(spec.bytes) };
  // It logs each job.
  const logger = new graphile.Logger(() => () => undefined);
  const utils = await graphile.makeWorkerUtils({ connectionString, maxPoolSize: spec.concurrency, logger });
  await utils.migrate();
  if (role === 'produce') {
    const turn = async (): Promise<number> => {
      if (messages === 1) await utils.addJob('job', payload);
      else await utils.addJobs(Array.from({ length: messages }, () => ({ identifier: 'job', payload })));
      return 0;
    };
    return { open: async () => ({ turn }), close: () => utils.release() };
  }
  await utils.release();
  let done = 0;
  const runner = await graphile.run({
    connectionString,
    concurrency: spec.concurrency,
    maxPoolSize: spec.concurrency + 2,
    noHandleSignals: true,
    pollInterval: 100,
    logger,
    taskList: {
      job: async () => {
        done += 1;
      },
    },
  });
  return { done: () => done, close: () => runner.stop() };
}

interface Boss {
  start(): Promise<unknown>;
  stop(options: object): Promise<void>;
  createQueue(name: string): Promise<unknown>;
  on(event: 'error', listener: () => void): void;
  send(name: string, data: object): Promise<unknown>;
  insert(name: string, jobs: readonly object[]): Promise<unknown>;
  fetch(name: string, options: object): Promise<readonly { readonly id: string }[]>;
  complete(name: string, ids: readonly string[]): Promise<unknown>;
}

interface BossModule {
  readonly PgBoss?: new (options: object) => Boss;
  readonly default?: new (options: object) => Boss;
}

async function pgBoss(spec: QueuePeerSpec, role: string): Promise<QueueSide> {
  const found = (await loadQueuePackage(spec.directory, 'pg-boss')) as BossModule;
  const PgBoss = found.PgBoss ?? found.default!;
  const { queue: name, messages } = spec;
  const boss = new PgBoss({ connectionString: postgresUrl(spec.target), max: spec.concurrency });
  boss.on('error', () => undefined);
  await boss.start();
  await boss.createQueue(name);
  const data = { d: 'v'.repeat(spec.bytes) };
  const close = (): Promise<void> => boss.stop({ graceful: false });
  if (role === 'produce') {
    const turn = async (): Promise<number> => {
      if (messages === 1) await boss.send(name, data);
      else
        await boss.insert(
          name,
          Array.from({ length: messages }, () => ({ data })),
        );
      return 0;
    };
    return { open: async () => ({ turn }), close };
  }
  const turn = async (): Promise<number> => {
    const jobs = await boss.fetch(name, { batchSize: messages });
    if (jobs.length === 0) return 0;
    await boss.complete(
      name,
      jobs.map(({ id }) => id),
    );
    return jobs.length;
  };
  return { open: async () => ({ turn }), close };
}
