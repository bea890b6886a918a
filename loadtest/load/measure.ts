/** Load on a server, several times over, and what it cost the server. */
import { cpuBetween, cpuTimes, type CpuTimes } from '../process-stats.ts';
import type { Bench } from '../scenario.ts';
import type { ServerUnderLoad } from '../server-under-load.ts';
import { medianBy, quantile, short, thousands } from '../statistics.ts';
import type { LoadClock, LoadOrder, LoadResult } from './load-order.ts';

export interface Generator {
  readonly name: string;
  run(order: LoadOrder, clock: LoadClock): Promise<LoadResult>;
}

export interface Measured extends LoadResult {
  readonly cpu: CpuTimes;
}

const warmUpSeconds = 2;

/** One timed run. */
export async function measureOnce(
  server: ServerUnderLoad,
  generator: Generator,
  order: Omit<LoadOrder, 'port'>,
): Promise<Measured> {
  let before = cpuTimes(server.pid);
  let after = before;
  const result = await generator.run(
    { ...order, port: server.port },
    { started: () => void (before = cpuTimes(server.pid)), ended: () => void (after = cpuTimes(server.pid)) },
  );
  return { ...result, cpu: cpuBetween(before, after) };
}

/** Warms up, then the timed runs. */
export async function measure(
  bench: Bench,
  server: ServerUnderLoad,
  generator: Generator,
  order: Omit<LoadOrder, 'port' | 'seconds'>,
): Promise<Measured[]> {
  const { seconds, repeats } = bench.options;
  await measureOnce(server, generator, { ...order, seconds: warmUpSeconds });
  const runs: Measured[] = [];
  for (let i = 0; i < repeats; i++) {
    const run = await measureOnce(server, generator, { ...order, seconds });
    bench.progress(
      `${thousands(rateOf(run))}/s, ${short(cpuPerRequest(run))} µs of CPU a request, p50 ${msOf(run.p50Micros)}, p99 ${msOf(run.p99Micros)}`,
    );
    runs.push(run);
  }
  return runs;
}

/** Units a second. */
export function rateOf({ units, seconds }: LoadResult): number {
  return units / seconds;
}

export function cpuPerRequest({ cpu, requests }: Measured): number {
  return cpu.micros / requests;
}

export function median(runs: readonly Measured[]): Measured {
  return medianBy(runs, rateOf);
}

export function medianCpu(runs: readonly Measured[]): number {
  return quantile(runs.map(cpuPerRequest), 0.5);
}

export function msOf(micros: number): string {
  return `${short(micros / 1000)} ms`;
}

/** Threads that use less than this share of the CPU are not listed. */
const shownShare = 0.005;

export function cpuNote(run: Measured): string {
  const threads = [...run.cpu.byThread]
    .filter(([, micros]) => micros > run.cpu.micros * shownShare)
    .map(([name, micros]) => `${name} ${short(micros / run.requests)}`);
  return `µs of CPU a request by thread: ${threads.join(', ')}`;
}
