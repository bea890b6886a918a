/**
 * Runs one row. Starts the servers of all contestants and warms each up. Then the contestants take turns, A B A B A B;
 * a server whose turn it is not is stopped. Ratios compare runs of the same round.
 */
import { judge } from './goals.ts';
import { waitedForCores } from './observe.ts';
import type { ContestantResult, RowResult, Sample } from './results.ts';
import type { Contestant, Row, Run, ServerSpec } from './rows/row.ts';
import type { LoadedServer } from './servers/loaded-server.ts';
import { median, pairedRatio, short, thousands } from './statistics.ts';

export interface RowContext {
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly repeats: number;
  readonly run: Omit<Run, 'seconds' | 'id'>;
}

/** One contestant, ready for its turns. */
interface Side {
  readonly contestant: Contestant;
  readonly runs: Sample[];
  /** One timed run. */
  turn(seconds: number): Promise<Sample>;
}

export async function runRow(row: Row, context: RowContext): Promise<Omit<RowResult, 'takenByOthers'>> {
  const { run, seconds, warmUpSeconds } = context;
  const servers = new Map<ServerSpec, LoadedServer>();
  const started: LoadedServer[] = [];
  const start: Run['start'] = async (spec, directory) => {
    const server = await run.start(spec, directory);
    started.push(server);
    return server;
  };
  let runs = 0;
  const runOf = (seconds: number): Run => ({ ...run, start, seconds, id: `${process.pid}-${runs++}` });

  const makeReady = async (contestant: Contestant): Promise<Side> => {
    if ('starts' in contestant) {
      return { contestant, runs: [], turn: (seconds) => contestant.measure(runOf(seconds)) };
    }
    const server = servers.get(contestant.server) ?? (await start(contestant.server));
    servers.set(contestant.server, server);
    const awake = async <Result>(act: () => Promise<Result>): Promise<Result> => {
      server.resume();
      try {
        return await act();
      } finally {
        server.pause();
      }
    };
    await awake(async () => {
      await contestant.prepare?.(runOf(warmUpSeconds), server);
      if (warmUpSeconds > 0) await contestant.measure(runOf(warmUpSeconds), server);
    });
    return { contestant, runs: [], turn: (seconds) => awake(() => contestant.measure(runOf(seconds), server)) };
  };

  try {
    const sides: Side[] = [];
    const failures: string[] = [];
    /** Reports a peer that fails and goes on without it. If ours fails, the row fails. */
    const attempt = async ({ title }: Contestant, act: () => Promise<void>): Promise<void> => {
      try {
        await act();
      } catch (error) {
        if (title === row.contestants[0]?.title) throw error;
        failures.push(`${title}: ${messageOf(error)}`);
        run.progress(`${failures.at(-1)}`);
      }
    };
    for (const contestant of row.contestants) {
      await attempt(contestant, async () => void sides.push(await makeReady(contestant)));
    }
    const repeats = row.repeats ?? context.repeats;
    for (let round = 0; round < repeats; round++) {
      // A contestant that failed in a round has fewer runs than rounds, and gets no more turns.
      for (const side of sides.filter(({ runs }) => runs.length === round)) {
        await attempt(side.contestant, async () => {
          const sample = await side.turn(seconds);
          side.runs.push(sample);
          run.progress(`${side.contestant.title.padEnd(14)} ${describe(sample, row)}`);
        });
      }
    }
    for (const server of started) await server.stop();
    const contestants = compare(sides.filter(({ runs }) => runs.length === repeats));
    const goals = (row.goals ?? []).map((goal) => judge(goal, row.unit, contestants));
    return { ...headOf(row), contestants, goals, ...(failures.length > 0 && { error: failures.join('; ') }) };
  } finally {
    for (const server of started) await server.stop().catch(() => undefined);
  }
}

export function headOf(row: Row): Pick<RowResult, 'name' | 'title' | 'group' | 'unit' | 'better' | 'note'> {
  const { name, title, group, unit, better, note } = row;
  return { name, title, group, unit, better, ...(note !== undefined && { note }) };
}

/** Compares the first side, ours, with each other one. */
export function compare(
  sides: readonly { readonly contestant: { readonly title: string }; readonly runs: readonly Sample[] }[],
): ContestantResult[] {
  const ours = valuesOf(sides[0]?.runs ?? []);
  return sides.map(({ contestant: { title }, runs }, index) => {
    const theirs = valuesOf(runs);
    return {
      title,
      median: median(theirs),
      ...(index > 0 && { ratio: pairedRatio(ours, theirs), ratios: ours.map((value, run) => value / theirs[run]!) }),
      runs,
    };
  });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function valuesOf(runs: readonly Sample[]): number[] {
  return runs.map(({ value }) => value);
}

function describe({ value, latency, server, generator, requests, extra }: Sample, { unit }: Row): string {
  const parts = [`${value >= 100 ? thousands(value) : short(value)} ${unit}`];
  if (latency !== undefined) parts.push(`p50 ${short(latency.p50Ms)} ms, p99 ${short(latency.p99Ms)} ms`);
  if (server !== undefined && requests > 0) parts.push(`${short(server.cpuMicros / requests)} µs of CPU a request`);
  const waited = extra?.[waitedForCores];
  if (waited !== undefined) parts.push(`its threads waited for a core for ${Math.round(waited * 100)} % of that`);
  if (generator !== undefined) parts.push(`${generator.name} uses ${generator.cores.toFixed(2)} cores`);
  return parts.join('; ');
}
