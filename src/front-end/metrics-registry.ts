/**
 * `/metrics`: what front ends counted and what the dispatcher knows of shards and journal, as Prometheus metrics.
 * Nothing here runs between scrapes. Names end in their unit; labels are bounded: operation, status, front end, shard, and,
 * if the operator wants it, a hundred accounts.
 * Any front end answers for the whole process.
 */
import { Counter, Gauge, Registry } from '@prometheus-io/client';
import type { ServerStats, ShardStats } from '../protocol/stats.ts';
import { processMs } from '../shared/clock.ts';
import type { RouteContext } from './http/route-context.ts';
import { addAccountMetrics } from './account-metrics.ts';
import { addBackupMetrics } from './backup-metrics.ts';
import { addHistogram, type Series } from './histograms.ts';
import { addLockMetrics } from './lock-metrics.ts';
import { addMachineMetrics } from './machine-metrics.ts';
import { addQueueMetrics } from './queue-metrics.ts';
import { addTaskMetrics } from './task-metrics.ts';
import { addScriptMetrics } from './script-metrics.ts';
import { addTlsMetrics } from './tls-metrics.ts';
import { addProcessMetrics, type RefreshMetrics } from './process-metrics.ts';
import { handOvers, operations } from './request-metrics.ts';

export interface Scrape {
  readonly contentType: string;
  metrics(): Promise<string>;
}

export function metricsRegistry(context: RouteContext): Scrape {
  const own = new Registry();
  const refreshOwn: RefreshMetrics[] = [];
  addRequestMetrics(own, refreshOwn, context);
  addFrontEndMetrics(own, refreshOwn, context);
  addProcessMetrics(own, refreshOwn, context);
  addTaskMetrics(own, refreshOwn, context.taskCounts);
  if (context.machines.here !== '') addMachineMetrics(own, context.machines);
  const backups = new Registry();
  const refreshBackups: RefreshMetrics[] = [];
  addBackupMetrics(backups, refreshBackups, () => context.backup);
  const tls = new Registry();
  const refreshTls: RefreshMetrics[] = [];
  addTlsMetrics(tls, refreshTls, context.inForce);
  const scripts = new Registry();
  const refreshScripts: RefreshMetrics[] = [];
  addScriptMetrics(scripts, refreshScripts, context);
  const ofAccounts = new Registry();
  const refreshAccounts = addAccountMetrics(ofAccounts, context);
  const backend = new Registry();
  const refreshBackend: Refreshers = [];
  addShardMetrics(backend, refreshBackend);
  addServerMetrics(backend, refreshBackend);
  addLockMetrics(backend, refreshBackend);
  addQueueMetrics(backend, refreshBackend);
  return {
    contentType: own.contentType,
    async metrics() {
      const { http, resp, metrics } = context.inForce.config;
      const parts = [textOf(own, refreshOwn)];
      // A reload may begin and end them.
      if (context.backup !== undefined) parts.push(textOf(backups, refreshBackups));
      if (http.tls !== undefined || resp.tls !== undefined) parts.push(textOf(tls, refreshTls));
      if (context.scripts !== undefined) parts.push(textOf(scripts, refreshScripts));
      const text = (await Promise.all(parts)).join('\n');
      // Before the shards serve, and after they have stopped, no shard can answer.
      if (context.lifecycle.state() !== 'serving') return text;
      const stats = await context.dispatcher.stats();
      for (const refresh of refreshBackend) refresh(stats);
      const all = `${text}\n${await backend.metrics()}`;
      return metrics.accounts ? `${all}\n${await textOf(ofAccounts, [refreshAccounts])}` : all;
    },
  };
}

async function textOf(registry: Registry, refreshers: readonly RefreshMetrics[]): Promise<string> {
  await Promise.all(refreshers.map(async (refresh) => refresh()));
  return registry.metrics();
}

/** Each updates some metrics before a scrape. */
type Refreshers = ((stats: ServerStats) => void)[];

function addRequestMetrics(registry: Registry, refreshers: RefreshMetrics[], { metrics }: RouteContext): void {
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
  const slow = new Counter({
    name: 'dragonlock_slow_requests_total',
    help: 'Requests that took longer than log.slow_ms, without those that may wait',
    registers: [registry],
  });
  const replays = new Counter({
    name: 'dragonlock_idempotent_replays_total',
    help: 'Requests answered with the stored reply of an earlier one',
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
    slow.reset();
    slow.inc(metrics.slow);
    replays.reset();
    replays.inc(metrics.replays);
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

function addFrontEndMetrics(registry: Registry, refreshers: RefreshMetrics[], { metrics }: RouteContext): void {
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
  add(Gauge, 'dragonlock_shard_waiters', 'Requests that wait for a lock, a mutex or messages', (s) => s.waiters);
  add(
    Gauge,
    'dragonlock_shard_held_back_commands',
    'Commands that wait for a batch over several shards',
    (s) => s.blocked,
  );
  add(
    Counter,
    'dragonlock_shard_leases_expired_total',
    'Locks and mutexes that ended by their time instead of being released',
    (s) => s.locks.ends.expired,
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
  add(
    Gauge,
    'dragonlock_shard_stored_tasks',
    'Tasks, those that have ended and are remembered too',
    (s) => s.stored.tasks,
  );
  add(Gauge, 'dragonlock_shard_watermark_revision', 'Everything up to here is in the checkpoint', (s) => s.watermark);
  add(Counter, 'dragonlock_shard_checkpoints_total', 'Checkpoints written', (s) => s.checkpoints);
  add(Counter, 'dragonlock_shard_commits_total', 'Revisions that the shard took', (s) => s.commits);
  add(Counter, 'dragonlock_shard_turns_total', 'Times the shard drained its mailbox', (s) => s.turns);
  let shards: ServerStats['shards'] = [];
  refreshers.push((stats) => {
    shards = stats.shards;
  });
  const each = (pick: 'turnSeconds' | 'checkpointSeconds') => (): Series[] =>
    shards.map((one) => ({ labels: { shard: String(one.shard) }, histogram: one[pick] }));
  addHistogram(
    registry,
    'dragonlock_shard_turn_seconds',
    'Work of the shard’s thread in one turn',
    each('turnSeconds'),
  );
  addHistogram(registry, 'dragonlock_checkpoint_seconds', 'One checkpoint of a shard', each('checkpointSeconds'));
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
