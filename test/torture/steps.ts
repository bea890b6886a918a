/**
 * What torture runs: each step is a child process that takes about half a minute, so that all have their turn.
 *
 * A step that is added here needs three things of its child. It takes its seed from its arguments or its environment;
 * it exits with another code than 0 when something is wrong, and prints what repeats it after `again:` or `repeat
 * with:`; and what it has done and injected it prints as JSON, a line by itself or a test's diagnostic:
 *
 *   {"rounds":12,"effective":11}
 *
 * `counts` names the members that go towards a figure; the first is what the step is run for. One that is 0 fails the
 * step: it has tested nothing.
 */
import type { FuzzTarget } from '../fuzz/fuzzers.ts';
import type { Figure } from './figures.ts';

export interface Step {
  /** How many seeds one run uses: the next one begins after them. */
  readonly seeds: number;
  readonly run: (seed: number) => Run;
  readonly counts?: Partial<Readonly<Record<Figure, string>>>;
  /** The step is always the same: once is enough. */
  readonly once?: true;
}

export interface Run {
  readonly env?: Readonly<Record<string, string>>;
  /** The arguments of `node`. */
  readonly argv: readonly string[];
}

export const steps = {
  simulator: {
    seeds: 500,
    run: (seed) => sim('run', seed, 500, '--twice', '10'),
    counts: { 'simulator seeds': 'runs', 'witness-checked operations': 'answer compared with the model' },
  },
  'simulator-faults': {
    seeds: 1,
    run: () => testFile('test/sim/simulator.test.ts', { DRAGONLOCK_SIM_SEEDS: '1000' }),
    once: true,
  },
  'simulator-tasks': {
    seeds: 100,
    run: (seed) =>
      testFile('test/sim/tasks/tasks.test.ts', { DRAGONLOCK_SEED: String(seed), DRAGONLOCK_SIM_SEEDS: '100' }),
    counts: { 'simulator seeds': 'runs' },
  },
  'crash-points': {
    seeds: 100,
    run: (seed) => sim('sweep', seed, 100, '--cuts', '1', '--recoveries', '1'),
    counts: { 'simulated crash points': 'crashes' },
  },
  'disk-errors': {
    seeds: 50,
    run: (seed) => sim('sweep', seed, 50, '--cuts', '0', '--recoveries', '0', '--errors'),
    counts: { 'simulated disk errors': 'errors' },
  },
  kill: {
    seeds: 1,
    run: (seed) => crash('kill', seed, { DRAGONLOCK_CRASH_ROUNDS: '12' }, '--test-name-pattern=^kill -9 under load'),
    counts: { 'kill -9 rounds': 'effective' },
  },
  'resp-kill': {
    seeds: 1,
    run: (seed) => crash('resp-kill', seed, { DRAGONLOCK_CRASH_ROUNDS: '8' }),
    counts: { 'witness-checked operations': 'compared' },
  },
  'backup-kills': {
    seeds: 1,
    run: (seed) => crash('backup-kills', seed, { DRAGONLOCK_CRASH_ROUNDS: '8' }),
    counts: { 'kill -9 rounds': 'rounds' },
  },
  'resp-restarts': {
    seeds: 1,
    run: (seed) => crash('resp-restarts', seed, { DRAGONLOCK_CRASH_ROUNDS: '20' }, '--test-name-pattern=^kill -9'),
  },
  failpoints: { seeds: 1, run: (seed) => crash('failpoints', seed), counts: { 'failpoint kills': 'died' } },
  histories: {
    seeds: 1,
    run: (seed) => crash('histories', seed, { DRAGONLOCK_CRASH_OPERATIONS: '1000' }),
    counts: { 'searched histories': 'searched', 'witness-checked operations': 'compared' },
  },
  bank: { seeds: 1, run: (seed) => crash('bank', seed, { DRAGONLOCK_CRASH_ROUNDS: '5' }) },
  'tasks-and-scripts': {
    seeds: 1,
    run: (seed) => crash('tasks-and-scripts', seed, { DRAGONLOCK_CRASH_ROUNDS: '6' }),
    counts: { 'kill -9 rounds': 'effective' },
  },
  hostile: {
    seeds: 1,
    run: () => ({ argv: ['--test', 'test/hostile/hostile.test.ts'], env: { DRAGONLOCK_LOAD_SCALE: 'full' } }),
  },
  damage: { seeds: 1, run: (seed) => crash('damage', seed, { DRAGONLOCK_LOAD_SCALE: 'full' }) },
  'summer-time': {
    seeds: 1,
    run: () => ({ argv: ['--test', 'test/protocol/task-times.test.ts'], env: { DRAGONLOCK_ZONES: '60' } }),
    once: true,
  },
  'torn-tails': {
    seeds: 1,
    run: (seed) => ({ argv: ['test/damage/run.ts', 'tails', String(seed), '65536'] }),
    counts: { 'torn tails': 'tails' },
  },
  'bit-flips': {
    seeds: 1,
    run: (seed) => ({ argv: ['test/damage/run.ts', 'flips', String(seed), '5000'] }),
    counts: { 'bit flips': 'flips' },
  },
  salvages: {
    seeds: 1,
    run: (seed) => ({ argv: ['test/damage/run.ts', 'salvages', String(seed), '2000'] }),
    counts: { salvages: 'salvages' },
  },
  eio: {
    seeds: 1,
    // Ten at a time, so that ten seeds in a row are all of 1 to 100.
    run: (seed) =>
      crash('disk-error', seed, {
        DRAGONLOCK_CRASH_EIO: `${((seed - 1) % 10) * 10 + 1}..${(((seed - 1) % 10) + 1) * 10}`,
      }),
    counts: { 'EIO at the K-th fdatasync': 'injected' },
  },
  'disk-full': { seeds: 1, run: () => testFile('test/server/disk-full.test.ts'), once: true },
  'config-extremes': {
    seeds: 1,
    run: () => testFile('test/main/config/extremes.test.ts', { DRAGONLOCK_LOAD_SCALE: 'full' }),
    once: true,
  },
  'lock-storm': loadFault('lock-storm'),
  'queue-storm': loadFault('queue-storm'),
  'queue-crowds': { ...loadFault('queue-crowds'), once: true },
  'watch-restarts': loadFault('watch-restarts'),
  'closed-at-grant': loadFault('closed-at-grant'),
  stopped: { ...loadFault('stopped'), once: true },
  'clock-jumps': { ...loadFault('clock-jumps'), once: true },
  'slow-readers': loadFault('slow-readers', { 'slow clients': 'readers' }),
  'slow-senders': loadFault('slow-senders', { 'slow clients': 'senders' }),
  budgets: loadFault('budgets'),
  'fuzz-http': fuzz('http', 20_000, 'requests taken'),
  'fuzz-bodies': fuzz('bodies', 20_000, 'bodies'),
  'fuzz-decoders': fuzz('decoders', 1_000_000),
  'fuzz-recovery': fuzz('recovery', 100_000),
  'fuzz-lane': fuzz('lane', 200_000),
  'http-without-lane': {
    seeds: 1,
    run: () => ({
      argv: ['--test', '--test-concurrency=2', 'test/front-end/http/**/*.test.ts', 'test/server/*.test.ts'],
      env: { DRAGONLOCK_FAST_LANE: 'off' },
    }),
    once: true,
  },
  'core-model': model('test/shard-worker/core/core-model.test.ts'),
  'server-model': model('test/router/server-model.test.ts'),
  'checker-model': model('test/checkers/witness-random.test.ts'),
  'witness-histories': {
    seeds: 1000,
    run: (seed) => ({ argv: ['test/checkers/run.ts', String(seed), '1000'] }),
    counts: { 'witness-checked operations': 'operations' },
  },
  'searched-histories': {
    ...model('test/checkers/linearizability.test.ts'),
    counts: { 'searched histories': 'searched' },
  },
  'seeded-bugs': {
    seeds: 1,
    run: () => ({ argv: ['test/seeded-bugs/run.ts', '--all'] }),
    counts: { 'seeded bugs caught': 'caught' },
    once: true,
  },
} as const satisfies Readonly<Record<string, Step>>;

export type StepName = keyof typeof steps;

function testFile(file: string, env: Run['env'] = {}, ...options: string[]): Run {
  return { env, argv: ['--test', '--test-reporter=spec', ...options, file] };
}

function sim(script: 'run' | 'sweep', seed: number, count: number, ...more: string[]): Run {
  return { argv: [`test/sim/${script}.ts`, '--json', '--seeds', `${seed}..${seed + count - 1}`, ...more] };
}

function crash(file: string, seed: number, env: Run['env'] = {}, ...options: string[]): Run {
  return testFile(`test/crash/${file}.test.ts`, { DRAGONLOCK_CRASH_SEED: String(seed), ...env }, ...options);
}

/**
 * With thousands of connections, see test/load-faults/scale.ts. They count what took effect themselves, and fail when
 * that is nothing.
 */
function loadFault(file: string, counts?: Step['counts']): Step {
  return {
    seeds: 1,
    run: (seed) =>
      testFile(`test/load-faults/${file}.test.ts`, {
        DRAGONLOCK_CRASH_SEED: String(seed),
        DRAGONLOCK_LOAD_SCALE: 'full',
      }),
    ...(counts && { counts }),
  };
}

/** @param counted what the figure counts, where an input of the fuzzer holds several of its target */
function fuzz(target: FuzzTarget, count: number, counted = 'inputs'): Step {
  return {
    seeds: count,
    run: (seed) => ({ argv: ['test/fuzz/run.ts', target, String(seed), String(count)] }),
    counts: { [`fuzz inputs: ${target}`]: counted },
  };
}

/** A test whose random histories come from `DRAGONLOCK_SEED`. */
function model(file: string): Step {
  return { seeds: 1, run: (seed) => testFile(file, { DRAGONLOCK_SEED: String(seed) }) };
}
