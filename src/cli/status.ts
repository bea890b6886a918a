/** `dragonlock status`: readiness, version, latency and some metrics of the server. */
import { systemLeaseClock } from '../client/lease-clock.ts';
import { UnreachableError } from '../client/errors.ts';
import { requireVersion } from '../client/server-version.ts';
import type { Run } from './command-spec.ts';
import { exitCodes } from './exit-codes.ts';
import { formatDuration } from './format.ts';
import type { Invocation } from './invocation.ts';
import { rawCalls, type RawCalls } from './raw-calls.ts';

const pings = 5;

export const showStatus: Run = async (invocation) => {
  const { url, ...options } = invocation.connection();
  // These requests do not depend on the account.
  const calls = await rawCalls({ ...options, url, account: 'any' });
  try {
    const status = await askStatus(calls, url);
    if (status.State !== 'ready') invocation.exitCode = exitCodes.unavailable;
    if (invocation.json) invocation.terminal.json(status);
    else show(status, invocation);
  } finally {
    await calls.close();
  }
};

interface Status {
  readonly URL: string;
  /** `ready`, or why it is not. */
  readonly State: string;
  readonly Version: string;
  readonly Boot: string;
  /** The fastest of a few round trips. */
  readonly LatencyMs: number;
  readonly UptimeMs: number;
  readonly MemoryBytes: number;
  readonly Rev: number;
  readonly Waiters: number;
  readonly Watchers: number;
  readonly Queued: number;
  readonly DiskFull: boolean;
}

async function askStatus(calls: RawCalls, url: string): Promise<Status> {
  const version = await ask(calls, url, '/version');
  requireVersion(version.body['Version'], url);
  const ready = await ask(calls, url, '/readyz');
  let latencyMs = Infinity;
  for (let i = 0; i < pings; i += 1) {
    const sentAt = systemLeaseClock.mark();
    await ask(calls, url, '/livez');
    latencyMs = Math.min(latencyMs, systemLeaseClock.since(sentAt));
  }
  const metrics = metricsIn((await ask(calls, url, '/metrics')).text);
  return {
    URL: url,
    State: ready.status === 200 ? 'ready' : formatState(ready.body['Message']),
    Version: String(version.body['Version']),
    Boot: String(version.body['Boot']),
    LatencyMs: Math.round(latencyMs * 100) / 100,
    UptimeMs: Math.round(metrics('process_uptime_seconds') * 1000),
    MemoryBytes: metrics('process_resident_memory_bytes'),
    Rev: metrics('dragonlock_durable_revision'),
    Waiters: metrics('dragonlock_shard_waiters'),
    Watchers: metrics('dragonlock_watchers'),
    Queued: metrics('dragonlock_shard_queued_commands'),
    DiskFull: metrics('dragonlock_journal_full') > 0,
  };
}

type Body = Readonly<Record<string, unknown>>;

async function ask(calls: RawCalls, url: string, path: string): Promise<{ status: number; text: string; body: Body }> {
  try {
    const { status, text } = await calls.get(path);
    return { status, text, body: bodyOf(text) };
  } catch (error) {
    throw new UnreachableError(`Cannot reach ${url} (${(error as Error).message}).`, { cause: error });
  }
}

function bodyOf(text: string): Body {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' && json !== null ? (json as Body) : {};
  } catch {
    return {};
  }
}

function formatState(message: unknown): string {
  return typeof message === 'string' ? message : 'not ready';
}

/** Parses Prometheus' text format. @returns a function from a metric's name to its sum over all labels */
function metricsIn(text: string): (name: string) => number {
  const sums = new Map<string, number>();
  for (const [, name, value] of text.matchAll(/^(\w+)(?:\{[^}]*\})? (\S+)$/gm)) {
    sums.set(name!, (sums.get(name!) ?? 0) + Number(value));
  }
  return (name) => sums.get(name) ?? 0;
}

function show(status: Status, { terminal }: Invocation): void {
  const { UptimeMs, MemoryBytes, DiskFull, LatencyMs } = status;
  const rows: readonly (readonly [string, string])[] = [
    ['server', status.URL],
    ['state', DiskFull ? `${status.State}, disk full` : status.State],
    ['version', status.Version],
    ['boot', status.Boot],
    ['uptime', formatDuration(UptimeMs)],
    ['latency', `${LatencyMs} ms`],
    ['memory', `${Math.round(MemoryBytes / 1e6)} MB`],
    ['revision', String(status.Rev)],
    ['waiters', String(status.Waiters)],
    ['watchers', String(status.Watchers)],
    ['queued', String(status.Queued)],
  ];
  for (const [name, value] of rows) terminal.line(`${terminal.bold(name.padEnd(10))}${value}`);
}
