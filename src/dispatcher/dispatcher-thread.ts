/**
 * The dispatcher's thread: a router with ports of its own to every shard, as a front end has, and in the place of doors the
 * tasks that are due. Like replies to clients, what a shard tells it stays in the router's gate until it is durable.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { FileJournalSource } from '../journal/file/file-journal-source.ts';
import type { DurableMessage } from '../journal/journal-wire.ts';
import { Fences } from '../protocol/epochs.ts';
import { ReplyCredit } from '../protocol/wire/reply-credit.ts';
import { SharedRevisions } from '../protocol/wire/revisions.ts';
import { AccountCounts } from '../router/account-counts.ts';
import { RouterCounts } from '../router/router-counts.ts';
import { Router } from '../router/router.ts';
import { ThreadShardLink } from '../router/shard-link.ts';
import { PrefixWatches } from '../router/watch/prefix-watches.ts';
import { assert, unreachable } from '../shared/assert.ts';
import { systemAfter, systemClock, threadMicros, wallMs } from '../shared/clock.ts';
import { newWebhookSecret } from '../shared/new-secret.ts';
import { TargetPolicy } from '../shared/target-policy.ts';
import { realDisk } from '../shared/disk.ts';
import type { FrontEndPorts } from '../front-end/ports.ts';
import type { Config } from '../front-end/config-schema.ts';
import { ownLimitsOf, type SharedCounters } from '../front-end/shared-counters.ts';
import { SharedTaskCounts } from '../front-end/task-metrics.ts';
import { scriptExecutor } from '../front-end/script-executor.ts';
import { ScriptClient } from '../scripts/threads/script-client.ts';
import type { ScriptConnection } from '../scripts/threads/script-threads.ts';
import { dnsResolver } from './http/resolve.ts';
import { UndiciSink } from './http/undici-sink.ts';
import { TaskDispatcher } from './task-dispatcher.ts';

export interface DispatcherThreadData {
  /** Of its router, after those of the front ends. */
  readonly index: number;
  readonly ports: FrontEndPorts;
  readonly revisions: SharedArrayBuffer;
  readonly journalDirectory: string;
  readonly config: Pick<Config, 'limits' | 'accounts' | 'shards' | 'tasks' | 'scripts' | 'http'>;
  /** To the threads that run scripts; absent: they are not run. */
  readonly scripts: ScriptConnection | undefined;
  /** Identifies this start of the server. */
  readonly boot: string;
  /** Of this start: where the fences of requests begin. */
  readonly epoch: number;
  readonly counters: Pick<
    SharedCounters,
    'clock' | 'routers' | 'accounts' | 'scriptBudgets' | 'scriptCounts' | 'taskCounts'
  >;
}

export type DispatcherFromMain =
  | { readonly kind: 'ping'; readonly id: number }
  /** Run tasks from now on. */
  | { readonly kind: 'start' }
  /** What was asked for. */
  | { readonly kind: 'epoch'; readonly epoch: number }
  /** It begins nothing more, and ends once what is under way is recorded. */
  | { readonly kind: 'stop' };
export type DispatcherToMain =
  | { readonly kind: 'pong'; readonly id: number }
  | { readonly kind: 'ask-for-epoch' }
  /** The call of a script failed by a bug of the server. */
  | { readonly kind: 'bug'; readonly error: unknown };

/** How long runs may take to end when the server stops. What is not recorded then runs again after the next start. */
const stopMsMax = 10_000;

assert(parentPort !== null, 'tasks are dispatched in a worker');
const main = parentPort;
const { index, ports, config, counters, epoch, ...given } = workerData as DispatcherThreadData;
const { limits, shards, tasks } = config;
const revisions = new SharedRevisions(given.revisions);
const accounts = new AccountCounts(counters.accounts, ownLimitsOf(config.accounts));
const counts = new RouterCounts(counters.routers, shards, accounts);
const common = { ...revisions.ofRouter(index), limits, counts, defer: setImmediate, after: systemAfter };
const router = new Router({
  ...common,
  index,
  links: ports.shards.map(
    (port, shard) => new ThreadShardLink(port, new ReplyCredit(ports.credit, index * shards + shard)),
  ),
  // Nobody watches here.
  prefixWatches: new PrefixWatches({ ...common, source: new FileJournalSource(realDisk, given.journalDirectory) }),
  journalStats: () => Promise.reject(new Error('a dispatcher counts nothing')),
});
ports.journal?.on('message', ({ durable }: DurableMessage) => router.advance(durable));
const fences = new Fences(epoch);
let isAsked = false;
const sink = new UndiciSink({
  policy: new TargetPolicy(tasks.allow),
  resolve: dnsResolver(),
  after: systemAfter,
});
const scripts = scriptExecutor({
  config,
  dispatcher: router,
  index: config.http.threads,
  boot: given.boot,
  counters,
  accounts,
  scriptPool: given.scripts && new ScriptClient(given.scripts),
  log: { error: (details) => main.postMessage({ kind: 'bug', error: details } satisfies DispatcherToMain) },
});
const dispatcher = new TaskDispatcher({
  router,
  shards,
  clock: systemClock(counters.clock),
  after: systemAfter,
  meter: threadMicros,
  wall: wallMs,
  sink,
  scripts,
  counts: new SharedTaskCounts(counters.taskCounts),
  newSecret: newWebhookSecret,
  parallel: tasks.parallel,
  accountParallel: tasks.account_parallel,
  fences: {
    next() {
      if (fences.low && !isAsked) {
        isAsked = true;
        main.postMessage({ kind: 'ask-for-epoch' } satisfies DispatcherToMain);
      }
      return fences.next();
    },
  },
});

main.on('message', (message: DispatcherFromMain) => {
  switch (message.kind) {
    case 'ping':
      return main.postMessage({ kind: 'pong', id: message.id } satisfies DispatcherToMain);
    case 'start':
      return dispatcher.start();
    case 'epoch':
      isAsked = false;
      return fences.add(message.epoch);
    case 'stop':
      return void stop();
    default:
      return unreachable(message);
  }
});

async function stop(): Promise<void> {
  await dispatcher.stop(stopMsMax);
  sink.close();
  await scripts?.close();
  for (const port of ports.shards) port.close();
  ports.journal?.close();
  main.close();
}
