import type { ChildProcess } from 'node:child_process';
import { Watchers } from '../load/watchers.ts';
import { value64 } from '../load/workloads.ts';
import { openFilesMax, residentBytes } from '../process-stats.ts';
import type { Scenario } from '../scenario.ts';
import type { ServerUnderLoad } from '../server-under-load.ts';
import { medianBy, thousands } from '../statistics.ts';

const count = 10_000;
/** Beside the watchers' connections. */
const filesBeside = 500;
const goalMs = 500;
const goalBytes = 600e6;
const settleMsMax = 60_000;

/** Everyone waits for the same key: one change, ten thousand answers. */
export function watchers(onSpawn: (process: ChildProcess) => void): Scenario {
  return {
    name: 'watchers',
    about: `${thousands(count)} long polls on one key, one write`,
    async run(bench) {
      const files = openFilesMax();
      if (files < count + filesBeside) {
        throw new Error(
          `a process may open only ${files} files here; wanted at least ${count + filesBeside}. Raise the hard limit: ` +
            '"ulimit -Hn 20000" as root before the run, nofile in /etc/security/limits.conf, LimitNOFILE= of a service, ' +
            'or --ulimit nofile=20000 of a container',
        );
      }
      const runs: WatchRun[] = [];
      for (let i = 0; i < bench.options.repeats; i++) {
        // A server of its own: ten thousand connections that have just ended leave garbage behind, which is another figure.
        const server = await bench.startServer();
        const run = await runOnce(server, onSpawn);
        await server.stop();
        bench.progress(`last answer after ${run.lastMs.toFixed(0)} ms, ${mb(run.bytes)} resident while they waited`);
        runs.push(run);
      }
      const run = medianBy(runs, ({ lastMs }) => lastMs);
      const bytes = Math.max(...runs.map((one) => one.bytes));
      return [
        {
          name: `${thousands(count)} watchers, last answer`,
          goal: `≤ ${goalMs} ms`,
          measured: `${run.lastMs.toFixed(0)} ms`,
          met: run.lastMs <= goalMs,
          notes: [
            `first answer after ${run.firstMs.toFixed(1)} ms, the write’s own after ${run.writeMs.toFixed(1)} ms; the ` +
              'watchers’ process shares the machine, and each answer was compared with the change',
          ],
          values: { lastMs: run.lastMs, firstMs: run.firstMs, writeMs: run.writeMs },
        },
        {
          name: 'resident memory while they wait',
          goal: `< ${mb(goalBytes)}`,
          measured: mb(bytes),
          met: bytes < goalBytes,
          notes: [`the largest of ${runs.length} runs; before they came: ${mb(run.bytesBefore)}`],
          values: { bytes, bytesBefore: run.bytesBefore },
        },
      ];
    },
  };
}

interface WatchRun {
  readonly writeMs: number;
  readonly firstMs: number;
  readonly lastMs: number;
  /** Resident memory of the server while all wait. */
  readonly bytes: number;
  readonly bytesBefore: number;
}

async function runOnce(server: ServerUnderLoad, onSpawn: (process: ChildProcess) => void): Promise<WatchRun> {
  const bytesBefore = residentBytes(server.pid);
  const key = 'watched';
  const first = (await server.call('/db/load', { KVSet: [{ Key: key, Value: 'before' }] })) as { Rev: number };
  const watching = new Watchers(
    { port: server.port, path: '/watch/load', writePath: '/db/load', key, version: first.Rev, watchers: count },
    onSpawn,
  );
  await watching.sent();
  await allAreWaiting(server);
  const bytes = residentBytes(server.pid);
  const { lastMs, firstMs, writeMs } = await watching.write({ value: `"${value64}"` });
  return { lastMs, firstMs, writeMs, bytes, bytesBefore };
}

async function allAreWaiting(server: ServerUnderLoad): Promise<void> {
  const deadline = performance.now() + settleMsMax;
  for (;;) {
    const waiting = await server.metric('dragonlock_watchers');
    if (waiting === count) return;
    if (performance.now() > deadline) throw new Error(`only ${waiting} of ${count} watchers are waiting`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function mb(bytes: number): string {
  return `${thousands(bytes / 1e6)} MB`;
}
