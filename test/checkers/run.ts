/**
 * `node test/checkers/run.ts SEED [COUNT]`: random histories of the core, which is the real code, and of the model,
 * through the witness checker; history i comes from seed SEED + i. Every other one has lost answers. The core's are
 * checked twice: with its log, where nothing is undecided, and as a client sees them, where what was never answered (a
 * start ends who waits, too) may leave a history undecided. That is counted, and must stay rare.
 */
import { keepFiles } from '../support/keep-files.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { ModelServer } from '../support/checkers/model-server.ts';
import { asSeen } from '../support/checkers/history.ts';
import { randomHistory } from '../support/checkers/random-history.ts';
import { checkWitness } from '../support/checkers/witness-checker.ts';
import { CoreServer } from './core-server.ts';

const [seedText, countText] = process.argv.slice(2);
const first = Number(seedText);
if (!Number.isSafeInteger(first)) {
  console.error('usage: node test/checkers/run.ts SEED [COUNT]');
  process.exit(64);
}
/** Measured: one in forty. */
const undecidedShare = 0.05;
const exact = { clockToleranceMs: 0 };
const done = { histories: 0, operations: 0, undecided: 0, byLog: 0, happened: 0, unseen: 0 };
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
  const { violations, unknown } = checkWitness(asSeen(history), exact);
  const byLog = history.log === undefined ? undefined : checkWitness(history, exact);
  const found = [...violations.filter(({ verdict }) => verdict === 'violation'), ...(byLog?.violations ?? [])];
  if (found.length > 0) {
    console.error(found.map(({ message }) => message).join('\n'));
    const kept = keepFiles('history', [['history.json', JSON.stringify(history, undefined, 1)]]);
    console.error(`kept for a look: ${kept}\nagain: node test/checkers/run.ts ${seed}`);
    process.exit(1);
  }
  done.histories += 1;
  done.operations += history.operations.length;
  done.undecided += Number(violations.length > 0);
  done.byLog += Number(byLog !== undefined);
  // What a client can find out, against what the log tells.
  done.happened += (byLog ?? { unknown }).unknown.happened;
  done.unseen += (byLog ?? { unknown }).unknown.unseen;
}
console.log(JSON.stringify(done));
if (done.undecided > 2 + done.histories * undecidedShare) {
  console.error(`${done.undecided} of ${done.histories} histories are undecided`);
  process.exitCode = 1;
}
