/** Metrics of the process and its machine, by the names that Prometheus' own clients use where there is one. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { Counter, Gauge, type Registry } from '@prometheus-io/client';
import { wallMs } from '../shared/clock.ts';
import type { RouteContext } from './http/route-context.ts';

/** Updates some metrics before a scrape. */
export type RefreshMetrics = () => void | Promise<void>;

export function addProcessMetrics(registry: Registry, refreshers: RefreshMetrics[], context: RouteContext): void {
  const { boot, version, serverTime, lostLogLines, reload, dataDirectory } = context;
  const info = new Gauge({
    name: 'dragonlock_info',
    help: 'Always 1; the labels name the running version',
    labelNames: ['version', 'boot', 'node'],
    registers: [registry],
  });
  info.set({ version, boot, node: process.versions.node }, 1);
  const gauge = (name: string, help: string, read: () => number | Promise<number>): void => {
    const metric = new Gauge({ name, help, registers: [registry] });
    refreshers.push(async () => metric.set(await read()));
  };
  const counter = (name: string, help: string, read: () => number): void => {
    const metric = new Counter({ name, help, registers: [registry] });
    refreshers.push(() => {
      metric.reset();
      metric.inc(read());
    });
  };
  // Rounded, so that all front ends tell nearly the same.
  const startedAt = Math.round(wallMs() / 1000 - process.uptime());
  gauge('process_start_time_seconds', 'When the process started, since the Unix epoch', () => startedAt);
  gauge('process_uptime_seconds', 'Since the process started', () => process.uptime());
  gauge('process_resident_memory_bytes', 'Resident memory of the process', () => process.memoryUsage.rss());
  gauge('process_open_fds', 'Open file descriptors', () => orNaN(openFiles()));
  gauge('process_max_fds', 'How many file descriptors may be open', () => orNaN(openFilesLimit()));
  counter('process_cpu_seconds_total', 'CPU time of all threads, user and system', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  counter('dragonlock_log_lines_lost_total', 'Lines of the log that could not be written', () => lostLogLines.value);
  gauge(
    'dragonlock_config_last_reload_successful',
    'Whether the last reload of the configuration succeeded; 1 before the first',
    () => (reload.succeeded ? 1 : 0),
  );
  gauge(
    'dragonlock_clock_offset_seconds',
    'By how much the machine’s clock is ahead of the server’s time',
    () => (wallMs() - serverTime()) / 1000,
  );
  gauge('dragonlock_disk_free_bytes', 'Free space where the data directory is, without the root’s reserve', () =>
    orNaN(diskFree(dataDirectory)),
  );
  gauge('dragonlock_store_bytes', 'Size of the files of the store', () => orNaN(storeBytes(dataDirectory)));
}

/** What cannot be read is no number, and ends no scrape. */
async function orNaN(read: Promise<number>): Promise<number> {
  try {
    return await read;
  } catch {
    return Number.NaN;
  }
}

async function openFiles(): Promise<number> {
  return (await fs.readdir('/proc/self/fd')).length;
}

async function openFilesLimit(): Promise<number> {
  const limits = await fs.readFile('/proc/self/limits', 'latin1');
  const soft = /^Max open files +(\d+|unlimited)/m.exec(limits)?.[1];
  return soft === 'unlimited' ? Infinity : Number(soft);
}

async function diskFree(directory: string): Promise<number> {
  const { bavail, bsize } = await fs.statfs(directory);
  return bavail * bsize;
}

async function storeBytes(directory: string): Promise<number> {
  const store = path.join(directory, 'store');
  const sizes = (await fs.readdir(store)).map(async (name) => (await fs.stat(path.join(store, name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
