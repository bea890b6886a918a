/**
 * `node loadtest/backups.ts`: what backups cost and how long a restore takes, on this machine. The defaults are small; the
 * documents say with which options their figures were taken.
 *
 *   loss      writes arrive at --rate a second; a probe notes when each of its own was acknowledged, and when it was in the
 *             backup. What lies between is what a lost machine would lose.
 *   cost      p99 of writes on a server without backups, while it ships, and while copies are made one after the other,
 *             in turn, --rounds times; the medians are compared
 *   restore   a store of --restore-mb with --log-mb of log after its last copy: from the command to the first 200 of /readyz
 *
 * It starts servers and generators of its own and ends them by their ids on any exit.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { runGenerator } from './load/generator.ts';
import { originOf } from './load/load-spec.ts';
import { DragonLock } from './servers/dragon-lock.ts';

const usage = `node loadtest/backups.ts …

  --only NAME,…     loss, cost, restore (default: all)
  --rate N          writes a second that arrive (default 2000)
  --seconds N       length of a timed run (default 5)
  --rounds N        turns of cost (default 3)
  --store-mb N      of values in the store while copies are made (default 20)
  --restore-mb N    of values in the store that is restored (default 20)
  --log-mb N        of values written after its last copy (default 10)
  --data-dir DIR    the disk under test (default: the working directory)
`;

const fillers = 8;
const keysPerBatch = 100;
const valueBytes = 1000;
const probeEveryMs = 50;
const generators = 1;
const connections = 64;

const { values: flags } = parseArgs({
  options: {
    help: { type: 'boolean', default: false },
    only: { type: 'string', default: 'loss,cost,restore' },
    rate: { type: 'string', default: '2000' },
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    'store-mb': { type: 'string', default: '20' },
    'restore-mb': { type: 'string', default: '20' },
    'log-mb': { type: 'string', default: '10' },
    'data-dir': { type: 'string', default: '.' },
  },
});
if (flags.help) {
  process.stdout.write(usage);
  process.exit(0);
}
const [rate, seconds, rounds] = [Number(flags.rate), Number(flags.seconds), Number(flags.rounds)];
const parts = { loss: measureLoss, cost: measureCost, restore: measureRestore };
const chosen = flags.only.split(',');
if (![rate, seconds, rounds].every((one) => one > 0) || chosen.some((name) => !(name in parts))) {
  process.stderr.write(usage);
  process.exit(64);
}

const children = new Set<ChildProcess>();
const work = fs.mkdtempSync(path.join(flags['data-dir'], '.loadtest-backups-'));
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  fs.rmSync(work, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));

for (const name of chosen) await parts[name as keyof typeof parts]();
process.exit(0);

interface BackupStatus {
  readonly Shipped: number;
  readonly Copying: boolean;
  readonly CopiesTaken: number;
  readonly Asked?: number;
}

async function measureLoss(): Promise<void> {
  const server = await start('loss', true);
  const lost: number[] = [];
  let isOver = false;
  const probing = probe(server, lost, () => isOver);
  await load(server);
  isOver = true;
  await probing;
  await server.stop();
  lost.sort((a, b) => a - b);
  const at = (share: number): string => `${Math.round(lost[Math.floor((lost.length - 1) * share)] ?? 0)} ms`;
  report('loss', `at ${rate} writes/s: p50 ${at(0.5)}, p99 ${at(0.99)}, most ${at(1)} (${lost.length} probes)`);
}

/** Writes now and then, and notes how long after its acknowledgement each write was in the backup. */
async function probe(server: DragonLock, lost: number[], isOver: () => boolean): Promise<void> {
  const waiting: { readonly rev: number; readonly at: number }[] = [];
  while (!isOver() || waiting.length > 0) {
    if (!isOver()) {
      const { Rev } = await call<{ Rev: number }>(server, 'POST', '/db/probe/kv/key', '1');
      waiting.push({ rev: Rev, at: performance.now() });
    }
    const { Shipped } = await call<BackupStatus>(server, 'GET', '/admin/backups');
    while (waiting[0] !== undefined && waiting[0].rev <= Shipped) lost.push(performance.now() - waiting.shift()!.at);
    await sleep(probeEveryMs);
  }
}

async function measureCost(): Promise<void> {
  const plain = await start('plain', false);
  const backedUp = await start('backed-up', true);
  for (const server of [plain, backedUp]) await fill(server, Number(flags['store-mb']));
  await copyOf(backedUp);
  await Promise.all([plain, backedUp].map((server) => load(server)));
  const found = { without: [] as number[], shipping: [] as number[], copying: [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    found.without.push(await load(plain));
    found.shipping.push(await load(backedUp));
    let isOver = false;
    let copies = 0;
    const copying = (async () => {
      for (; !isOver; copies += 1) await copyOf(backedUp);
    })();
    found.copying.push(await load(backedUp));
    isOver = true;
    await copying;
    const last = (list: readonly number[]): string => `${list.at(-1)!.toFixed(2)} ms`;
    report(
      'cost',
      `round ${round + 1}: p99 ${last(found.without)} without, ${last(found.shipping)} shipping, ` +
        `${last(found.copying)} copying (${copies} copies)`,
    );
  }
  await Promise.all([plain.stop(), backedUp.stop()]);
  const without = median(found.without);
  const times = (list: readonly number[]): string => `${(median(list) / without).toFixed(2)} ×`;
  report(
    'cost',
    `p99 of writes at ${rate}/s: ${times(found.shipping)} while shipping, ${times(found.copying)} copying`,
  );
}

async function measureRestore(): Promise<void> {
  const [storeMb, logMb] = [Number(flags['restore-mb']), Number(flags['log-mb'])];
  const server = await start('restore', true);
  await fill(server, storeMb);
  await copyOf(server);
  await fill(server, logMb);
  // What is durable is shipped before it ends.
  await server.stop();
  const target = path.join(work, 'restored');
  const begun = performance.now();
  const command = path.resolve(import.meta.dirname, '../src/cli/main.ts');
  const url = `file://${path.resolve(work, 'restore-backup')}`;
  const child = spawn(process.execPath, [command, 'restore', url, '--data-dir', target, '--adopt'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  track(child);
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`The restore ended with ${code}`);
  const restoredMs = performance.now() - begun;
  const again = await DragonLock.start(target, settingsOf('restored', false), track);
  const totalMs = performance.now() - begun;
  await again.stop();
  report(
    'restore',
    `${storeMb} MB with ${logMb} MB of log: ${(restoredMs / 1000).toFixed(1)} s, serving after ${(totalMs / 1000).toFixed(1)} s`,
  );
}

function settingsOf(name: string, hasBackup: boolean): object {
  const backup = { url: `file://${path.resolve(work, `${name}-backup`)}` };
  return hasBackup ? { backup } : {};
}

function start(name: string, hasBackup: boolean): Promise<DragonLock> {
  return DragonLock.start(path.join(work, name), settingsOf(name, hasBackup), track);
}

function track(child: ChildProcess): void {
  children.add(child);
  child.once('exit', () => children.delete(child));
}

/** @returns the p99 of writes, in milliseconds */
async function load(server: DragonLock): Promise<number> {
  const workload = { kind: 'kv.write', accounts: 8, keys: 10_000, bytes: 100 } as const;
  const spec = { target: server.target, connections, workload, seconds, arrivalsPerSecond: rate };
  const clock = { started: async () => {}, ended: async () => {} };
  const { latency } = await runGenerator(spec, generators, clock, track);
  if (latency === undefined) throw new Error('The generator measured no latencies');
  return latency.p99Ms;
}

/** Writes as many MB of values, each under a key of its own. */
async function fill(server: DragonLock, mb: number): Promise<void> {
  const batches = Math.ceil((mb * 1e6) / (keysPerBatch * valueBytes));
  let next = 0;
  const run = async (): Promise<void> => {
    for (let batch = next++; batch < batches; batch = next++) {
      const KVSet = Array.from({ length: keysPerBatch }, (_, i) => ({
        Key: `fill/${batch}/${i}`,
        Value: `${batch}-${i}-`.padEnd(valueBytes, String(Math.random()).slice(2)),
      }));
      await call(server, 'POST', `/db/fill${batch % fillers}`, JSON.stringify({ KVSet }));
    }
  };
  await Promise.all(Array.from({ length: fillers }, run));
}

async function copyOf(server: DragonLock): Promise<void> {
  const { Asked = 0 } = await call<BackupStatus>(server, 'POST', '/admin/backups');
  while ((await call<BackupStatus>(server, 'GET', '/admin/backups')).CopiesTaken < Asked) await sleep(probeEveryMs);
}

async function call<T>(server: DragonLock, method: string, target: string, body?: string): Promise<T> {
  const headers = { 'content-type': 'application/json' };
  const init = { method, ...(body !== undefined && { headers, body }) };
  const response = await fetch(`${originOf(server.target)}${target}`, init);
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${target} was answered ${response.status}: ${text}`);
  return JSON.parse(text) as T;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

function report(part: string, text: string): void {
  process.stdout.write(`${part.padEnd(9)}${text}\n`);
}
