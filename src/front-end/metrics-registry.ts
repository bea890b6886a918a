/**
 * `/metrics`: what front ends counted and what the dispatcher knows of shards and journal, as Prometheus metrics.
 * Nothing here runs between scrapes. Names end in their unit; labels are bounded: operation, status, front end, shard.
 * Any front end answers for the whole process.
 */
import { Counter, Gauge, Registry, type Metric } from '@prometheus-io/client';
import type { Histogram, ServerStats, ShardStats } from '../protocol/stats.ts';
import { processMs, wallMs } from '../shared/clock.ts';
import type { RouteContext } from './http/route-context.ts';
import { addBackupMetrics } from './backup-metrics.ts';
import { handOvers, operations } from './request-metrics.ts';

export interface Scrape {
  readonly contentType: string;
  metrics(): Promise<string>;
}

export function metricsRegistry(context: RouteContext): Scrape {
  const own = new Registry();
  const refreshOwn: (() => void)[] = [];
  addRequestMetrics(own, refreshOwn, context);
  addFrontEndMetrics(own, refreshOwn, context);
  addProcessMetrics(own, refreshOwn, context);
  if (context.backup !== undefined) addBackupMetrics(own, refreshOwn, context.backup);
  const backend = new Registry();
  const refreshBackend: Refreshers = [];
  addShardMetrics(backend, refreshBackend);
  addServerMetrics(backend, refreshBackend);
  return {
    contentType: own.contentType,
    async metrics() {
      for (const refresh of refreshOwn) refresh();
      const text = await own.metrics();
      // Before the shards serve, and after they have stopped, no shard can answer.
      if (context.lifecycle.state() !== 'serving') return text;
      const stats = await context.dispatcher.stats();
      for (const refresh of refreshBackend) refresh(stats);
      return `${text}\n${await backend.metrics()}`;
    },
  };
}

/** Each updates some metrics before a scrape. */
type Refreshers = ((stats: ServerStats) => void)[];

function addRequestMetrics(registry: Registry, refreshers: (() => void)[], { metrics }: RouteContext): void {
  const requests = new Counter({
    name: 'dragonlock_requests_total',
    help: 'Requests answered, by operation and HTTP status (499: the client disconnected first)',
    labelNames: ['operation', 'status'],
    registers: [registry],
  });
  const broken = new Counter({
    name: 'dragonlock_broken_connections_total',
    help: 'Connections closed because the input was not HTTP, or came too slowly',
    registers: [registry],
  });
  const handedOver = new Counter({
    name: 'dragonlock_connections_handed_over_total',
    help: 'Connections that the fast lane has left to Node’s HTTP server, by reason',
    labelNames: ['reason'],
    registers: [registry],
  });
  refreshers.push(() => {
    handedOver.reset();
    for (const reason of handOvers) handedOver.inc({ reason }, metrics.handedOver(reason));
    requests.reset();
    metrics.forEachStatus((operation, status, count) => requests.inc({ operation, status }, count));
    broken.reset();
    broken.inc(metrics.brokenConnections);
  });
  const durations = (): Series[] =>
    operations.flatMap((operation) => {
      const histogram = metrics.durations(operation);
      return histogram === undefined ? [] : [{ labels: { operation }, histogram }];
    });
  addHistogram(
    registry,
    'dragonlock_request_seconds',
    'From the head of a request to its reply, waiting included',
    durations,
  );
}

function addProcessMetrics(registry: Registry, refreshers: (() => void)[], context: RouteContext): void {
  const { boot, version, serverTime, lostLogLines } = context;
  const info = new Gauge({
    name: 'dragonlock_info',
    help: 'Always 1; the labels name the running version',
    labelNames: ['version', 'boot', 'node'],
    registers: [registry],
  });
  info.set({ version, boot, node: process.versions.node }, 1);
  const memory = new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory of the process',
    registers: [registry],
  });
  const uptime = new Gauge({
    name: 'process_uptime_seconds',
    help: 'Since the process started',
    registers: [registry],
  });
  const cpu = new Counter({
    name: 'process_cpu_seconds_total',
    help: 'CPU time of all threads, user and system',
    registers: [registry],
  });
  const lost = new Counter({
    name: 'dragonlock_log_lines_lost_total',
    help: 'Lines of the log that could not be written',
    registers: [registry],
  });
  const clockOffset = new Gauge({
    name: 'dragonlock_clock_offset_seconds',
    help: 'By how much the machine’s clock is ahead of the server’s time',
    registers: [registry],
  });
  refreshers.push(() => {
    lost.reset();
    lost.inc(lostLogLines.value);
    clockOffset.set((wallMs() - serverTime()) / 1000);
    memory.set(process.memoryUsage.rss());
    uptime.set(process.uptime());
    const { user, system } = process.cpuUsage();
    cpu.reset();
    cpu.inc((user + system) / 1e6);
  });
}

function addFrontEndMetrics(registry: Registry, refreshers: (() => void)[], { metrics }: RouteContext): void {
  const gauge = (name: string, help: string): Gauge<'front_end'> =>
    new Gauge({ name, help, labelNames: ['front_end'], registers: [registry] });
  const connections = gauge('dragonlock_connections', 'Connections open');
  const busy = gauge(
    'nodejs_eventloop_utilization_ratio',
    'Busy share of the time of the front end’s event loop, since it started',
  );
  refreshers.push(() => {
    for (const [frontEnd, load] of metrics.frontEnds(processMs()).entries()) {
      connections.set({ front_end: frontEnd }, load.connections);
      busy.set({ front_end: frontEnd }, load.busyShare);
    }
  });
}

function addShardMetrics(registry: Registry, refreshers: Refreshers): void {
  const add = (
    kind: typeof Gauge | typeof Counter,
    name: string,
    help: string,
    read: (shard: ShardStats) => number,
  ): void => {
    const metric = new kind({ name, help, labelNames: ['shard'] as const, registers: [registry] });
    refreshers.push((stats) => {
      metric.reset();
      for (const shard of stats.shards) metric.inc({ shard: shard.shard }, read(shard));
    });
  };
  add(Gauge, 'dragonlock_shard_queued_commands', 'Commands sent to the shard and not yet started', (s) => s.queued);
  add(Gauge, 'dragonlock_shard_waiters', 'Requests that wait for a lock or mutex', (s) => s.waiters);
  add(
    Gauge,
    'dragonlock_shard_held_back_commands',
    'Commands that wait for a batch over several shards',
    (s) => s.blocked,
  );
  add(Gauge, 'dragonlock_shard_watched_keys', 'Keys with at least one watcher', (s) => s.watchedKeys);
  add(Gauge, 'dragonlock_shard_memtable_entries', 'Entries newer than the checkpoint', (s) => s.memtableEntries);
  add(
    Gauge,
    'dragonlock_shard_memtable_bytes',
    'Memory of the entries newer than the checkpoint',
    (s) => s.memtableBytes,
  );
  add(Gauge, 'dragonlock_shard_stored_bytes', 'Keys and values that accounts have stored', (s) => s.stored.bytes);
  add(Gauge, 'dragonlock_shard_stored_entries', 'Entries as quotas count them', (s) => s.stored.entries);
  add(Gauge, 'dragonlock_shard_stored_messages', 'Messages of all queues', (s) => s.stored.messages);
  add(Gauge, 'dragonlock_shard_watermark_revision', 'Everything up to here is in the checkpoint', (s) => s.watermark);
  add(Counter, 'dragonlock_shard_checkpoints_total', 'Checkpoints written', (s) => s.checkpoints);
  add(Counter, 'dragonlock_shard_commits_total', 'Revisions that the shard took', (s) => s.commits);
  add(Counter, 'dragonlock_shard_turns_total', 'Times the shard drained its mailbox', (s) => s.turns);
}

function addServerMetrics(registry: Registry, refreshers: Refreshers): void {
  const gauge = (name: string, help: string, read: (stats: ServerStats) => number): void => {
    const metric = new Gauge({ name, help, registers: [registry] });
    refreshers.push((stats) => metric.set(read(stats)));
  };
  gauge('dragonlock_durable_revision', 'The highest revision on disk', (s) => s.durable);
  gauge('dragonlock_watchers', 'Watch requests open', (s) => s.watchers);
  gauge('dragonlock_streams', 'Event streams open', (s) => s.streams);
  gauge('dragonlock_journal_segments', 'Files of the journal', (s) => s.journal.segments);
  gauge(
    'dragonlock_journal_oldest_revision',
    'A watch can resume after this revision',
    (s) => s.journal.oldestRevision,
  );
  gauge('dragonlock_journal_full', '0: space for all writes, 1: only for what frees space, 2: for none', (s) =>
    s.journal.space === 'open' ? 0 : s.journal.space === 'reserve' ? 1 : 2,
  );
  gauge(
    'dragonlock_history_damaged_first_revision',
    'The lowest revision that a watch found damaged; 0: none',
    (s) => s.historyDamage.firstRevision,
  );
  gauge(
    'dragonlock_history_damaged_last_revision',
    'The highest revision that a watch found damaged; 0: none',
    (s) => s.historyDamage.lastRevision,
  );
  const damage = [
    { pick: 'places', name: 'dragonlock_history_damaged_places_total', help: 'Damaged places that watches found' },
    { pick: 'refused', name: 'dragonlock_history_damaged_reads_total', help: 'Watches ended by damaged history' },
  ] as const;
  for (const { pick, name, help } of damage) {
    const counter = new Counter({ name, help, registers: [registry] });
    refreshers.push((stats) => {
      counter.reset();
      counter.inc(stats.historyDamage[pick]);
    });
  }
  const bytes = new Counter({
    name: 'dragonlock_journal_written_bytes_total',
    help: 'Bytes appended to the journal',
    registers: [registry],
  });
  refreshers.push((stats) => {
    bytes.reset();
    bytes.inc(stats.journal.bytesWritten);
  });
  let journal: ServerStats['journal'] | undefined;
  refreshers.push((stats) => {
    journal = stats.journal;
  });
  const read = (pick: 'groupRecords' | 'syncSeconds') => (): Series[] =>
    journal === undefined ? [] : [{ labels: {}, histogram: journal[pick] }];
  addHistogram(registry, 'dragonlock_journal_group_records', 'Records of one group commit', read('groupRecords'));
  addHistogram(registry, 'dragonlock_journal_sync_seconds', 'One fdatasync', read('syncSeconds'));
}

interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly histogram: Histogram;
}

/**
 * The library's histogram counts observations one by one; ours were counted elsewhere. So this registers an object with
 * the members that a scrape needs: a name, and a `get` that returns finished samples.
 */
function addHistogram(registry: Registry, name: string, help: string, series: () => readonly Series[]): void {
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
