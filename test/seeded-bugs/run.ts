/** `node test/seeded-bugs/run.ts [--all | NAME…]`: plants seeded bugs, one after the other; each must be caught. */
import { seededBugs } from './bugs.ts';
import { plant } from './plant.ts';

const wanted = new Set(process.argv.slice(2));
const chosen = wanted.has('--all') ? seededBugs : seededBugs.filter(({ name }) => wanted.has(name));
if (chosen.length === 0) {
  console.error(
    `usage: node test/seeded-bugs/run.ts --all | NAME…\n${seededBugs.map(({ name }) => `  ${name}`).join('\n')}`,
  );
  process.exit(64);
}
let missed = 0;
for (const bug of chosen) {
  const started = performance.now();
  const { caught, failed, said } = await plant(bug);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${caught ? 'caught' : 'MISSED'}  ${bug.name}  (${bug.caughtBy.file}, ${seconds} s)`);
  if (caught) continue;
  missed += 1;
  console.error(`failed instead: ${failed.join('; ') || 'nothing'}\n${said}`);
}
console.log(JSON.stringify({ caught: chosen.length - missed, missed }));
process.exitCode = missed === 0 ? 0 : 1;
