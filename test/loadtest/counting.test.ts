/** Compares what generators report with what a server counts. */
import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { readPgbenchResult } from '../../loadtest/load/pgbench.ts';
import { readRedisBenchmarkResult } from '../../loadtest/load/redis-benchmark.ts';
import type { ClientSpec } from '../../loadtest/load/client-process.ts';
import { runClient } from '../../loadtest/load/client.ts';
import { runGenerator } from '../../loadtest/load/generator.ts';
import type { LoadSpec } from '../../loadtest/load/load-spec.ts';
import { readWrkResult } from '../../loadtest/load/wrk.ts';
import { groupCommits } from '../../loadtest/observe.ts';
import { parseMetrics, type Metrics } from '../../loadtest/servers/requests.ts';

const clock = { started: async () => undefined, ended: async () => undefined };
const ignoreSpawn = (): void => undefined;

interface Counted {
  readonly port: number;
  readonly locks: number;
  readonly unlocks: number;
}

/** Starts an HTTP server. Returns its port. */
async function listen(t: TestContext, answer: (body: string) => { status: number; text: string }): Promise<number> {
  const server = http.createServer((request, response) => {
    let body = '';
    request.on('data', (bytes: Buffer) => (body += bytes.toString()));
    request.on('end', () => {
      const { status, text } = answer(body);
      response.writeHead(status, { 'Content-Length': text.length, 'Dragonlock-Boot': 'fake' }).end(text);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A server that gives out fencing tokens and accepts each exactly once. */
async function lockServer(t: TestContext, answer?: (seen: number) => number): Promise<Counted> {
  const held = new Set<number>();
  let [locks, unlocks, seen] = [0, 0, 0];
  const port = await listen(t, (body) => {
    seen += 1;
    const request = JSON.parse(body) as { LockID?: string; Unlock?: number };
    const status = answer?.(seen) ?? (request.Unlock !== undefined && !held.delete(request.Unlock) ? 409 : 200);
    if (request.LockID !== undefined) held.add(++locks);
    else unlocks += 1;
    return { status, text: request.LockID === undefined ? '{}' : `{"Lock":${locks}}` };
  });
  return {
    port,
    get locks() {
      return locks;
    },
    get unlocks() {
      return unlocks;
    },
  };
}

/** A server that answers writes, alone and in arrays. @param revOf the revision of the n-th write */
async function writeServer(t: TestContext, revOf = (write: number): number => write) {
  const server = { port: 0, writes: 0 };
  const answer = ({ KVSet }: { KVSet: [{ Key: string }] }): object => {
    const Rev = revOf((server.writes += 1));
    return { Status: 200, Rev, KVSet: [{ Key: KVSet[0].Key, Version: Rev }] };
  };
  server.port = await listen(t, (body) => {
    const request = body === '' ? undefined : (JSON.parse(body) as Parameters<typeof answer>[0]);
    const answers =
      request === undefined ? { Version: '99.0.0' } : Array.isArray(request) ? request.map(answer) : answer(request);
    return { status: 200, text: JSON.stringify(answers) };
  });
  return server;
}

function clientSpec(port: number): ClientSpec {
  const target = { host: '127.0.0.1', port, dialect: 'dragonlock' } as const;
  return { target, writers: 8, keys: 1000, bytes: 64, ids: true, seconds: 0.5 };
}

function lockSpec(port: number, more: Partial<LoadSpec> = {}): LoadSpec {
  const workload = { kind: 'lock', accounts: 1, keys: 10, run: 'x' } as const;
  return {
    target: { host: '127.0.0.1', port, dialect: 'dragonlock' },
    connections: 8,
    workload,
    seconds: 0.5,
    ...more,
  };
}

test('a pair is counted once, by its unlock, and nothing stays locked', async (t) => {
  const server = await lockServer(t);
  const result = await runGenerator(lockSpec(server.port), 2, clock, ignoreSpawn);
  assert.ok(result.units > 10);
  assert.equal(server.locks, server.unlocks, 'every lock is unlocked');
  // Pairs in progress when time is up are finished and not counted: at most one of each connection.
  assert.ok(server.unlocks - result.units >= 0 && server.unlocks - result.units <= 8);
  const half = result.requests - result.units;
  assert.ok(half >= result.units && half <= result.units + 8, `${result.requests} requests for ${result.units} pairs`);
  assert.ok(result.generator.cores > 0 && result.generator.coresMax === 2);
});

test('a simulated latency delays each request, and is not part of its measured latency', async (t) => {
  const server = await lockServer(t);
  const result = await runGenerator(lockSpec(server.port, { latencyMs: 10, seconds: 1 }), 1, clock, ignoreSpawn);
  const most = (8 * result.seconds * 1000) / 10;
  assert.ok(result.requests <= most, `${result.requests} requests in 1 s by 8 connections that wait 10 ms before each`);
  assert.ok(result.requests > 8);
});

test('a reply that is no success fails the run', async (t) => {
  const server = await lockServer(t, (seen) => (seen === 20 ? 503 : 200));
  await assert.rejects(runGenerator(lockSpec(server.port), 1, clock, ignoreSpawn), /was answered 503/);
});

test('writes through the client count if each is answered with a version of its own', async (t) => {
  const server = await writeServer(t);
  const result = await runClient(clientSpec(server.port), clock, ignoreSpawn);
  assert.ok(result.units > 10);
  // The warm-up is not counted; every later write is.
  assert.ok(server.writes > result.units, `${result.units} of ${server.writes} writes`);
  assert.ok(result.generator.cores > 0 && result.latency!.p50Ms > 0);
});

test('a write through the client that is answered with an older version fails the run', async (t) => {
  const server = await writeServer(t, (write) => (write === 500 ? 1 : write));
  await assert.rejects(runClient(clientSpec(server.port), clock, ignoreSpawn), /has version 1; expected one after/);
});

test('an open loop sends each request that falls due, and reports how late', async (t) => {
  const server = await lockServer(t);
  const spec = lockSpec(server.port, { arrivalsPerSecond: 200, seconds: 1, connections: 16 });
  const result = await runGenerator(spec, 1, clock, ignoreSpawn);
  assert.ok(result.requests > 120 && result.requests < 280, `${result.requests} requests at 200/s`);
  assert.ok(result.generator.lateP99Ms !== undefined);
});

test('wrk: replies that are no success fail the run; requests become units', () => {
  const summary = { micros: 2e6, requests: 100, shares: [1, 2, 3000, 4, 5, 6, 7000, 8, 9], max: 10, bad: 0, broken: 0 };
  const result = readWrkResult(`noise\nRESULT ${JSON.stringify(summary)}\n`, 100, 1, 0.5);
  assert.deepEqual(
    [result.seconds, result.requests, result.units, result.latency?.p50Ms, result.latency?.p99Ms],
    [2, 100, 10_000, 3, 7],
  );
  assert.equal(result.generator.cores, 0.25);
  assert.throws(
    () => readWrkResult(`RESULT ${JSON.stringify({ ...summary, bad: 1 })}`, 1, 1, 0),
    /1 replies were not 2xx/,
  );
  assert.throws(() => readWrkResult('connection refused', 1, 1, 0), /without a result/);
});

test('redis-benchmark: the rate is read by the name of its column', () => {
  const head =
    '"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"';
  const result = readRedisBenchmarkResult(
    `${head}\n"SET","50000.00","5.7","0.2","3.079","16.2","49.7","346.3"\n`,
    100_000,
    1,
  );
  assert.deepEqual(
    [result.seconds, result.units, result.latency?.p50Ms, result.latency?.p99Ms],
    [2, 100_000, 3.079, 49.7],
  );
  assert.throws(() => readRedisBenchmarkResult('Could not connect', 1, 1), /without a result/);
});

test('pgbench: failed transactions fail the run', () => {
  const output =
    'number of transactions actually processed: 3000\nnumber of failed transactions: 0 (0.000%)\ntps = 1500.5 (without initial connection time)\n';
  const result = readPgbenchResult(output, [1000, 2000, 3000], 1, 1);
  assert.equal(result.units, 3000);
  assert.ok(Math.abs(result.seconds - 2) < 0.01);
  assert.throws(
    () => readPgbenchResult(output.replace('failed transactions: 0', 'failed transactions: 2'), [], 1, 1),
    /pgbench failed/,
  );
});

test('group commits are the difference of two metrics readings, each commit in one bucket', () => {
  const commits = groupCommits(metrics(1, 1, 1, 1), metrics(2, 5, 11, 101));
  assert.ok(commits);
  assert.deepEqual(commits.sizes, [
    [1, 1],
    [2, 3],
    [Number.MAX_SAFE_INTEGER, 6],
  ]);
  assert.deepEqual([commits.syncs, commits.records], [10, 100]);
  assert.ok(Math.abs(commits.meanSyncMs - 1) < 1e-9);
  assert.equal(groupCommits(metrics(1, 1, 1, 1), metrics(1, 1, 1, 1)), undefined);
});

/** Metrics of `all` commits with `sum` records; `one` and `two` count the commits of at most 1 and 2 records. */
function metrics(one: number, two: number, all: number, sum: number): Metrics {
  return parseMetrics(
    [
      '# HELP dragonlock_journal_group_records x',
      `dragonlock_journal_group_records_bucket{le="1"} ${one}`,
      `dragonlock_journal_group_records_bucket{le="2"} ${two}`,
      `dragonlock_journal_group_records_bucket{le="+Inf"} ${all}`,
      `dragonlock_journal_group_records_sum ${sum}`,
      `dragonlock_journal_group_records_count ${all}`,
      `dragonlock_journal_sync_seconds_sum ${all / 1000}`,
      `dragonlock_journal_sync_seconds_count ${all}`,
    ].join('\n'),
  );
}
