/**
 * What `npm test` costs: the CPU seconds of each test file, its servers and other children included. Other work on the
 * machine hardly changes them, unlike wall time.
 *
 *   node test/costs.ts                          every file; many minutes
 *   node test/costs.ts test/cli test/sim        the files of these folders
 *
 * A file that costs more than it may (see `budgets`) makes it exit with 1: make it cheaper, or move its rounds to torture.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));
/** CPU seconds of a file that is not named here. */
const usualMax = 10;
/** Files that may cost more, and how much. */
const budgets: Readonly<Record<string, number>> = {
  'test/cli/account.test.ts': 15,
  'test/cli/data-commands.test.ts': 20,
  'test/cli/lock-loss.test.ts': 15,
  'test/client/faults.test.ts': 12,
  'test/client/package.test.ts': 25,
  'test/crash/backups.test.ts': 25,
  'test/crash/bank.test.ts': 15,
  'test/crash/damage.test.ts': 20,
  'test/crash/disk-error.test.ts': 20,
  'test/crash/failpoints.test.ts': 70,
  'test/crash/histories.test.ts': 30,
  'test/crash/kill.test.ts': 50,
  'test/crash/salvage.test.ts': 30,
  'test/load-faults/budgets.test.ts': 35,
  'test/load-faults/queue-crowds.test.ts': 25,
  'test/load-faults/slow-readers.test.ts': 20,
  'test/main/config/extremes.test.ts': 45,
  'test/router/server-model.test.ts': 20,
  'test/server/admin-page.test.ts': 20,
  'test/server/backups.test.ts': 30,
  'test/server/front-ends.test.ts': 30,
  'test/server/process.test.ts': 40,
  'test/server/restarts.test.ts': 25,
  'test/server/shards.test.ts': 30,
  'test/sim/crash-points.test.ts': 20,
  'test/sim/simulator.test.ts': 40,
};
/** Of one file. */
const patienceMs = 600_000;
/** As in `npm test`. */
const compiled = path.join(root, 'node_modules/.cache/dragonlock/compiled');

const wanted = process.argv.slice(2).map((name) => path.relative(root, path.resolve(name)));
const files = fs
  .globSync('test/**/*.test.ts', { cwd: root })
  .filter((file) => wanted.length === 0 || wanted.some((name) => file === name || file.startsWith(`${name}/`)))
  .toSorted();
const areas = new Map<string, number>();
let total = 0;
for (const file of files) {
  const seconds = cpuSeconds(file);
  const most = budgets[file] ?? usualMax;
  const verdict = seconds > most ? `  over its ${most} s` : '';
  if (verdict !== '') process.exitCode = 1;
  console.log(`${seconds.toFixed(1).padStart(7)} s  ${file}${verdict}`);
  const area = file.split('/')[1] ?? '';
  areas.set(area, (areas.get(area) ?? 0) + seconds);
  total += seconds;
}
console.log('\nby area');
for (const [area, seconds] of [...areas].toSorted(([, a], [, b]) => b - a)) {
  console.log(`${seconds.toFixed(1).padStart(7)} s  ${area}`);
}
console.log(`${total.toFixed(1).padStart(7)} s  in all`);

/** Node knows no CPU time of children; the shell does, of all that have ended. */
function cpuSeconds(file: string): number {
  const script = '"$@" >&2; status=$?; times; exit $status';
  const { status, stdout, stderr } = spawnSync('bash', ['-c', script, 'bash', process.execPath, file], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, NODE_COMPILE_CACHE: compiled },
    maxBuffer: 1 << 28,
    timeout: patienceMs,
  });
  if (status !== 0) {
    console.error(`${file} failed:\n${stderr.slice(-3000)}`);
    process.exitCode = 1;
  }
  // Two lines, `0m1.234s 0m0.567s`, user and system: of the shell, and of its children.
  const times = Array.from(
    stdout.matchAll(/(\d+)m([\d.]+)s/g),
    ([, minutes, seconds]) => 60 * Number(minutes) + Number(seconds),
  );
  return times.slice(-2).reduce((sum, part) => sum + part, 0);
}
