/** Measures what a run cost the server: CPU by thread, group commits. */
import type { LoadClock, LoadResult } from './load/load-spec.ts';
import { cpuBetween, cpuTimes, waitedMicros, type CpuTimes } from './process-stats.ts';
import type { GroupCommit, Sample } from './results.ts';
import type { LoadedServer } from './servers/loaded-server.ts';
import { readMetrics, type Metrics } from './servers/requests.ts';

/** Time in which threads of the server could run and had no core, as a share of the time in which they ran. */
export const waitedForCores = 'waited for a core, of run time';

export async function observe(
  server: LoadedServer,
  generate: (clock: LoadClock) => Promise<LoadResult>,
): Promise<Sample> {
  const { pid, target } = server;
  const isOurs = target.dialect === 'dragonlock';
  let [before, after]: (CpuTimes | undefined)[] = [];
  let [waitedBefore, waitedAfter] = [0, 0];
  let [metricsBefore, metricsAfter]: (Metrics | undefined)[] = [];
  const result = await generate({
    async started() {
      if (isOurs) metricsBefore = await readMetrics(target);
      if (pid !== undefined) [before, waitedBefore] = [cpuTimes(pid), waitedMicros(pid)];
    },
    async ended() {
      if (pid !== undefined) [after, waitedAfter] = [cpuTimes(pid), waitedMicros(pid)];
      if (isOurs) metricsAfter = await readMetrics(target);
    },
  });
  const { seconds, requests, units, latency, generator } = result;
  const cpu = before === undefined || after === undefined ? undefined : cpuBetween(before, after);
  const groupCommit =
    metricsBefore === undefined || metricsAfter === undefined ? undefined : groupCommits(metricsBefore, metricsAfter);
  return {
    value: units / seconds,
    seconds,
    requests,
    units,
    ...(latency !== undefined && { latency }),
    generator,
    ...(cpu !== undefined && {
      server: { cpuMicros: cpu.micros, cores: cpu.micros / 1e6 / seconds, byThread: [...cpu.byThread] },
    }),
    ...(groupCommit !== undefined && { groupCommit }),
    extra: {
      ...(cpu !== undefined && { [waitedForCores]: (waitedAfter - waitedBefore) / cpu.micros }),
      ...(groupCommit !== undefined && { 'fdatasyncs a unit': groupCommit.syncs / units }),
    },
  };
}

export function groupCommits(before: Metrics, after: Metrics): GroupCommit | undefined {
  const grown = (name: string): number => (after.get(name) ?? 0) - (before.get(name) ?? 0);
  const syncs = grown('dragonlock_journal_group_records_count');
  if (!(syncs > 0)) return undefined;
  const prefix = 'dragonlock_journal_group_records_bucket ';
  // A bucket of Prometheus includes all smaller ones.
  let smaller = 0;
  const sizes = [...after.keys()]
    .filter((name) => name.startsWith(prefix))
    .map((name) => {
      const bound = name.slice(prefix.length);
      return [bound === '+Inf' ? Infinity : Number(bound), grown(name)] as const;
    })
    .toSorted(([a], [b]) => a - b)
    .map(([upTo, upToIt]) => {
      const count = upToIt - smaller;
      smaller = upToIt;
      // JSON has no infinity.
      return [Number.isFinite(upTo) ? upTo : Number.MAX_SAFE_INTEGER, count] as const;
    })
    .filter(([, count]) => count > 0);
  return {
    syncs,
    records: grown('dragonlock_journal_group_records_sum'),
    meanSyncMs: (grown('dragonlock_journal_sync_seconds_sum') / grown('dragonlock_journal_sync_seconds_count')) * 1000,
    sizes,
  };
}
