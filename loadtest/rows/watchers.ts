/** Measures how soon a change reaches every client that watches for it. */
import { Watchers, type WatchResult } from '../load/watchers.ts';
import { valueOf } from '../load/workloads.ts';
import { memoryOf, openFilesMax } from '../process-stats.ts';
import type { Sample } from '../results.ts';
import type { LoadedServer } from '../servers/loaded-server.ts';
import { call, readMetrics } from '../servers/requests.ts';
import { median } from '../statistics.ts';
import { oursTitle } from './contestants.ts';
import type { ServerContestant } from './row.ts';

export interface WatchScenario {
  readonly keys: number;
  readonly watchersPerKey: number;
  readonly by: 'key' | 'prefix';
  readonly latencyMs: number;
}

/** Files that a process opens besides the watchers' connections. */
const filesBeside = 1000;
const settleMsMax = 60_000;
const account = 'loadtest-watch';

/** The row's value is the time from the first write to the last answer of all. */
export function watchReaction(scenario: WatchScenario): ServerContestant {
  const { keys, watchersPerKey, by, latencyMs } = scenario;
  const watchers = keys * watchersPerKey;
  return {
    title: oursTitle,
    server: { kind: 'dragonlock', settings: {} },
    async measure(run, server) {
      checkOpenFiles(watchers);
      const names = Array.from({ length: keys }, (_, index) => `watched-${run.id}-${index}`);
      const versions: number[] = [];
      for (const Key of names) {
        const { Rev } = (await call(server.target, `/db/${account}`, { KVSet: { Key, Value: 'before' } })) as {
          Rev: number;
        };
        versions.push(Rev);
      }
      const before = await watchersOf(server);
      const watched = names.map((key, index) => ({ key, version: versions[index]! }));
      const value = `"${valueOf(64)}"`;
      const spec = { target: server.target, account, keys: watched, watchersPerKey, by, latencyMs, value };
      const process = new Watchers(spec, run.onSpawn);
      await process.sent();
      await untilAllWait(server, before + watchers);
      const memory = server.pid === undefined ? undefined : memoryOf(server.pid);
      const result = await process.write();
      return sampleOf(result, watchers, memory?.residentBytes);
    },
  };
}

function sampleOf({ totalMs, reactions, cpuMicros }: WatchResult, watchers: number, residentBytes?: number): Sample {
  const lasts = reactions.map(({ lastMs }) => lastMs);
  return {
    value: totalMs,
    seconds: totalMs / 1000,
    requests: watchers + reactions.length,
    units: watchers,
    generator: { name: 'built-in, 1 process', cores: cpuMicros / 1000 / totalMs, coresMax: 1 },
    extra: {
      'ms to the last answer of a key, least': Math.min(...lasts),
      'ms to the last answer of a key, mean': lasts.reduce((sum, ms) => sum + ms, 0) / lasts.length,
      'ms to the last answer of a key, most': Math.max(...lasts),
      'ms to the first answer of a key, median': median(reactions.map(({ firstMs }) => firstMs)),
      'ms to the answer of a write, median': median(reactions.map(({ writeMs }) => writeMs)),
      ...(residentBytes !== undefined && { 'MB resident while they waited': residentBytes / 1e6 }),
    },
  };
}

function checkOpenFiles(watchers: number): void {
  const files = openFilesMax();
  if (files >= watchers + filesBeside) return;
  throw new Error(
    `open files of a process: expected a limit of at least ${watchers + filesBeside}, got ${files}. ` +
      'Raise the hard limit: "ulimit -Hn 20000" as root before the run, nofile in /etc/security/limits.conf, ' +
      'LimitNOFILE= of a service, or --ulimit nofile=20000 of a container',
  );
}

async function watchersOf(server: LoadedServer): Promise<number> {
  return (await readMetrics(server.target)).get('dragonlock_watchers') ?? 0;
}

/**
 * Waits until the server has received all watches. A write before that would answer a watch at once, without a
 * wake-up.
 */
async function untilAllWait(server: LoadedServer, expected: number): Promise<void> {
  const deadline = performance.now() + settleMsMax;
  for (;;) {
    const waiting = await watchersOf(server);
    if (waiting >= expected) return;
    if (performance.now() > deadline) throw new Error(`expected ${expected} waiting watchers, got ${waiting}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
