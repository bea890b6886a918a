/** Histograms that were counted elsewhere, for the library of Prometheus. */
import type { Metric, Registry } from '@prometheus-io/client';
import type { Histogram } from '../protocol/stats.ts';

export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly histogram: Histogram;
}

/**
 * The library's histogram counts observations one by one; ours were counted elsewhere. So this registers an object with
 * the members that a scrape needs: a name, and a `get` that returns finished samples.
 */
export function addHistogram(registry: Registry, name: string, help: string, series: () => readonly Series[]): void {
  const metric = {
    name,
    help,
    type: 'histogram',
    aggregator: 'sum',
    get: () => ({
      name,
      help,
      type: 'histogram',
      aggregator: 'sum',
      values: series().flatMap((one) => lines(name, one)),
    }),
  };
  // oxlint-disable-next-line no-unsafe-type-assertion -- `Metric` names the library's four classes only
  registry.registerMetric(metric as unknown as Metric);
}

function lines(name: string, { labels, histogram }: Series) {
  const buckets = histogram.counts.map((value, i) => ({
    metricName: `${name}_bucket`,
    labels: { ...labels, le: histogram.bounds[i] ?? '+Inf' },
    value,
  }));
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: histogram.sum },
    { metricName: `${name}_count`, labels, value: histogram.count },
  ];
}
