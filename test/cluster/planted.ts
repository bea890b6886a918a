/**
 * `node test/cluster/planted.ts [NAME…]`: plants each seeded bug of the cluster into a copy of the tree, and says whether the
 * simulator finds it by itself within sixty seeds. The tests that must find it are in test/seeded-bugs/bugs.ts.
 */
import { seededBugs } from '../seeded-bugs/bugs.ts';
import { plant } from '../seeded-bugs/plant.ts';

const wanted = new Set(process.argv.slice(2));
const bugs = seededBugs.filter(
  ({ name, caughtBy }) =>
    caughtBy.file.startsWith('test/cluster/') &&
    !caughtBy.file.includes('/postgres/') &&
    // Its nodes have no mirror.
    caughtBy.file !== 'test/cluster/engine-journal.test.ts' &&
    (wanted.size === 0 || wanted.has(name)),
);
const caughtBy = { file: 'test/cluster/simulator.test.ts', test: 'simulated clusters show nothing that they must not' };
process.env['DRAGONLOCK_CLUSTER_SEEDS'] ??= '60';
let found = 0;
for (const bug of bugs) {
  const { caught, said } = await plant({ ...bug, caughtBy });
  // A run that ends in any other way has found nothing.
  const where = said.match(/seed (\d+), lossy (\w+): [^'"\n]*/);
  const how = caught ? (where === null ? 'BROKEN' : 'found ') : 'MISSED';
  if (how === 'found ') found += 1;
  console.log(`${how}  ${bug.name}  ${where?.[0] ?? ''}`);
}
console.log(JSON.stringify({ found, missed: bugs.length - found }));
