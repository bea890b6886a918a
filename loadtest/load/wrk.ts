/**
 * wrk, the generator in C: it leaves more of a small machine to the server than our own does. It is given a pool of
 * requests made here, and picks at random; it cannot carry a handle from a reply into the next request.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { LoadFailed, type LoadClock, type LoadOrder, type LoadResult } from './load-order.ts';
import { isSingle, singleAsks, type SingleAsk } from './workloads.ts';

export const wrkMissing = 'wrk is not installed (apt-get install wrk)';
const poolBytes = 16 * 1024 * 1024;
const poolRequestsMax = 50_000;
const slackMs = 20_000;

export function hasWrk(): boolean {
  return spawnSync('wrk', ['--version'], { stdio: 'ignore' }).error === undefined;
}

export async function runWrk(
  order: LoadOrder,
  clock: LoadClock,
  directory: string,
  onSpawn: (process: ChildProcess) => void,
): Promise<LoadResult> {
  const { workload, connections, seconds, port } = order;
  if (!isSingle(workload)) throw new Error('wrk sends only requests that do not depend on replies');
  const { script, units } = writeScript(workload, directory);
  const args = [
    '-t1',
    `-c${connections}`,
    `-d${seconds}s`,
    '--timeout',
    '10s',
    '-s',
    script,
    `http://127.0.0.1:${port}`,
  ];
  clock.started();
  const child = spawn('wrk', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  onSpawn(child);
  const timer = setTimeout(() => child.kill('SIGKILL'), seconds * 1000 + slackMs);
  const output = await text(child.stdout);
  clearTimeout(timer);
  clock.ended();
  const line = /^RESULT (.+)$/m.exec(output)?.[1];
  if (line === undefined) throw new LoadFailed(`wrk ended without a result:\n${output}`);
  const said = JSON.parse(line) as Record<'micros' | 'requests' | 'p50' | 'p99' | 'bad' | 'broken', number>;
  if (said.bad > 0 || said.broken > 0) {
    throw new LoadFailed(`${said.bad} replies were not 2xx and ${said.broken} requests failed, of ${said.requests}`);
  }
  return {
    seconds: said.micros / 1e6,
    requests: said.requests,
    units: said.requests * units,
    p50Micros: said.p50,
    p99Micros: said.p99,
  };
}

function writeScript(workload: SingleAsk, directory: string): { script: string; units: number } {
  const pool: string[] = [];
  const { units } = singleAsks[workload]();
  for (let bytes = 0; bytes < poolBytes && pool.length < poolRequestsMax; ) {
    const { path: target, body } = singleAsks[workload]();
    pool.push(`${target}\t${body}`);
    bytes += body.length;
  }
  const requests = path.join(directory, `${workload}.requests`);
  const script = path.join(directory, `${workload}.lua`);
  fs.writeFileSync(requests, `${pool.join('\n')}\n`);
  fs.writeFileSync(script, lua(requests));
  return { script, units };
}

/** `status` counts replies of 400 and more; the server sends none of 1xx and 3xx. */
function lua(requests: string): string {
  return `
local pool = {}
function init()
  math.randomseed(os.time())
  for line in io.lines(${JSON.stringify(requests)}) do
    local path, body = line:match("^(.-)\\t(.*)$")
    pool[#pool + 1] = wrk.format("POST", path, { ["Content-Type"] = "application/json" }, body)
  end
end
function request() return pool[math.random(#pool)] end
function done(summary, latency)
  local errors = summary.errors
  print(string.format('RESULT {"micros":%d,"requests":%d,"p50":%d,"p99":%d,"bad":%d,"broken":%d}',
    summary.duration, summary.requests, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
`;
}
