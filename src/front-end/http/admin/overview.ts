/**
 * The overview of the server. The first front end makes it, at most once a second, for all who look: it costs a message
 * to each shard, whatever the server has stored.
 */
import type { ServerStats } from '../../../protocol/stats.ts';
import { processMs, systemEvery, wallMs } from '../../../shared/clock.ts';
import { bucketBounds } from '../../request-metrics.ts';
import type { RouteContext } from '../route-context.ts';
import { backupStatus } from '../routes/backups.ts';
import { sampleEveryMs, takeSample, TrafficHistory } from './traffic.ts';
import { warningsOf } from './warnings.ts';

/** One text serves all who ask within this time. */
const madeEveryMs = 900;

export interface Overview {
  readonly [member: string]: unknown;
}

export class OverviewMaker {
  readonly #context: RouteContext;
  readonly #history = new TrafficHistory(bucketBounds);
  #made: { readonly at: number; readonly overview: Promise<Overview> } | undefined;
  readonly #stop: () => void;
  #sampling = false;

  constructor(context: RouteContext) {
    this.#context = context;
    this.#stop = systemEvery(sampleEveryMs, () => void this.#sample());
  }

  /** Makes the overview, or returns the one of a moment ago. */
  current(): Promise<Overview> {
    const now = processMs();
    if (this.#made === undefined || now - this.#made.at >= madeEveryMs)
      this.#made = { at: now, overview: this.#make(now) };
    return this.#made.overview;
  }

  close(): void {
    this.#stop();
  }

  /** One at a time: shards that stand still must not be asked again and again. */
  async #sample(): Promise<void> {
    const { lifecycle, dispatcher, metrics } = this.#context;
    if (this.#sampling || lifecycle.state() !== 'serving') return;
    this.#sampling = true;
    const stats = await dispatcher.stats();
    this.#sampling = false;
    this.#history.add(takeSample(metrics, stats, { now: processMs(), wallMs: wallMs() }));
  }

  async #make(now: number): Promise<Overview> {
    const { boot, version, metrics, dispatcher, serverTime, backup, lostLogLines, lifecycle } = this.#context;
    const stats = await dispatcher.stats();
    const sample = takeSample(metrics, stats, { now, wallMs: wallMs() });
    const { rss, heapUsed } = process.memoryUsage();
    const made = {
      State: lifecycle.state(),
      Version: version,
      Boot: boot,
      Node: process.versions.node,
      Now: serverTime(),
      UptimeS: Math.round(process.uptime()),
      Rates: this.#history.rates(sample),
      Latency: this.#history.latency(sample),
      Operations: this.#history.operations(sample),
      Journal: { ...this.#history.journal(sample), ...journalOf(stats) },
      Shards: stats.shards.map(shardOf),
      Durable: stats.durable,
      Connections: sample.connections,
      Waiters: sample.waiters,
      Watchers: stats.watchers,
      Streams: stats.streams,
      Memory: { ResidentBytes: rss, HeapBytes: heapUsed },
      FrontEnds: metrics.frontEnds(now).map(({ connections, busyShare }) => ({
        Connections: connections,
        Busy: Math.round(busyShare * 1000) / 1000,
      })),
      LostLogLines: lostLogLines.value,
      ...(backup !== undefined && { Backup: backupStatus(backup) }),
      History: { EveryMs: sampleEveryMs, Points: this.#history.points() },
    };
    return { ...made, Warnings: warningsOf(stats, backup, made.Now) };
  }
}

function journalOf({ journal }: ServerStats): object {
  const { bytesWritten, segments, space, oldestRevision } = journal;
  return { BytesWritten: bytesWritten, Segments: segments, Space: space, OldestRev: oldestRevision };
}

function shardOf(shard: ServerStats['shards'][number]): object {
  return {
    Shard: shard.shard,
    Queued: shard.queued,
    Waiters: shard.waiters,
    Blocked: shard.blocked,
    WatchedKeys: shard.watchedKeys,
    MemtableEntries: shard.memtableEntries,
    MemtableBytes: shard.memtableBytes,
    Checkpoints: shard.checkpoints,
    Watermark: shard.watermark,
    Commits: shard.commits,
  };
}
