/**
 * Everything that can be run for longer than `npm test` runs it, in turn, for as long as it is told:
 *
 *   npm run torture -- --minutes 30                    all of it, from a new seed on
 *   npm run torture -- --minutes 5 --only kill         one of them
 *   npm run torture -- --seed 17 --only simulator      from this seed on
 *
 * Each step is a child process with a seed of its own. One line says what runs, one line a step what it has done and
 * injected. At the first failure it stops, says what failed and where its files are, and prints the one command that
 * repeats it. A step that takes much longer than it should is a hang, and a failure too.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';

interface Step {
  readonly env?: Readonly<Record<string, string>>;
  /** Behind `node`. */
  readonly argv: readonly string[];
}

const testFile = (file: string, env: Step['env'] = {}): Step => ({ env, argv: ['--test', file] });
const crash = (file: string, seed: number): Step =>
  testFile(`test/crash/${file}.test.ts`, { DRAGONLOCK_CRASH_SEED: String(seed), DRAGONLOCK_CRASH_ROUNDS: '12' });
const fuzz = (target: string, seed: number, count: number): Step => ({
  argv: ['test/fuzz/run.ts', target, String(seed), String(count)],
});
const model = (file: string, seed: number): Step => testFile(file, { DRAGONLOCK_SEED: String(seed) });

/** Each of about half a minute, so that all have their turn. */
const steps = {
  simulator: (seed) => ({ argv: ['test/sim/run.ts', '--seeds', `${seed}..${seed + 199}`] }),
  kill: (seed) => crash('kill', seed),
  failpoints: (seed) => crash('failpoints', seed),
  bank: (seed) => crash('bank', seed),
  damage: (seed) => crash('damage', seed),
  eio: (seed) => crash('disk-error', seed),
  'fuzz-http': (seed) => fuzz('http', seed, 6000),
  'fuzz-bodies': (seed) => fuzz('bodies', seed, 20_000),
  'fuzz-decoders': (seed) => fuzz('decoders', seed, 1_000_000),
  'fuzz-recovery': (seed) => fuzz('recovery', seed, 2500),
  'core-model': (seed) => model('test/shard-worker/core-model.test.ts', seed),
  'server-model': (seed) => model('test/router/server-model.test.ts', seed),
  'checker-model': (seed) => model('test/checkers/witness-random.test.ts', seed),
  'seeded-bugs': () => ({ argv: ['test/seeded-bugs/run.ts', '--all'] }),
} as const satisfies Record<string, (seed: number) => Step>;

type StepName = keyof typeof steps;
/** Deterministic: once is enough. */
const once = new Set<StepName>(['seeded-bugs']);
/** What tests report beside counts: a sum of it says nothing. */
const noCounts = new Set(['seed', 'oldest', 'when', 'cpuSeconds']);
const stepMsMax = 15 * 60_000;
/** Seeds of two rounds do not overlap. */
const seedsPerRound = 10_000_000;
const root = fileURLToPath(new URL('../', import.meta.url));

const { minutes, first, only } = readArguments();
const startedAt = performance.now();
const totals = new Map<string, number>();
const running = new Map<string, ChildProcess>();
let signalled = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    signalled = true;
    for (const [name, child] of running) {
      console.error(`\nending ${name} (process ${child.pid})`);
      end(child);
    }
  });
}

console.log(`torture: ${minutes} minutes from seed ${first}: ${only.join(', ')}`);
let done = 0;
for (let round = 0; timeIsLeft(); round += 1) {
  const due = only.filter((name) => round === 0 || !once.has(name));
  if (due.length === 0) break;
  for (const name of due) {
    if (!timeIsLeft()) break;
    await take(name, first + round * seedsPerRound);
    if (!signalled) done += 1;
  }
}
const seconds = Math.round((performance.now() - startedAt) / 1000);
console.log(
  `\ntorture: ${done} steps in ${seconds} s without a failure${signalled ? ', then stopped' : ''}. What was done and injected:`,
);
for (const [what, count] of [...totals].toSorted(([a], [b]) => (a < b ? -1 : 1))) console.log(`  ${what}: ${count}`);
process.exitCode = signalled ? 130 : 0;

async function take(name: StepName, seed: number): Promise<void> {
  const step: Step = steps[name](seed);
  const began = performance.now();
  const { code, said, hung } = await run(name, seed, step);
  if (signalled) return;
  const took = ((performance.now() - began) / 1000).toFixed(0);
  if (code !== 0) {
    const command = [...Object.entries(step.env ?? {}).map(([key, value]) => `${key}=${value}`), 'node', ...step.argv];
    console.error(`\n${said.slice(-8000)}`);
    console.error(`\nFAILED  ${name}, seed ${seed}, ${took} s${hung ? ', which is a hang' : ''}`);
    for (const [, place] of said.matchAll(/[Kk]ept for a look: (\S+)/g)) console.error(`kept:   ${place}`);
    // What failed within the step knows best.
    const own = [...said.matchAll(/(?:again|repeat with): (.*)$/gm)].at(-1)?.[1];
    console.error(`again:  ${own ?? command.join(' ')}`);
    process.exit(1);
  }
  const counts = countsIn(said);
  for (const [what, count] of counts) totals.set(`${name}: ${what}`, (totals.get(`${name}: ${what}`) ?? 0) + count);
  const shown = counts.map(([what, count]) => `${what} ${count}`).join(', ');
  console.log(
    `\r${clock()}  ${name}, seed ${seed}, ${took} s  ${shown.length > 300 ? `${shown.slice(0, 300)}…` : shown}`,
  );
}

async function run(
  name: string,
  seed: number,
  step: Step,
): Promise<{ code: number | null; said: string; hung: boolean }> {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const child = spawn(process.execPath, step.argv, {
    cwd: root,
    env: { ...env, ...step.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  running.set(name, child);
  let said = '';
  const hear = (piece: string): void => void (said = (said + piece).slice(-200_000));
  child.stdout.setEncoding('utf8').on('data', hear);
  child.stderr.setEncoding('utf8').on('data', hear);
  let hung = false;
  const limit = setTimeout(() => {
    hung = true;
    end(child);
  }, stepMsMax);
  const progress = setInterval(() => {
    if (process.stdout.isTTY) process.stdout.write(`\r${clock()}  ${name}, seed ${seed}… ${lastLine(said)}\u001b[K`);
  }, 1000);
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  clearTimeout(limit);
  clearInterval(progress);
  running.delete(name);
  return { code, said, hung };
}

/** The process and those that it started, each by its id: servers under test stand in groups of their own. */
function end(child: ChildProcess): void {
  if (child.pid === undefined) return;
  for (const pid of [...descendants(child.pid), child.pid]) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  }
}

/** As /proc has them; elsewhere nobody is known. */
function descendants(pid: number): number[] {
  if (!fs.existsSync('/proc/self/stat')) return [];
  const parents = new Map<number, number>();
  for (const name of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = fs.readFileSync(`/proc/${name}/stat`, 'utf8');
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      // It has ended while we looked.
    }
  }
  const found = [pid];
  for (const one of found) for (const [child, parent] of parents) if (parent === one) found.push(child);
  return found.slice(1).toReversed();
}

/** Every `name: number` of what a step reports: JSON of tests, objects as Node prints them. */
function countsIn(said: string): [string, number][] {
  const report = said
    .split('\n')
    .filter((line) => /^(ℹ \{|\s+'?[\w ,:.()-]+'?: \d+,?$|.*seed \d+, \d+ inputs|\d+ of \d+)/.test(line));
  const pairs = report.flatMap((line) => [...line.matchAll(/["']?([a-zA-Z][\w ,:'.()-]*?)["']?: ?(\d+)(?=[,} ]|$)/g)]);
  const counts = new Map<string, number>();
  for (const [, what, count] of pairs) {
    if (!noCounts.has(what!)) counts.set(what!, (counts.get(what!) ?? 0) + Number(count));
  }
  const inputs = /seed \d+, (\d+) inputs/.exec(said)?.[1];
  if (inputs !== undefined) counts.set('inputs', Number(inputs));
  const caught = /^(\d+) of \d+ caught$/m.exec(said)?.[1];
  if (caught !== undefined) counts.set('caught', Number(caught));
  return [...counts];
}

function lastLine(text: string): string {
  return text
    .trimEnd()
    .slice(-400)
    .split(/[\r\n]/)
    .at(-1)!
    .slice(0, 80);
}

function timeIsLeft(): boolean {
  return !signalled && performance.now() - startedAt < minutes * 60_000;
}

function clock(): string {
  const passed = Math.round((performance.now() - startedAt) / 1000);
  return `${Math.floor(passed / 60)}:${String(passed % 60).padStart(2, '0')} of ${minutes}:00`;
}

function readArguments(): { minutes: number; first: number; only: StepName[] } {
  const names = Object.keys(steps) as StepName[];
  try {
    const { values } = parseArgs({
      options: { minutes: { type: 'string' }, seed: { type: 'string' }, only: { type: 'string', multiple: true } },
    });
    const only = (values.only ?? names).flatMap((text) => text.split(',')) as StepName[];
    const unknown = only.filter((name) => !names.includes(name));
    if (unknown.length > 0) throw new Error(`there is no ${unknown.join(', ')}`);
    const minutes = Number(values.minutes ?? 10);
    const first = Number(values.seed ?? Math.floor(Math.random() * 1_000_000_000));
    if (!(minutes > 0) || !Number.isSafeInteger(first)) throw new Error('wanted numbers');
    return { minutes, first, only };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    console.error(`${why}\nusage: npm run torture -- --minutes M [--seed S] [--only NAME]\nnames: ${names.join(', ')}`);
    return process.exit(64);
  }
}
