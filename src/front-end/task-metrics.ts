/** What the dispatcher counts of tasks, as metrics. */
import { Counter, Gauge, type Registry } from '@prometheus-io/client';
import { addHistogram } from './histograms.ts';
import { taskOutcomes, type SharedTaskCounts } from './shared-task-counts.ts';

export function addTaskMetrics(registry: Registry, refreshers: (() => void)[], counts: SharedTaskCounts): void {
  const runs = new Counter({
    name: 'dragonlock_task_runs_total',
    help: 'Tries of tasks, and instants that were passed over, by what came of them',
    labelNames: ['outcome'],
    registers: [registry],
  });
  const due = new Gauge({
    name: 'dragonlock_task_due',
    help: 'Tasks that are due and stand in line, or run',
    registers: [registry],
  });
  const requests = new Gauge({
    name: 'dragonlock_task_requests',
    help: 'Requests of tasks under way',
    registers: [registry],
  });
  refreshers.push(() => {
    runs.reset();
    for (const outcome of taskOutcomes) runs.inc({ outcome }, counts.outcome(outcome));
    due.set(counts.due);
    requests.set(counts.sending);
  });
  addHistogram(registry, 'dragonlock_task_late_seconds', 'From the instant of a run to its beginning', () => [
    { labels: {}, histogram: counts.lateness() },
  ]);
}
