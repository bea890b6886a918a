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
 * Servers and the command are started from a bundle, as a package has them. Each step has a deadline, and so has the
 * whole, which is told first. It ends what it has started, by ids, on any exit; where the system has setpriv, also if it
 * is killed itself.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { bundleServer } from '../build/server-bundle.ts';
import { endAfter, within } from './deadlines.ts';
import { runGenerator } from './load/generator.ts';
import { originOf } from './load/load-spec.ts';
import { DragonLock } from './servers/dragon-lock.ts';
import { diesWithUs } from './servers/programs.ts';
import { median, quantile } from './statistics.ts';

const usage = `node loadtest/backups.ts …

  --only NAME,…     loss, cost, restore (default: all)
  --rate N          writes a second that arrive (default 2000)
  --seconds N       length of a timed run (default 5)
  --rounds N        turns of cost (default 3)
  --store-mb N      of values in the store while copies are made (default 20)
  --restore-mb N    of values in the store that is restored (default 20)
  --log-mb N        of values written after its last copy (default 10)
  --data-dir DIR    the disk under test (default: the working directory)
  --profile DIR     a CPU profile of the restore goes there
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
    profile: { type: 'string' },
  },
});
if (flags.help) {
  process.stdout.write(usage);
  process.exit(0);
}
const [rate, seconds, rounds] = [Number(flags.rate), Number(flags.seconds), Number(flags.rounds)];
const [costMb, storeMb, logMb] = [Number(flags['store-mb']), Number(flags['restore-mb']), Number(flags['log-mb'])];
const parts = { loss: measureLoss, cost: measureCost, restore: measureRestore };
type Part = keyof typeof parts;
const chosen = flags.only.split(',').filter((name): name is Part => Object.hasOwn(parts, name));
if (
  ![rate, seconds, rounds, costMb, storeMb, logMb].every((one) => one > 0) ||
  chosen.length < flags.only.split(',').length
) {
  process.stderr.write(usage);
  process.exit(64);
}

// Of each step. A machine may be busy and its disk slow; who is slower than this has failed.
const startMsMax = 60_000;
const stopMsMax = 90_000;
const callMsMax = 60_000;
const shippedMsMax = 120_000;
const loadMsMax = seconds * 1000 + 60_000;
const bytesPerMsMin = 3000;
const partMsMax: Readonly<Record<Part, number>> = {
  loss: startMsMax + loadMsMax + shippedMsMax + stopMsMax,
  cost:
    2 * (startMsMax + stopMsMax + moveMsMax(costMb)) + (1 + rounds) * moveMsMax(costMb) + (1 + 3 * rounds) * loadMsMax,
  restore: 2 * (startMsMax + stopMsMax) + moveMsMax(storeMb) + 3 * moveMsMax(storeMb + logMb) + shippedMsMax,
};

/** To fill, copy or restore as much. */
function moveMsMax(mb: number): number {
  return 60_000 + (mb * 1e6) / bytesPerMsMin;
}

const children = new Set<ChildProcess>();
const work = fs.mkdtempSync(path.join(flags['data-dir'], '.loadtest-backups-'));
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  fs.rmSync(work, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));
const msMax = chosen.reduce((sum, name) => sum + partMsMax[name], startMsMax);
endAfter(msMax, (text) => process.stderr.write(`${text}\n`));
report('limit', `ends after ${Math.ceil(msMax / 60_000)} minutes at the latest`);
const bundle = path.resolve(work, 'server');
const node = [...diesWithUs(), process.execPath];
try {
  // The bundle finds its packages above it, wherever the disk under test is.
  fs.symlinkSync(path.resolve(import.meta.dirname, '../node_modules'), path.join(work, 'node_modules'));
  await within('the bundle', startMsMax, bundleServer(bundle, { commands: true }));
  for (const name of chosen) await parts[name]();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
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
  await within('all probes in the backup', shippedMsMax, probing);
  await stop(server);
  const at = (share: number): string => `${Math.round(quantile(lost, share))} ms`;
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
  for (const server of [plain, backedUp]) await fill(server, costMb);
  await copyOf(backedUp, costMb);
  await Promise.all([plain, backedUp].map((server) => load(server)));
  const found = { without: [] as number[], shipping: [] as number[], copying: [] as number[] };
  let copies = 0;
  const runs = [
    async () => found.without.push(await load(plain)),
    async () => found.shipping.push(await load(backedUp)),
    async () => {
      const end = { isOver: false };
      const copying = copyUntil(backedUp, end);
      found.copying.push(await load(backedUp));
      end.isOver = true;
      copies += await copying;
    },
  ];
  for (let round = 0; round < rounds; round += 1) {
    // Another one begins each round, so that what a busy machine does later meets each of them.
    for (let turn = 0; turn < runs.length; turn += 1) await runs[(round + turn) % runs.length]!();
    const [without, shipping, copying] = Object.values(found).map((list) => `${list.at(-1)!.toFixed(2)} ms`);
    report('cost', `round ${round + 1}: p99 ${without} without, ${shipping} shipping, ${copying} copying`);
  }
  await Promise.all([plain, backedUp].map((server) => stop(server)));
  const without = median(found.without);
  const times = (list: readonly number[]): string =>
    `${(median(list) / without).toFixed(2)} × (${median(list).toFixed(2)} ms)`;
  report(
    'cost',
    `p99 of writes at ${rate}/s, medians of ${rounds}: ${without.toFixed(2)} ms without, ` +
      `${times(found.shipping)} while shipping, ${times(found.copying)} copying (${copies} copies of ${costMb} MB)`,
  );
}

/** @returns how many copies were made */
async function copyUntil(server: DragonLock, end: { readonly isOver: boolean }): Promise<number> {
  let copies = 0;
  for (; !end.isOver; copies += 1) await copyOf(server, costMb);
  return copies;
}

async function measureRestore(): Promise<void> {
  const server = await start('restore', true);
  await fill(server, storeMb);
  await copyOf(server, storeMb);
  await fill(server, logMb);
  await within('all in the backup', shippedMsMax, shipped(server));
  await stop(server);
  const target = path.join(work, 'restored');
  const url = `file://${path.resolve(work, 'restore-backup')}`;
  const profiled = flags.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${path.resolve(flags.profile)}`];
  const [command, ...before] = [...node, ...profiled, path.join(bundle, 'cli/main.js')];
  const begun = performance.now();
  const child = spawn(command, [...before, 'restore', url, '--data-dir', target, '--adopt'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  track(child);
  const [code] = (await within('the restore', moveMsMax(storeMb + logMb), once(child, 'exit'))) as [number | null];
  if (code !== 0) throw new Error(`The restore ended with ${code}`);
  const restoredMs = performance.now() - begun;
  const again = await start('restored', false);
  const totalMs = performance.now() - begun;
  await stop(again);
  report(
    'restore',
    `${storeMb} MB with ${logMb} MB of log: ${(restoredMs / 1000).toFixed(1)} s, serving after ${(totalMs / 1000).toFixed(1)} s`,
  );
}

/** Resolves when what was committed so far is in the backup. */
async function shipped(server: DragonLock): Promise<void> {
  const { Rev } = await call<{ Rev: number }>(server, 'POST', '/db/probe/kv/key', '1');
  while ((await call<BackupStatus>(server, 'GET', '/admin/backups')).Shipped < Rev) await sleep(probeEveryMs);
}

function start(name: string, hasBackup: boolean): Promise<DragonLock> {
  const settings = hasBackup ? { backup: { url: `file://${path.resolve(work, `${name}-backup`)}` } } : {};
  const program = [...node, path.join(bundle, 'main/server.js')];
  return within(`start of ${name}`, startMsMax, DragonLock.start(path.join(work, name), settings, track, program));
}

function stop(server: DragonLock): Promise<void> {
  return within('the end of a server', stopMsMax, server.stop());
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
  const { latency } = await within('a load', loadMsMax, runGenerator(spec, generators, clock, track));
  if (latency === undefined) throw new Error('The generator measured no latencies');
  return latency.p99Ms;
}

/** Writes as many MB of values, each under a key of its own. */
function fill(server: DragonLock, mb: number): Promise<void> {
  const batches = Math.ceil((mb * 1e6) / (keysPerBatch * valueBytes));
  let next = 0;
  const run = async (): Promise<void> => {
    for (let batch = next++; batch < batches; batch = next++) {
      const KVSet = Array.from({ length: keysPerBatch }, (_, i) => ({
        Key: `fill/${mb}/${batch}/${i}`,
        Value: `${batch}-${i}-`.padEnd(valueBytes, String(Math.random()).slice(2)),
      }));
      await call(server, 'POST', `/db/fill${batch % fillers}`, JSON.stringify({ KVSet }));
    }
  };
  return within(
    `${mb} MB of values`,
    moveMsMax(mb),
    Promise.all(Array.from({ length: fillers }, run)).then(() => {}),
  );
}

async function copyOf(server: DragonLock, mb: number): Promise<void> {
  const taken = async (): Promise<void> => {
    // The server makes its first copy by itself, and takes no other meanwhile.
    while ((await call<BackupStatus>(server, 'GET', '/admin/backups')).Copying) await sleep(probeEveryMs);
    const { Asked = 0 } = await call<BackupStatus>(server, 'POST', '/admin/backups');
    while ((await call<BackupStatus>(server, 'GET', '/admin/backups')).CopiesTaken < Asked) await sleep(probeEveryMs);
  };
  await within(`a copy of ${mb} MB`, moveMsMax(mb), taken());
}

async function call<T>(server: DragonLock, method: string, target: string, body?: string): Promise<T> {
  const headers = { 'content-type': 'application/json' };
  const signal = AbortSignal.timeout(callMsMax);
  const init = { method, signal, ...(body !== undefined && { headers, body }) };
  const response = await fetch(`${originOf(server.target)}${target}`, init);
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${target} was answered ${response.status}: ${text}`);
  return JSON.parse(text) as T;
}

function report(part: string, text: string): void {
  process.stdout.write(`${part.padEnd(9)}${text}\n`);
}
