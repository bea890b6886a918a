/** Runs redis-benchmark, Redis' generator. It counts requests, not seconds; the caller calibrates with a short run. */
import { spawn, type ChildProcess } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { childMicros } from '../process-stats.ts';
import { LoadFailed, type LoadClock, type LoadResult } from './load-spec.ts';

export interface RedisLoad {
  readonly port: number;
  readonly test: 'set' | 'get' | 'incr';
  readonly connections: number;
  readonly keys: number;
  readonly bytes: number;
  readonly pipeline?: number;
}

/** @param requests total of the run, however long the server takes */
export async function runRedisBenchmark(
  load: RedisLoad,
  requests: number,
  clock: LoadClock,
  onSpawn: (process: ChildProcess) => void,
): Promise<LoadResult> {
  const { port, test, connections, keys, bytes, pipeline = 1 } = load;
  const words: readonly (string | number)[] = ['-p', port, '-t', test, '-c', connections, '-n', requests, '-r', keys];
  const args = [...words, '-d', bytes, '-P', pipeline, '--csv'].map(String);
  const cpuBefore = childMicros();
  await clock.started();
  const child = spawn('redis-benchmark', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  onSpawn(child);
  const exited = new Promise((resolve) => child.once('close', resolve));
  const output = await text(child.stdout);
  await clock.ended();
  await exited;
  return readRedisBenchmarkResult(output, requests, (childMicros() - cpuBefore) / 1e6);
}

export function readRedisBenchmarkResult(output: string, requests: number, cpuSeconds: number): LoadResult {
  const [head, row] = output
    .trim()
    .split('\n')
    .slice(-2)
    .map((line) => line.split(',').map((cell) => cell.replaceAll('"', '')));
  const cell = (name: string): number => Number(row?.[head?.indexOf(name) ?? -1]);
  const perSecond = cell('rps');
  if (!(perSecond > 0)) throw new LoadFailed(`redis-benchmark ended without a result:\n${output}`);
  const seconds = requests / perSecond;
  const [p50Ms, p95Ms, p99Ms] = [cell('p50_latency_ms'), cell('p95_latency_ms'), cell('p99_latency_ms')];
  const points = [
    [0.5, p50Ms],
    [0.95, p95Ms],
    [0.99, p99Ms],
  ] as const;
  return {
    seconds,
    requests,
    units: requests,
    latency: { p50Ms, p99Ms, maxMs: cell('max_latency_ms'), points },
    generator: { name: 'redis-benchmark', cores: cpuSeconds / seconds, coresMax: 1 },
  };
}
