/**
 * `npm run loadtest`: measures what this machine can do with Dragon Lock, and with the alternatives to it.
 * `arguments.ts` has the flags, rows/ has the rows.
 *
 * Servers are child processes on free ports of 127.0.0.1 with data directories on the disk under test. The load test
 * ends every process that it started, by its process id, on any exit. Exit code 1: a row failed. A missed goal is no
 * failure, because the machine may be slow or busy; the report says how much of its CPU went to other processes.
 */
import type { ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { BadArguments, choose, parseArguments, usage, type Arguments } from './arguments.ts';
import { isMemory, probeDisk } from './disk-probe.ts';
import { judge } from './goals.ts';
import { originOf } from './load/load-spec.ts';
import { overResp } from './load/types.ts';
import { runGenerator } from './load/generator.ts';
import { isSingle } from './load/workloads.ts';
import { runWrk } from './load/wrk.ts';
import { describeMachine } from './machine.ts';
import { observe } from './observe.ts';
import { machineMicros, selfAndChildrenMicros } from './process-stats.ts';
import { renderTerminal } from './report/terminal.ts';
import { readReport, writeDocuments, writeReport } from './report/write-report.ts';
import type { Report, RowResult, ServerNote } from './results.ts';
import { allRows } from './rows/all-rows.ts';
import type { Contestant, Row, Run } from './rows/row.ts';
import { headOf, messageOf, runRow } from './run-row.ts';
import { DragonLock, RunningServer } from './servers/dragon-lock.ts';
import { findPeer, peerTitle, startPeer, type PeerKind } from './servers/peers.ts';
import { findQueuePackage, queuePackages } from './servers/queue-packages.ts';
import { hasWrk, wrkMissing } from './servers/programs.ts';

const children = new Set<ChildProcess>();
const args = readArguments();
if (args.help) finish(usage);
const chosen = rowsToRun(args);
if (args.list)
  finish(chosen.map(({ name, group, title }) => `${name.padEnd(24)}${group.padEnd(9)}${title}\n`).join(''));
if (args.from !== undefined) {
  show(readReport(args.from));
  process.exit(0);
}
if (isMemory(args.dataDirectory))
  refuse(`${args.dataDirectory} is in memory, expected a directory on a disk: choose one with --data-dir`);

const work = fs.mkdtempSync(path.join(args.dataDirectory, '.loadtest-'));
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  fs.rmSync(work, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // Keep the results so far, which may be most of an hour's work. The documents need a complete run.
    if (rows.length > 0) show(report(), false);
    process.exit(1);
  });
}

const peers = new Map((['redis', 'etcd', 'nats', 'postgres'] as const).map((kind) => [kind, findPeer(kind)]));
const wrk = hasWrk();

const startedAt = new Date();
const machine = {
  ...describeMachine(),
  ...(args.target !== undefined && { 'loaded server': originOf(args.target) }),
};
const disk = probeDisk(work, args.quick ? 300 : 2000);
const rows: RowResult[] = [];
await measureAll();
show(report());
process.exit(rows.some(({ error }) => error !== undefined) ? 1 : 0);

function show(report: Report, docs = args.docs): void {
  const files = [...writeReport(report, args.out), ...(docs ? writeDocuments(report) : [])];
  const names = files.map((file) => path.relative('.', file)).join(', ');
  process.stdout.write(`\n${renderTerminal(report)}\n${names}\n`);
}

async function measureAll(): Promise<void> {
  for (const [index, row] of chosen.entries()) {
    const [title, ofAll] = [`${row.name}: ${row.title}`, `${index + 1}/${chosen.length}`];
    process.stdout.write(`[${ofAll}, ${Math.round((Date.now() - startedAt.getTime()) / 1000)} s] ${title}\n`);
    rows.push(await measureRow(row));
  }
}

/** Report of the rows measured so far. */
function report(): Report {
  return {
    format: 1,
    startedAt: startedAt.toISOString(),
    seconds: (Date.now() - startedAt.getTime()) / 1000,
    command: ['npm run loadtest', ...(process.argv.length > 2 ? ['--', ...shownArguments()] : [])].join(' '),
    machine,
    disk: { ...disk, directory: path.relative('.', args.dataDirectory) || '.' },
    options: { seconds: args.seconds, repeats: args.repeats, quick: args.quick },
    servers: serverNotes(),
    rows,
  };
}

async function measureRow(row: Row): Promise<RowResult> {
  const others = measureOthers();
  const directories: string[] = [];
  const newDirectory = (): string => {
    const directory = fs.mkdtempSync(path.join(work, 'data-'));
    directories.push(directory);
    return directory;
  };
  const run: Omit<Run, 'seconds' | 'id'> = {
    quick: args.quick,
    generators: args.generators,
    observe,
    load: (server, spec, generator) =>
      observe(server, (clock) => {
        const target = spec.door === 'resp' ? overResp(server.target, 'resp') : server.target;
        const full = { ...spec, target };
        const single = isSingle(spec.workload) && spec.arrivalsPerSecond === undefined;
        return wrk && single && target.dialect !== 'resp' && generator !== 'built-in'
          ? runWrk(full, clock, { threads: args.generators, directory: work, onSpawn: track })
          : runGenerator(full, args.generators, clock, track);
      }),
    async start(spec, directory = newDirectory()) {
      if (spec.kind !== 'dragonlock') return startPeer(spec.kind, directory, track);
      if (args.target !== undefined) return new RunningServer({ ...args.target, dialect: 'dragonlock' });
      return DragonLock.start(directory, spec.settings, track);
    },
    queuePeers: args.queuePeers,
    newDirectory,
    remove,
    onSpawn: track,
    progress: (line) => process.stdout.write(`  ${line}\n`),
  };
  const contestants = row.contestants.filter(isAvailable);
  try {
    const { repeats } = args;
    const seconds = args.quick ? args.seconds : Math.max(args.seconds, row.secondsMin ?? 0);
    const result = await runRow({ ...row, contestants }, { seconds, repeats, warmUpSeconds: args.quick ? 1 : 6, run });
    return { ...result, takenByOthers: others() };
  } catch (error) {
    const message = messageOf(error);
    process.stdout.write(`  failed: ${message}\n`);
    const goals = (row.goals ?? []).map((goal) => judge(goal, row.unit, []));
    return { ...headOf(row), contestants: [], goals, takenByOthers: others(), error: message };
  } finally {
    for (const child of children) child.kill('SIGKILL');
    for (const directory of directories) remove(directory);
  }
}

function remove(directory: string): void {
  fs.rmSync(directory, { recursive: true, force: true });
}

function rowsToRun({ only, quick, latencies, target }: Arguments): readonly Row[] {
  try {
    const rows = allRows(latencies).filter(({ local = false }) => !local || target === undefined);
    return choose(only.length === 0 && quick ? rows.filter((row) => row.quick === true) : rows, only);
  } catch (error) {
    return refuse(argumentError(error));
  }
}

function isAvailable(contestant: Contestant): boolean {
  const needs = 'server' in contestant ? contestant.needs : undefined;
  if (needs !== undefined && findQueuePackage(args.queuePeers, needs) === undefined) return false;
  const { kind } = 'server' in contestant ? contestant.server : contestant.starts;
  if (kind === 'dragonlock') return true;
  // Starting PostgreSQL alone takes seconds.
  if (args.quick && args.only.length === 0 && kind === 'postgres') return false;
  return args.peers && 'version' in (peers.get(kind) ?? {});
}

function serverNotes(): ServerNote[] {
  const kinds = [...peers.keys()] satisfies PeerKind[];
  const generator = wrk ? [] : [{ title: 'wrk', note: wrkMissing }];
  const notes = kinds.map((kind) => {
    const found = peers.get(kind)!;
    const title = peerTitle(kind);
    if (!args.peers) return { title, note: 'left out by --no-peers' };
    return 'version' in found
      ? { title, version: found.version, note: found.durability }
      : { title, note: `${found.program} is not installed (${found.install}); its rows are left out` };
  });
  const queues = queuePackages.map((title) => {
    const version = findQueuePackage(args.queuePeers, title);
    const install = 'npm install --prefix loadtest/peers, or --queue-peers';
    if (!args.peers) return { title, note: 'left out by --no-peers' };
    return version === undefined
      ? { title, note: `it is not installed (${install}); its rows are left out` }
      : { title, version, note: title === 'bullmq' ? 'on Redis as above' : 'on PostgreSQL as above' };
  });
  return [...generator, ...notes, ...queues];
}

/**
 * Returns a function that tells which share of the CPU other processes took since this call. Call it when all children
 * have ended.
 */
function measureOthers(): () => number {
  const before = { at: performance.now(), micros: machineMicros() - selfAndChildrenMicros() };
  return () => {
    const elapsedMicros = (performance.now() - before.at) * 1000;
    const others = machineMicros() - selfAndChildrenMicros() - before.micros;
    return Math.max(0, others / (elapsedMicros * os.availableParallelism()));
  };
}

function track(child: ChildProcess): void {
  children.add(child);
  child.once('exit', () => children.delete(child));
}

function readArguments(): Arguments {
  try {
    return parseArguments(process.argv.slice(2), os.availableParallelism());
  } catch (error) {
    return refuse(argumentError(error));
  }
}

/** The command line without the token. */
function shownArguments(): string[] {
  return process.argv.slice(2).map((word, index, words) => (words[index - 1] === '--token' ? '…' : word));
}

function argumentError(error: unknown): string {
  if (error instanceof BadArguments) return error.message;
  throw error;
}

function refuse(message: string): never {
  process.stderr.write(`${message}\n\n${usage}`);
  process.exit(1);
}

function finish(text: string): never {
  process.stdout.write(text);
  process.exit(0);
}
