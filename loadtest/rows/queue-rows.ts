/**
 * A queue's life, beside those of other queues through their own clients: enqueued, delivered, settled, each of them
 * durable. Ours sends an Enqueue, then an Ack with the next Dequeue.
 */
import path from 'node:path';
import { combineResults, runProcesses } from '../load/generator.ts';
import type { QueueSpec } from '../load/queue-process.ts';
import type { QueueSystem } from '../load/queue-peers.ts';
import type { Workload } from '../load/types.ts';
import type { QueuePackage } from '../servers/queue-packages.ts';
import { ours, redisDialogue } from './contestants.ts';
import type { Goal, Row, Run, ServerContestant, ServerSpec } from './row.ts';

const connections = 64;
const bytes = 64;
const processFile = path.resolve(import.meta.dirname, '../load/queue-process.ts');
const defaults: ServerSpec = { kind: 'dragonlock', settings: {} };
const redis: ServerSpec = { kind: 'redis' };
const postgres: ServerSpec = { kind: 'postgres' };
const kvTitle = 'a KV write of a new key';
const counterTitle = 'the counter row';

function lives(messages: number): (run: Run) => Workload {
  return ({ id }) => ({ kind: 'queue.life', accounts: 1, keys: 1, bytes, messages, run: id });
}

interface Peer {
  readonly title: string;
  readonly system: QueueSystem;
  readonly server: ServerSpec;
  readonly needs?: QueuePackage;
}

const redisStreams: Peer = { title: 'Redis streams', system: 'redis-streams', server: redis };
const bullmq: Peer = { title: 'BullMQ', system: 'bullmq', server: redis, needs: 'bullmq' };
const graphile: Peer = {
  title: 'graphile-worker',
  system: 'graphile-worker',
  server: postgres,
  needs: 'graphile-worker',
};
const boss: Peer = { title: 'pg-boss', system: 'pg-boss', server: postgres, needs: 'pg-boss' };

/** Redis' clients do both, as ours do; the others have one process that enqueues and one that works. */
function peer({ title, system, server, needs }: Peer, messages: number): ServerContestant {
  return {
    title,
    server,
    ...(needs !== undefined && { needs }),
    measure: (run, running) => {
      const roles = system === 'redis-streams' ? (['both'] as const) : (['produce', 'consume'] as const);
      const spec = { system, target: running.target, bytes, messages, seconds: run.seconds };
      const specs = roles.map((role): QueueSpec => {
        return { ...spec, role, queue: `jobs-${run.id}`, concurrency: connections, directory: run.queuePeers };
      });
      return run.observe(running, async (clock) => {
        const results = await runProcesses(processFile, specs, clock, run.onSpawn);
        return combineResults(title, results);
      });
    },
  };
}

function atLeast(value: number, against: string, stretch?: number): Goal {
  return { bound: 'at least', value, against, ...(stretch !== undefined && { stretch }) };
}

export const queueRows: readonly Row[] = [
  {
    name: 'queue-life',
    title: `a message's life of ${bytes}B, one a request, ${connections} connections`,
    group: 'goals',
    unit: 'lives/s',
    better: 'more',
    note:
      'enqueue; ack and dequeue. Redis streams: XADD; XREADGROUP; XACK and XDEL. BullMQ, graphile-worker and pg-boss: one ' +
      'process that enqueues and one that works, 64 at a time each',
    goals: [
      { bound: 'at least', value: 10_000, stretch: 15_000 },
      atLeast(0.4, redisStreams.title, 0.6),
      atLeast(2, bullmq.title, 3),
      atLeast(5, graphile.title),
      atLeast(5, boss.title),
    ],
    contestants: [
      ours((run) => ({ connections, workload: lives(1)(run) })),
      ...[redisStreams, bullmq, graphile, boss].map((each) => peer(each, 1)),
    ],
  },
  {
    name: 'queue-life-100',
    title: `messages' lives of ${bytes}B by 100, ${connections} connections`,
    group: 'goals',
    unit: 'lives/s',
    better: 'more',
    note: 'an array of 100 enqueues; a dequeue of 100; an array of 100 acks',
    goals: [{ bound: 'at least', value: 40_000 }, atLeast(0.35, redisStreams.title, 0.6), atLeast(1, boss.title)],
    contestants: [
      ours((run) => ({ connections, workload: lives(100)(run) })),
      ...[redisStreams, boss].map((each) => peer(each, 100)),
    ],
  },
  {
    name: 'queue-enqueue',
    title: `enqueue of ${bytes}B, one a request, ${connections} connections`,
    group: 'goals',
    unit: 'messages/s',
    better: 'more',
    note: 'Redis: XADD',
    goals: [atLeast(0.9, kvTitle), atLeast(0.4, 'Redis', 0.6)],
    contestants: [
      ours(
        { connections, workload: { kind: 'queue.enqueue', accounts: 1000, keys: 100, bytes } },
        { server: defaults, generator: 'built-in' },
      ),
      ours(
        { connections, workload: { kind: 'kv.write', accounts: 1000, keys: 1e12, bytes } },
        { server: defaults, generator: 'built-in', title: kvTitle },
      ),
      redisDialogue({ connections, workload: { kind: 'queue.enqueue', accounts: 1000, keys: 100, bytes } }),
    ],
  },
  {
    name: 'limit',
    title: `a take from one rate limit, ${connections} connections`,
    group: 'goals',
    unit: 'takes/s',
    better: 'more',
    goals: [atLeast(0.9, counterTitle)],
    contestants: [
      ours(
        { connections, workload: { kind: 'limit', accounts: 1, keys: 1 } },
        { server: defaults, generator: 'built-in' },
      ),
      ours(
        { connections, workload: { kind: 'counter', accounts: 1, keys: 1 } },
        { server: defaults, generator: 'built-in', title: counterTitle },
      ),
    ],
  },
];
