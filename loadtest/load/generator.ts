/**
 * The built-in generator: for dialogues, for protocols without an official generator, and where wrk is not installed.
 * It divides the connections among processes of its own. The processes of `client.ts` run in the same way.
 */
import { fork, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import { LatencyHistogram } from './histogram.ts';
import { LoadFailed, shownShares, type Latency, type LoadClock, type LoadSpec, type LoadResult } from './load-spec.ts';
import type { GeneratorMessage, GeneratorResult } from './generator-process.ts';

const processFile = path.resolve(import.meta.dirname, 'generator-process.ts');
/** Time that a process may take beyond its load's own seconds. */
const slackMs = 30_000;

type OnSpawn = (process: ChildProcess) => void;

export async function runGenerator(
  spec: LoadSpec,
  processesMax: number,
  clock: LoadClock,
  onSpawn: OnSpawn,
): Promise<LoadResult> {
  const processes = Math.min(processesMax, spec.connections);
  const specs = Array.from({ length: processes }, (_, index) => {
    const connections = shareOf(spec.connections, processes, index);
    const rate = spec.arrivalsPerSecond;
    return { ...spec, connections, ...(rate !== undefined && { arrivalsPerSecond: rate / processes }) };
  });
  return combineResults('built-in', await runProcesses(processFile, specs, clock, onSpawn));
}

/** Starts a process for each spec. @param file its program, which speaks the protocol of `generator-process.ts` */
export async function runProcesses(
  file: string,
  specs: readonly { readonly seconds: number }[],
  clock: LoadClock,
  onSpawn: OnSpawn,
): Promise<GeneratorResult[]> {
  const workers = specs.map((spec) => startProcess(file, spec, onSpawn));
  await Promise.all(workers.map(({ ready }) => ready));
  await clock.started();
  for (const worker of workers) worker.go();
  const results = await Promise.all(workers.map(({ done }) => done));
  await clock.ended();
  await Promise.all(workers.map(({ ended }) => ended));
  return results;
}

/** Combines the results of all processes. @param name the generator's name in the report */
export function combineResults(name: string, results: readonly GeneratorResult[]): LoadResult {
  const latency = new LatencyHistogram();
  const late = new LatencyHistogram();
  for (const result of results) {
    latency.add(result.buckets);
    late.add(result.late);
  }
  const sum = (of: (result: GeneratorResult) => number): number =>
    results.reduce((total, result) => total + of(result), 0);
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

/** One of `among` shares of `total`; shares differ by one at most. */
function shareOf(total: number, among: number, index: number): number {
  return Math.floor(total / among) + (index < total % among ? 1 : 0);
}

interface GeneratorProcess {
  readonly ready: Promise<void>;
  readonly done: Promise<GeneratorResult>;
  readonly ended: Promise<void>;
  go(): void;
}

function startProcess(file: string, spec: { readonly seconds: number }, onSpawn: OnSpawn): GeneratorProcess {
  const child = fork(file, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  onSpawn(child);
  const ready = Promise.withResolvers<void>();
  const done = Promise.withResolvers<GeneratorResult>();
  const ended = Promise.withResolvers<void>();
  const timer = setTimeout(() => child.kill('SIGKILL'), spec.seconds * 1000 + slackMs);
  const fail = (message: string): void => {
    for (const { reject } of [ready, done]) reject(new LoadFailed(message));
  };
  // Callers that await see the rejection; without one it must not end the process.
  for (const { promise } of [ready, done]) promise.catch(() => undefined);
  child.on('message', (message: GeneratorMessage) => {
    if (message.kind === 'ready') ready.resolve();
    else if (message.kind === 'done') done.resolve(message.result);
    else fail(message.message);
  });
  child.once('exit', (code, signal) => {
    clearTimeout(timer);
    fail(`The load generator ended with ${code ?? signal} before it sent a result`);
    ended.resolve();
  });
  child.send(spec);
  return { ready: ready.promise, done: done.promise, ended: ended.promise, go: () => void child.send('go') };
}
