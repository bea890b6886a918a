/** How soon everyone who waits for a change has it. */
import { Watchers, type WatchResult } from '../load/watchers.ts';
import { valueOf } from '../load/workloads.ts';
import { memoryOf, openFilesMax } from '../process-stats.ts';
import type { Sample } from '../results.ts';
import type { LoadedServer } from '../servers/loaded-server.ts';
import { call, readMetrics } from '../servers/requests.ts';
import { median } from '../statistics.ts';
import { oursTitle } from './contestants.ts';
import type { OnServer } from './row.ts';

export interface Watching {
  readonly keys: number;
  readonly watchersPerKey: number;
  readonly by: 'key' | 'prefix';
  readonly latencyMs: number;
}

/** Beside the watchers' connections. */
const filesBeside = 1000;
const settleMsMax = 60_000;
const account = 'loadtest-watch';

/** The value is the time from the first write to the last answer of all. */
export function watchReaction(watching: Watching): OnServer {
  const { keys, watchersPerKey, by, latencyMs } = watching;
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
      const order = { target: server.target, account, keys: watched, watchersPerKey, by, latencyMs, value };
      const process = new Watchers(order, run.onSpawn);
      await process.sent();
      await allAreWaiting(server, before + watchers);
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
    generator: { name: 'own, 1 process', cores: cpuMicros / 1000 / totalMs, coresMax: 1 },
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
    `a process may open only ${files} files here; wanted at least ${watchers + filesBeside}. Raise the hard limit: ` +
      '"ulimit -Hn 20000" as root before the run, nofile in /etc/security/limits.conf, LimitNOFILE= of a service, ' +
      'or --ulimit nofile=20000 of a container',
  );
}

async function watchersOf(server: LoadedServer): Promise<number> {
  return (await readMetrics(server.target)).get('dragonlock_watchers') ?? 0;
}

/** Sent is not taken up: a write that comes in between would be answered by a look at the key, and not by a wake-up. */
async function allAreWaiting(server: LoadedServer, wanted: number): Promise<void> {
  const deadline = performance.now() + settleMsMax;
  for (;;) {
    const waiting = await watchersOf(server);
    if (waiting >= wanted) return;
    if (performance.now() > deadline) throw new Error(`only ${waiting} of ${wanted} watchers are waiting`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
