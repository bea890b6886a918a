/**
 * The own generator: for dialogues, for protocols that no official one speaks, and where wrk is not installed. In
 * processes of its own, among which the connections are divided. Other generators' processes run in the same way.
 */
import { fork, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import { LatencyHistogram } from './histogram.ts';
import { LoadFailed, shownShares, type Latency, type LoadClock, type LoadOrder, type LoadResult } from './load-spec.ts';
import type { FromOwnProcess, OwnResult } from './generator-process.ts';

const processFile = path.resolve(import.meta.dirname, 'generator-process.ts');
/** On top of the order's own seconds. */
const slackMs = 30_000;

type OnSpawn = (process: ChildProcess) => void;

export async function runOwn(
  order: LoadOrder,
  processesMax: number,
  clock: LoadClock,
  onSpawn: OnSpawn,
): Promise<LoadResult> {
  const processes = Math.min(processesMax, order.connections);
  const orders = Array.from({ length: processes }, (_, index) => {
    const connections = shareOf(order.connections, processes, index);
    const rate = order.arrivalsPerSecond;
    return { ...order, connections, ...(rate !== undefined && { arrivalsPerSecond: rate / processes }) };
  });
  return addUp('own', await runProcesses(processFile, orders, clock, onSpawn));
}

/** @param file of a process that speaks as `generator-process.ts` does; one is started for each order */
export async function runProcesses(
  file: string,
  orders: readonly { readonly seconds: number }[],
  clock: LoadClock,
  onSpawn: OnSpawn,
): Promise<OwnResult[]> {
  const workers = orders.map((order) => startOne(file, order, onSpawn));
  await Promise.all(workers.map(({ ready }) => ready));
  await clock.started();
  for (const worker of workers) worker.go();
  const results = await Promise.all(workers.map(({ done }) => done));
  await clock.ended();
  await Promise.all(workers.map(({ ended }) => ended));
  return results;
}

/** @param name of the generator, as it is shown */
export function addUp(name: string, results: readonly OwnResult[]): LoadResult {
  const latency = new LatencyHistogram();
  const late = new LatencyHistogram();
  for (const result of results) {
    latency.add(result.buckets);
    late.add(result.late);
  }
  const sum = (of: (result: OwnResult) => number): number => results.reduce((total, result) => total + of(result), 0);
  const seconds = sum((result) => result.seconds) / results.length;
  return {
    seconds,
    requests: sum((result) => result.requests),
    units: sum((result) => result.units),
    latency: latencyOf(latency),
    generator: {
      name: `${name}, ${results.length} process${results.length === 1 ? '' : 'es'}`,
      cores: sum((result) => result.cpuMicros) / 1e6 / seconds,
      coresMax: results.length,
      ...(late.total > 0 && { lateP99Ms: late.quantile(0.99) / 1000 }),
    },
  };
}

export function latencyOf(histogram: LatencyHistogram): Latency {
  return {
    p50Ms: histogram.quantile(0.5) / 1000,
    p99Ms: histogram.quantile(0.99) / 1000,
    p999Ms: histogram.quantile(0.999) / 1000,
    maxMs: histogram.quantile(1) / 1000,
    points: shownShares.map((share) => [share, histogram.quantile(share) / 1000]),
  };
}

/** Of `total`, so that the shares differ by one at most. */
function shareOf(total: number, among: number, index: number): number {
  return Math.floor(total / among) + (index < total % among ? 1 : 0);
}

interface One {
  readonly ready: Promise<void>;
  readonly done: Promise<OwnResult>;
  readonly ended: Promise<void>;
  go(): void;
}

function startOne(file: string, order: { readonly seconds: number }, onSpawn: OnSpawn): One {
  const child = fork(file, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  onSpawn(child);
  const ready = Promise.withResolvers<void>();
  const done = Promise.withResolvers<OwnResult>();
  const ended = Promise.withResolvers<void>();
  const timer = setTimeout(() => child.kill('SIGKILL'), order.seconds * 1000 + slackMs);
  const fail = (message: string): void => {
    for (const { reject } of [ready, done]) reject(new LoadFailed(message));
  };
  // Whoever waits hears of it; nobody has to.
  for (const { promise } of [ready, done]) promise.catch(() => undefined);
  child.on('message', (message: FromOwnProcess) => {
    if (message.kind === 'ready') ready.resolve();
    else if (message.kind === 'done') done.resolve(message.result);
    else fail(message.message);
  });
  child.once('exit', (code, signal) => {
    clearTimeout(timer);
    fail(`The load generator ended with ${code ?? signal} and without a result`);
    ended.resolve();
  });
  child.send(order);
  return { ready: ready.promise, done: done.promise, ended: ended.promise, go: () => void child.send('go') };
}
