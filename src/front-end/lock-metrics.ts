/** Metrics of locks and mutexes, over all of them: a label with the name of one would be the client's to choose. */
import { Counter, type Registry } from '@prometheus-io/client';
import type { Histogram, LockStats, ServerStats } from '../protocol/stats.ts';
import { addHistogram, type Series } from './histograms.ts';

export function addLockMetrics(registry: Registry, refreshers: ((stats: ServerStats) => void)[]): void {
  const grants = new Counter({
    name: 'dragonlock_lock_grants_total',
    help: 'Locks and mutexes granted: at once, after waiting in line, or again to their holder',
    labelNames: ['how'],
    registers: [registry],
  });
  const ends = new Counter({
    name: 'dragonlock_lock_ends_total',
    help: 'Leases of locks and mutexes that ended, by why',
    labelNames: ['why'],
    registers: [registry],
  });
  const undelivered = new Counter({
    name: 'dragonlock_lock_undelivered_total',
    help: 'Grants that came back, because their clients had disconnected',
    registers: [registry],
  });
  let locks: readonly LockStats[] = [];
  refreshers.push(({ shards }) => {
    locks = shards.map((shard) => shard.locks);
    grants.reset();
    ends.reset();
    undelivered.reset();
    for (const one of locks) {
      for (const [how, count] of Object.entries(one.grants)) grants.inc({ how }, count);
      for (const [why, count] of Object.entries(one.ends)) ends.inc({ why }, count);
      undelivered.inc(one.undelivered);
    }
  });
  const sum = (pick: 'waitSeconds' | 'holdSeconds') => (): Series[] => {
    const histogram = sumOf(locks.map((one) => one[pick]));
    return histogram === undefined ? [] : [{ labels: {}, histogram }];
  };
  addHistogram(registry, 'dragonlock_lock_wait_seconds', 'From joining the line to being served', sum('waitSeconds'));
  addHistogram(registry, 'dragonlock_lock_hold_seconds', 'From the grant of a lock to its end', sum('holdSeconds'));
}

/** Of histograms with the same bounds. */
function sumOf(histograms: readonly Histogram[]): Histogram | undefined {
  return histograms.reduce<Histogram | undefined>((total, one) => {
    if (total === undefined) return one;
    const counts = total.counts.map((count, i) => count + one.counts[i]!);
    return { bounds: one.bounds, counts, sum: total.sum + one.sum, count: total.count + one.count };
  }, undefined);
}
