/**
 * `npm run loadtest`: the figures that Dragon Lock promises, measured on this machine.
 *
 *   --only NAME        that scenario only; may be given several times
 *   --seconds N        of one timed run (default 10)
 *   --quick            short runs, to see that everything works
 *   --data-dir DIR     the disk under test (default: the working directory); a directory is made in it and removed
 *   --json FILE        the report as JSON too
 *   --list             names the scenarios
 *
 * Each scenario starts the real server on an empty data directory, as a child process that listens on 127.0.0.1. Timed
 * runs are repeated and the median is shown. What was started is ended, by its process id, however this ends. Exit code
 * 1: a scenario failed. A goal that is missed is no failure of the bench: the machine may be slow or busy; how much of
 * its CPU went to processes that are not ours stands beside each figure.
 */
import type { ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { isMemory, probeDisk } from './disk-probe.ts';
import type { Generator } from './load/measure.ts';
import { runOwn } from './load/own.ts';
import { isSingle } from './load/workloads.ts';
import { hasWrk, runWrk, wrkMissing } from './load/wrk.ts';
import { describeMachine } from './machine.ts';
import { machineMicros, ownMicros } from './process-stats.ts';
import { renderReport, type Report, type ScenarioReport } from './report.ts';
import type { Bench, Scenario } from './scenario.ts';
import { durableWrites } from './scenarios/durable-writes.ts';
import { memory } from './scenarios/memory.ts';
import { oneConnection } from './scenarios/one-connection.ts';
import { rateScenarios } from './scenarios/rates.ts';
import { replay } from './scenarios/replay.ts';
import { watchers } from './scenarios/watchers.ts';
import { ServerUnderLoad } from './server-under-load.ts';

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    seconds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    'data-dir': { type: 'string', default: '.' },
    json: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
});
const probeWrites = flags.quick ? 300 : 2000;

const children = new Set<ChildProcess>();
const parent = path.resolve(flags['data-dir']);
if (isMemory(parent)) refuse(`${parent} is memory, not a disk; give another directory with --data-dir`);
const work = fs.mkdtempSync(path.join(parent, '.loadtest-'));
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  fs.rmSync(work, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));

const own: Generator = { name: 'own (Node)', run: (order, clock) => runOwn(order, clock, track) };
const wrk: Generator = { name: 'wrk', run: (order, clock) => runWrk(order, clock, work, track) };
const single = hasWrk() ? wrk : own;
const generatorNote =
  single === wrk
    ? 'wrk -t1; the own one (Node, slower) where a request depends on a reply'
    : `own (Node): ${wrkMissing}. It takes more CPU than wrk from the server beside it: expect lower rates`;

const scenarios: readonly Scenario[] = [
  durableWrites(single),
  oneConnection(single),
  watchers(track),
  replay,
  ...rateScenarios((workload) => (isSingle(workload) ? single : own)),
  memory(single),
];

if (flags.list) {
  for (const { name, about } of scenarios) process.stdout.write(`${name.padEnd(16)}${about}\n`);
  process.exit(0);
}
const unknown = flags.only?.find((name) => !scenarios.some((scenario) => scenario.name === name));
if (unknown !== undefined) refuse(`There is no scenario ${unknown}; --list names them`);
const seconds = Number(flags.seconds ?? (flags.quick ? 3 : 10));
if (!Number.isInteger(seconds) || seconds < 1 || seconds > 600)
  refuse('--seconds: wanted a whole number from 1 to 600');

const report = await run();
process.stdout.write(`\n${renderReport(report)}`);
if (flags.json !== undefined) fs.writeFileSync(flags.json, `${JSON.stringify(report, undefined, 2)}\n`);
process.exit(report.scenarios.some(({ error }) => error !== undefined) ? 1 : 0);

async function run(): Promise<Report> {
  const options = { seconds, repeats: 3, quick: flags.quick };
  const machine = describeMachine();
  const disk = probeDisk(work, probeWrites);
  const reports: ScenarioReport[] = [];
  for (const scenario of scenarios) {
    if (flags.only !== undefined && !flags.only.includes(scenario.name)) continue;
    progress(`${scenario.name}: ${scenario.about}`);
    reports.push(await runScenario(scenario, options));
  }
  return {
    startedAt: new Date().toISOString(),
    machine,
    disk: { ...disk, directory: parent },
    load: { seconds, repeats: options.repeats, generator: generatorNote },
    scenarios: reports,
  };
}

async function runScenario(scenario: Scenario, options: Bench['options']): Promise<ScenarioReport> {
  const takenByOthers = watchOthers();
  const servers: ServerUnderLoad[] = [];
  const directories: string[] = [];
  const newDirectory = (): string => {
    const directory = fs.mkdtempSync(path.join(work, 'data-'));
    directories.push(directory);
    return directory;
  };
  const bench: Bench = {
    options,
    newDirectory,
    remove: (directory) => fs.rmSync(directory, { recursive: true, force: true }),
    async startServer(settings = {}, directory = newDirectory()) {
      const server = await ServerUnderLoad.start(directory, settings, track);
      servers.push(server);
      return server;
    },
    probeDisk: () => probeDisk(work, probeWrites),
    progress: (line) => progress(`  ${line}`),
  };
  try {
    const figures = await scenario.run(bench);
    for (const server of servers) await server.stop();
    return { name: scenario.name, figures, takenByOthers: takenByOthers() };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    progress(`  failed: ${message}`);
    return { name: scenario.name, figures: [], takenByOthers: takenByOthers(), error: message };
  } finally {
    for (const child of children) child.kill('SIGKILL');
    for (const directory of directories) bench.remove(directory);
  }
}

/** @returns what tells the share that others took since then; our own processes must have ended. */
function watchOthers(): () => number {
  const before = { at: performance.now(), micros: machineMicros() - ownMicros() };
  return () => {
    const elapsedMicros = (performance.now() - before.at) * 1000;
    const others = machineMicros() - ownMicros() - before.micros;
    return Math.max(0, others / (elapsedMicros * os.availableParallelism()));
  };
}

function track(child: ChildProcess): void {
  children.add(child);
  child.once('exit', () => children.delete(child));
}

function progress(line: string): void {
  process.stdout.write(`${line}\n`);
}

function refuse(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
