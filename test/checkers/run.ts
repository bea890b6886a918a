/**
 * `node test/checkers/run.ts SEED [COUNT]`: random histories of the core, which is the real code, and of the model,
 * through the witness checker; history i comes from seed SEED + i. Every other one has lost answers. What was
 * never answered (a start ends who waits, too) may leave a history undecided: that is counted, and must stay rare.
 */
import { keepFiles } from '../support/keep-files.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { ModelServer } from '../support/checkers/model-server.ts';
import { randomHistory } from '../support/checkers/random-history.ts';
import { checkWitness } from '../support/checkers/witness-checker.ts';
import { CoreServer } from './core-server.ts';

const [seedText, countText] = process.argv.slice(2);
const first = Number(seedText);
if (!Number.isSafeInteger(first)) {
  console.error('usage: node test/checkers/run.ts SEED [COUNT]');
  process.exit(64);
}
/** A release whose answer was lost, and that was repeated: the second one says nothing of when the first took effect. */
const notToBeTold = /EndedMs: expected a time/;
const done = { histories: 0, operations: 0, undecided: 0, happened: 0, unseen: 0 };
for (let seed = first; seed < first + Number(countText ?? 1); seed += 1) {
  const random = seededRandom(seed);
  const lossy = random.below(2) === 0;
  const server = random.below(4) === 0 ? new ModelServer() : new CoreServer();
  const history = randomHistory(server, random, {
    operations: 1 + random.below(1000),
    things: 2 + random.below(8),
    revOfFailures: random.below(2) === 0,
    ...(!lossy && { lost: 0 }),
  });
  const { violations, unknown } = checkWitness(history, { clockToleranceMs: 0 });
  const found = violations.filter(
    ({ verdict, message }) => verdict === 'violation' && !(lossy && notToBeTold.test(message)),
  );
  if (found.length > 0) {
    console.error(found.map(({ message }) => message).join('\n'));
    const kept = keepFiles('history', [['history.json', JSON.stringify(history, undefined, 1)]]);
    console.error(`kept for a look: ${kept}\nagain: node test/checkers/run.ts ${seed}`);
    process.exit(1);
  }
  done.histories += 1;
  done.operations += history.operations.length;
  done.undecided += Number(violations.length > 0);
  done.happened += unknown.happened;
  done.unseen += unknown.unseen;
}
console.log(JSON.stringify(done));
if (done.undecided > 5 + done.histories * 0.1) {
  console.error(`${done.undecided} of ${done.histories} histories are undecided`);
  process.exitCode = 1;
}
