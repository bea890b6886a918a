/**
 * Everything that can be run for longer than `npm test` runs it, step by step:
 *
 *   npm run torture -- --minutes 30                    all of it in turn, from a new seed on
 *   npm run torture -- --minutes 5 --only kill         one of them
 *   npm run torture -- --minutes 5 --seed 17 --only simulator      from this seed on
 *   npm run torture -- --figures                       until every figure is reached, from seed 1 on
 *   npm run torture -- --figures --only kill,eio       until those of these steps are
 *
 * Each step is a child process with seeds of its own (test/torture/steps.ts). One line says what runs, one line a step
 * what it has done and injected. At the first failure it stops, says what failed, keeps all that the step has said and
 * left, and prints the one command that repeats it. In the end it prints what was done in all, and how far each figure
 * (test/torture/figures.ts) has been reached; below one that was to be reached the exit code is 1.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { figures, type Figure } from './torture/figures.ts';
import { countsIn, figuresOf, Report } from './torture/report.ts';
import { commandOf, endRunning, runStep, type Outcome } from './torture/run-step.ts';
import { steps, type Run, type Step, type StepName } from './torture/steps.ts';

const { minutes, first, only, untilReached } = readArguments();
const startedAt = performance.now();
const report = new Report();
const nextSeed = new Map<StepName, number>();
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'dragonlock-torture-'));
let signalled = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    signalled = true;
    console.error('\nending the step that runs');
    endRunning();
  });
}

console.log(
  `torture: ${untilReached ? 'until the figures are reached' : `${minutes} minutes`}, from seed ${first}: ${only.join(', ')}`,
);
const failed = !(await takeTurns());
if (!failed) fs.rmSync(directory, { recursive: true, force: true });
console.log(`\ntorture: ${report.done} steps in ${Math.round(secondsSince(startedAt))} s, ${ending()}. In all:`);
console.log(report.totals());
const counted = (Object.keys(figures) as Figure[]).filter((figure) =>
  only.some((name) => figuresOf(name).includes(figure)),
);
const wanted = counted.filter((figure) => (untilReached ? mainFigures().has(figure) : report.reached(figure) > 0));
console.log(`\n${report.table(wanted)}`);
const below = untilReached ? wanted.filter((figure) => report.reached(figure) < figures[figure].target) : [];
if (below.length > 0) console.log(`\nnot reached: ${below.join(', ')}`);
process.exitCode = failed ? 1 : signalled ? 130 : below.length > 0 ? 1 : 0;

/** False: a step has failed. */
async function takeTurns(): Promise<boolean> {
  for (let round = 0; ; round += 1) {
    const due = only.filter((name) => (round === 0 || !isOnce(name)) && (!untilReached || report.isWanted(name)));
    if (due.length === 0) return true;
    for (const name of due) {
      if (signalled || secondsSince(startedAt) >= minutes * 60) return true;
      if (!(await take(name))) return false;
    }
  }
}

async function take(name: StepName): Promise<boolean> {
  const step: Step = steps[name];
  const seed = nextSeed.get(name) ?? first;
  nextSeed.set(name, seed + step.seeds);
  const run = step.run(seed);
  const own = path.join(directory, `${name}-${seed}`);
  const outcome = await runStep(run, own, (line) => {
    if (process.stdout.isTTY) process.stdout.write(`\r${clock()}  ${name}, seed ${seed}… ${line}\u001b[K`);
  });
  if (signalled) return true;
  const counts = countsIn(outcome.said);
  try {
    if (outcome.code !== 0) throw new Error(outcome.hung ? 'it hangs' : `exit code ${outcome.code}`);
    report.add(name, seed, outcome.seconds, counts);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    reportFailure({ name, seed, run, outcome, own, why });
    return false;
  }
  fs.rmSync(own, { recursive: true, force: true });
  const shown = [...counts].map(([what, count]) => `${what} ${count}`).join(', ');
  const short = shown.length > 300 ? `${shown.slice(0, 300)}…` : shown;
  process.stdout.write(process.stdout.isTTY ? '\r\u001b[K' : '');
  console.log(`${clock()}  ${name}, seed ${seed}, ${Math.round(outcome.seconds)} s  ${short}`);
  return true;
}

interface FailedStep {
  readonly name: StepName;
  readonly seed: number;
  readonly run: Run;
  readonly outcome: Outcome;
  /** The directory of the step. */
  readonly own: string;
  readonly why: string;
}

function reportFailure({ name, seed, run, outcome, own, why }: FailedStep): void {
  const { said, seconds } = outcome;
  console.error(`\n${said.slice(-8000)}`);
  console.error(`\nFAILED  ${name}, seed ${seed}, after ${Math.round(seconds)} s: ${why}`);
  console.error(`kept:   ${own} (output.txt is its whole output)`);
  for (const [, place] of said.matchAll(/[Kk]ept for a look: (\S+)/g)) console.error(`kept:   ${place}`);
  // The failed part of the step knows the exact command.
  const command = [...said.matchAll(/(?:again|repeat with): (.*)$/gm)].at(-1)?.[1] ?? commandOf(run);
  console.error(`again:  ${command}`);
  fs.writeFileSync(path.join(own, 'again.txt'), `${name}, seed ${seed}: ${why}\n${command}\n${commandOf(run)}\n`);
}

/** What the steps are run for. */
function mainFigures(): Set<Figure> {
  return new Set(only.flatMap((name) => figuresOf(name).slice(0, 1)));
}

function isOnce(name: StepName): boolean {
  return (steps[name] as Step).once === true;
}

function ending(): string {
  if (failed) return 'then a failure';
  return signalled ? 'then stopped, no failure' : 'no failure';
}

function clock(): string {
  const passed = Math.round(secondsSince(startedAt));
  return `${Math.floor(passed / 60)}:${String(passed % 60).padStart(2, '0')}${untilReached ? '' : ` of ${minutes}:00`}`;
}

function secondsSince(start: number): number {
  return (performance.now() - start) / 1000;
}

function readArguments(): { minutes: number; first: number; only: StepName[]; untilReached: boolean } {
  const names = Object.keys(steps) as StepName[];
  try {
    const { values } = parseArgs({
      options: {
        minutes: { type: 'string' },
        figures: { type: 'boolean' },
        seed: { type: 'string' },
        only: { type: 'string', multiple: true },
      },
    });
    const chosen = (values.only ?? names).flatMap((text) => text.split(',')) as StepName[];
    const unknown = chosen.filter((name) => !names.includes(name));
    if (unknown.length > 0) throw new Error(`there is no ${unknown.join(', ')}`);
    const untilReached = values.figures === true;
    const only = untilReached ? chosen.filter((name) => figuresOf(name).length > 0) : chosen;
    const minutes = Number(values.minutes ?? (untilReached ? Infinity : 10));
    const first = Number(values.seed ?? (untilReached ? 1 : Math.floor(Math.random() * 1_000_000_000)));
    if (!(minutes > 0) || !Number.isSafeInteger(first)) throw new Error('wanted numbers');
    return { minutes, first, only, untilReached };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    console.error(
      `${why}\nusage: npm run torture -- --minutes M | --figures [--seed S] [--only NAME,…]\nnames: ${names.join(', ')}`,
    );
    return process.exit(64);
  }
}
