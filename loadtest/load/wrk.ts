/**
 * Runs wrk, a generator in C, which leaves more of a small machine to the server than the built-in one. It picks at
 * random from a pool of requests made here; it cannot carry a fencing token from a reply into the next request.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { childMicros } from '../process-stats.ts';
import { LoadFailed, originOf, shownShares, type LoadClock, type LoadSpec, type LoadResult } from './load-spec.ts';
import { singleRequest, unitsOf } from './workloads.ts';

const poolBytes = 48 * 1024 * 1024;
const poolRequestsMax = 50_000;
const slackMs = 30_000;

export interface WrkOptions {
  readonly threads: number;
  /** Directory for its script and the requests. */
  readonly directory: string;
  readonly onSpawn: (process: ChildProcess) => void;
}

export async function runWrk(spec: LoadSpec, clock: LoadClock, options: WrkOptions): Promise<LoadResult> {
  const { workload, connections, seconds, target } = spec;
  const { onSpawn } = options;
  const threads = Math.min(options.threads, connections);
  const script = writeScript(spec, options.directory);
  const args = [
    `-t${threads}`,
    `-c${connections}`,
    `-d${seconds}s`,
    '--timeout',
    '60s',
    '-s',
    script,
    originOf(target),
  ];
  await clock.started();
  const cpuBefore = childMicros();
  const child = spawn('wrk', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  onSpawn(child);
  const exited = new Promise((resolve) => child.once('close', resolve));
  const timer = setTimeout(() => child.kill('SIGKILL'), seconds * 1000 + slackMs);
  const output = await text(child.stdout);
  clearTimeout(timer);
  await clock.ended();
  await exited;
  fs.rmSync(script);
  return readWrkResult(output, unitsOf(workload), threads, (childMicros() - cpuBefore) / 1e6);
}

interface WrkSummary extends Record<'micros' | 'requests' | 'max' | 'bad' | 'broken', number> {
  /** µs at `shownShares`. */
  readonly shares: readonly number[];
}

export function readWrkResult(output: string, units: number, threads: number, cpuSeconds: number): LoadResult {
  const line = /^RESULT (.+)$/m.exec(output)?.[1];
  if (line === undefined) throw new LoadFailed(`wrk ended without a result:\n${output}`);
  const summary = JSON.parse(line) as WrkSummary;
  if (summary.bad > 0 || summary.broken > 0) {
    throw new LoadFailed(
      `${summary.bad} replies were not 2xx and ${summary.broken} requests failed, of ${summary.requests}`,
    );
  }
  const seconds = summary.micros / 1e6;
  const points = shownShares.map((share, index) => [share, summary.shares[index]! / 1000] as const);
  const at = (share: number): number => points.find(([shown]) => shown === share)![1];
  return {
    seconds,
    requests: summary.requests,
    units: summary.requests * units,
    latency: { p50Ms: at(0.5), p99Ms: at(0.99), p999Ms: at(0.999), maxMs: summary.max / 1000, points },
    generator: { name: `wrk -t${threads}`, cores: cpuSeconds / seconds, coresMax: threads },
  };
}

/** Pools are made once a workload, so that no run is delayed by writing one. */
const pools = new Map<string, string>();

function writeScript(spec: LoadSpec, directory: string): string {
  const { workload, target } = spec;
  const name = JSON.stringify([workload, target.dialect]);
  let pool = pools.get(name);
  if (pool === undefined) {
    const requests: string[] = [];
    for (let bytes = 0; bytes < poolBytes && requests.length < poolRequestsMax; ) {
      const { path: resource, body } = singleRequest(workload, target.dialect);
      requests.push(`${resource}\t${body}`);
      bytes += body.length;
    }
    pool = path.join(directory, `requests-${pools.size}`);
    fs.writeFileSync(pool, `${requests.join('\n')}\n`);
    pools.set(name, pool);
  }
  const script = path.join(directory, 'load.lua');
  fs.writeFileSync(script, lua(pool, spec));
  return script;
}

/** wrk's `errors.status` counts replies of 400 and more; the servers send no 1xx and 3xx. */
function lua(pool: string, { target: { token }, latencyMs = 0 }: LoadSpec): string {
  const authorization = token === undefined ? '' : `, ["Authorization"] = ${JSON.stringify(`Bearer ${token}`)}`;
  return `
local pool = {}
function init()
  math.randomseed(os.time())
  for line in io.lines(${JSON.stringify(pool)}) do
    local path, body = line:match("^(.-)\\t(.*)$")
    pool[#pool + 1] = wrk.format("POST", path, { ["Content-Type"] = "application/json"${authorization} }, body)
  end
end
function request() return pool[math.random(#pool)] end
${latencyMs === 0 ? '' : `function delay() return ${latencyMs} end`}
function done(summary, latency)
  local errors = summary.errors
  local shares = {}
  for i, share in ipairs({ ${shownShares.map((share) => share * 100).join(', ')} }) do
    shares[i] = string.format("%d", latency:percentile(share))
  end
  print(string.format('RESULT {"micros":%d,"requests":%d,"shares":[%s],"max":%d,"bad":%d,"broken":%d}',
    summary.duration, summary.requests, table.concat(shares, ","), latency.max, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
`;
}
