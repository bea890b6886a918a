/** Metrics of queues, over all of them: a label with the name of one would be the client's to choose. */
import { Counter, Gauge, type Registry } from '@prometheus-io/client';
import type { QueueTotals, ServerStats } from '../protocol/stats.ts';

const states = { ready: 'ready', inFlight: 'inflight', delayed: 'delayed', dead: 'dead', blocked: 'blocked' } as const;
const stateNames = Object.keys(states) as (keyof typeof states)[];

export function addQueueMetrics(registry: Registry, refreshers: ((stats: ServerStats) => void)[]): void {
  const messages = new Gauge({
    name: 'dragonlock_queue_messages',
    help: 'Messages of all queues, by state',
    labelNames: ['state'],
    registers: [registry],
  });
  const oldest = new Gauge({
    name: 'dragonlock_queue_oldest_seconds',
    help: 'Age of the oldest message that is first in line, of the queues used last',
    registers: [registry],
  });
  const consumers = new Gauge({
    name: 'dragonlock_queue_consumers',
    help: 'Requests that wait for messages',
    registers: [registry],
  });
  const deliveries = new Counter({
    name: 'dragonlock_queue_deliveries_total',
    help: 'Messages delivered, redeliveries included',
    registers: [registry],
  });
  const redeliveries = new Counter({
    name: 'dragonlock_queue_redeliveries_total',
    help: 'Messages delivered that had been delivered before',
    registers: [registry],
  });
  refreshers.push(({ shards }) => {
    const sum = (pick: keyof QueueTotals): number => shards.reduce((total, { queues }) => total + queues[pick], 0);
    for (const name of stateNames) messages.set({ state: states[name] }, sum(name));
    oldest.set(Math.max(0, ...shards.map(({ queues }) => queues.oldestMs)) / 1000);
    consumers.set(sum('consumers'));
    for (const [counter, pick] of [
      [deliveries, 'deliveries'],
      [redeliveries, 'redeliveries'],
    ] as const) {
      counter.reset();
      counter.inc(sum(pick));
    }
  });
}
