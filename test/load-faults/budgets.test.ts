/**
 * Memory at the limits. Each test lets one account flood the server with one kind of thing, as much as it can, and
 * compares the highest resident memory of the server's process with what it has at rest and what the budgets of its
 * configuration add up to. Meanwhile another account is served without one refusal.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { trial, type Trial } from '../support/crash-trial.ts';
import { closeAll, openMany, requestBytes } from '../support/raw-connection.ts';
import { eventually } from '../support/server-under-test.ts';
import { Bystander } from './bystander.ts';
import { Memory, mib } from './memory.ts';
import { sized, tooFewFiles } from './scale.ts';

/** In MiB; the limits that a flood can fill. */
const budgets = {
  inflight: sized(32, 128),
  waiting: sized(96, 256),
  watching: sized(32, 256),
  history: sized(32, 128),
  unread: sized(48, 256),
  arriving: sized(32, 128),
};
const memtable = 32;
/** Texts of large bodies that no collection has found yet, in the threads that read them. */
const bodyThreadsMib = 2 * 60;
const budgetsMib = Object.values(budgets).reduce((sum, one) => sum + one, memtable + bodyThreadsMib);
const config = [
  'http: { threads: 2 }',
  `limits: { ${Object.entries(budgets)
    .map(([name, inMib]) => `${name}_bytes_max: ${inMib * mib}`)
    .join(', ')}, memtable_bytes_max: ${memtable * mib} }`,
];

/** A test that runs `run` beside a bystander. @param run returns figures for the report */
function flood(name: string, connections: number, run: (trial: Trial) => Promise<object>): void {
  trial(name, import.meta.url, (one) => measure(one, () => run(one)), { skip: tooFewFiles(connections) });
}

async function measure({ t, server }: Trial, run: () => Promise<object>): Promise<void> {
  await server.start({ shards: 1, config });
  const client = server.client();
  for (let n = 0; n < 20; n += 1) await client.must('POST', `/db/warm/kv/k${n}`, n);
  await client.ask('GET', '/metrics');
  // The thread that reads large bodies is part of what the server takes at rest.
  await client.must('POST', '/db/warm/kv/large', 'v'.repeat(500_000));
  const memory = new Memory(server.pid);
  await memory.level();
  const [baseMib] = memory.levelsMib as [number];
  const bystander = Bystander.start(server.port);
  const figures = await run();
  await bystander.stop(sized(3, 50));
  const peakMib = peakOf(server.pid);
  const limitMib = Math.round(1.2 * (baseMib + budgetsMib));
  t.diagnostic(JSON.stringify({ ...figures, baseMib, budgetsMib, peakMib, limitMib, bystander: bystander.rounds }));
  assert(peakMib <= limitMib, `resident memory was ${peakMib} MiB: at most ${limitMib} are expected`);
  await client.close();
  await server.stop();
}

function peakOf(pid: number): number {
  return Math.round(Number(/^VmHWM:\s+(\d+) kB$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024);
}

/** Adds up the lines of `/metrics` that begin like this. */
async function gauge(server: Trial['server'], name: string): Promise<number> {
  const client = server.client();
  const metrics = await client.ask('GET', '/metrics');
  await client.close();
  const lines = (metrics?.text ?? '').split('\n').filter((line) => line.startsWith(name));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

const waiters = sized(32, 600);
flood(`${waiters} requests of 7 MiB wait for one lock`, waiters, async ({ server }) => {
  const client = server.client();
  await client.must('POST', '/db/flood/lock/l?id=holder&dur=600');
  const value = 'x'.repeat(1_000_000);
  const KVSet = Array.from({ length: 7 }, (_, i) => ({ Key: `k${i}`, Value: value }));
  const bytes = requestBytes('POST', '/db/flood', { LockID: 'l', LockDur: 30, LockWait: 300, KVSet });
  const connections = await openMany(server.port, waiters);
  let refused = 0;
  // The bystander has one at times.
  const waiting = async (): Promise<number> => Math.max(0, (await gauge(server, 'dragonlock_shard_waiters')) - 1);
  for (const [n, connection] of connections.entries()) {
    void connection.reply().then(() => (refused += 1));
    connection.socket.write(bytes);
    // A few at a time: what arrives has a limit of its own.
    const settled = async (): Promise<boolean> => refused + (await waiting()) >= n;
    if (n % 4 === 3) await eventually('they wait or are refused', settled, 600_000);
  }
  const counts = { waiting: await waiting(), refused };
  assert(refused > 0, JSON.stringify(counts));
  await closeAll(connections);
  await client.close();
  return counts;
});

const watches = sized(60, 4278);
flood(`${watches} watches of 1,000 keys each`, watches, async ({ server }) => {
  const connections = await openMany(server.port, watches);
  let refused = 0;
  const watching = (): Promise<number> => gauge(server, 'dragonlock_watchers');
  for (const [n, connection] of connections.entries()) {
    const IDs = Array.from({ length: 1000 }, (_, i) => ({ ID: `watched-by-${n}-key-${i}`, Version: 0 }));
    void connection.reply().then(() => (refused += 1));
    connection.socket.write(requestBytes('POST', '/watch/flood', { IDs, Wait: 300 }));
    const settled = async (): Promise<boolean> => refused + (await watching()) >= n;
    if (n % 20 === 19) await eventually('they watch or are refused', settled, 600_000);
  }
  const counts = { watching: await watching(), refused };
  assert(counts.watching > 5 && refused > 0, JSON.stringify(counts));
  await closeAll(connections);
  return counts;
});

const streams = sized(60, 1000);
flood(`${streams} event streams from the past that are not read`, streams, async ({ server }) => {
  const client = server.client();
  const value = 'x'.repeat(900_000);
  for (let n = 0; n < sized(12, 40); n += 1) await client.must('POST', '/db/flood/kv/k', value);
  const deaf = await openMany(server.port, streams, { deaf: true });
  for (const { socket } of deaf) socket.write(requestBytes('GET', '/watch/flood?prefix=&after=1'));
  // A stream is counted as a request when it ends.
  const endedNow = async (): Promise<number> => gauge(server, 'dragonlock_requests_total{operation="watch_stream"');
  const over = async (): Promise<boolean> =>
    (await endedNow()) + (await gauge(server, 'dragonlock_streams')) >= streams;
  await eventually('all are open, or were closed', over, 600_000);
  // Each reads as far as its client lets it.
  for (let n = 0; n < 20; n += 1) await client.must('POST', '/db/flood/kv/k', n);
  const counts = { open: await gauge(server, 'dragonlock_streams'), ended: await endedNow() };
  await closeAll(deaf);
  await client.close();
  return counts;
});

const scrapers = 20;
flood(`${scrapers} connections that pipeline GET /metrics and do not read`, scrapers, async ({ server }) => {
  const client = server.client();
  const deaf = await openMany(server.port, scrapers, { deaf: true });
  const many = requestBytes('GET', '/metrics').repeat(sized(3000, 20_000));
  for (const { socket } of deaf) socket.write(many);
  for (let n = 0; n < sized(20, 100); n += 1) await client.must('POST', '/db/flood/kv/k', n);
  await gauge(server, 'dragonlock_streams');
  const counts = { pipelined: scrapers * sized(3000, 20_000) };
  await closeAll(deaf);
  await client.close();
  return counts;
});

const readers = sized(5, 40);
flood(
  `${readers} connections that pipeline lists and arrays of reads, and do not read`,
  readers,
  async ({ server }) => {
    const client = server.client();
    const keys = Array.from({ length: 8 }, (_, i) => `k${i}`);
    for (const key of keys) await client.must('POST', `/db/flood/kv/${key}`, 'x'.repeat(900_000));
    const deaf = await openMany(server.port, readers, { deaf: true });
    const list = requestBytes('GET', '/db/flood/kv?prefix=').repeat(20);
    const array = requestBytes(
      'POST',
      '/db/flood',
      keys.map((key) => ({ KVGet: [key] })),
    ).repeat(20);
    for (const [n, { socket }] of deaf.entries()) socket.write(n % 2 === 0 ? list : array);
    for (let n = 0; n < sized(20, 100); n += 1) await client.must('POST', '/db/flood/kv/k', n);
    await closeAll(deaf);
    await client.close();
    return { readers };
  },
);
