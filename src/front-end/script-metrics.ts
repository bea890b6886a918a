/** Metrics of scripts; how many calls there are, and how long they take, is in those of requests. */
import { Counter, Gauge, type Registry } from '@prometheus-io/client';
import type { ScriptTotals } from '../scripts/script-counts.ts';
import type { RouteContext } from './http/route-context.ts';

const counters = [
  { name: 'dragonlock_script_runs_total', help: 'Runs of scripts; a call may need several', pick: 'runs' },
  {
    name: 'dragonlock_script_conflicts_total',
    help: 'Tries of calls that came to nothing because something had changed',
    pick: 'conflicts',
  },
  { name: 'dragonlock_script_kills_total', help: 'Threads killed because of a script', pick: 'kills' },
] as const satisfies readonly { name: string; help: string; pick: keyof ScriptTotals }[];

export function addScriptMetrics(
  registry: Registry,
  refreshers: (() => void)[],
  { scripts }: Pick<RouteContext, 'scripts'>,
): void {
  const totals = (): ScriptTotals => scripts!.totals();
  const underWay = new Gauge({
    name: 'dragonlock_script_calls',
    help: 'Calls of scripts that are not answered',
    registers: [registry],
  });
  const seconds = new Counter({
    name: 'dragonlock_script_cpu_seconds_total',
    help: 'CPU time of runs',
    registers: [registry],
  });
  const counted = counters.map(({ name, help, pick }) => ({
    pick,
    metric: new Counter({ name, help, registers: [registry] }),
  }));
  refreshers.push(() => {
    const now = totals();
    underWay.set(now.underWay);
    seconds.reset();
    seconds.inc(now.cpuMs / 1000);
    for (const { metric, pick } of counted) {
      metric.reset();
      metric.inc(now[pick]);
    }
  });
}
