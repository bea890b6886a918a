/**
 * Kills the server at random and at its failpoints while real clients use it over real sockets. The history that they
 * see must be possible: for the witness checker as a whole, for the search for a linearization object by object, for
 * the watch validators event by event. `npm test` kills a few times; `DRAGONLOCK_CRASH_OPERATIONS` (of each life) asks
 * for a long history over every failpoint.
 */
import assert from 'node:assert/strict';
import { failpoints, type Failpoint } from '../../src/shared/failpoints.ts';
import type { Violation } from '../support/checkers/history.ts';
import { searchKeys } from '../support/checkers/key-histories.ts';
import { checkQueues } from '../support/checkers/queue-ledger.ts';
import { checkAccounts } from '../support/checkers/account-ledger.ts';
import { checkShares } from '../support/checkers/share-ledger.ts';
import { checkToldChanges, commitsIn } from '../support/checkers/told-changes.ts';
import { checkWatches } from '../support/checkers/watch-validators.ts';
import { takingsIn, windowExceeded } from '../support/checkers/limit-windows.ts';
import { checkWitness } from '../support/checkers/witness-checker.ts';
import { mayExpire } from '../support/http-commands.ts';
import { HttpRecorder } from '../support/http-recorder.ts';
import { trial, type Trial } from '../support/crash-trial.ts';
import { waysToFailpoints } from '../support/ways-to-failpoints.ts';

type Death = Failpoint | 'kill -9';

const asked = process.env['DRAGONLOCK_CRASH_OPERATIONS'];
const operationsOfLife = Number(asked ?? 400);
/** A failpoint that is not reached by then fails the test. */
const operationsMax = 40_000;

trial(
  'kill -9 and failpoints under load: both checkers and the watch validators find nothing wrong in what clients saw',
  import.meta.url,
  async (trial) => {
    const { server, seed, t, keep } = trial;
    const recorder = new HttpRecorder(server, { seed });
    keep('history.json', () => JSON.stringify({ ...recorder.history, streams: recorder.streams }));
    const began = performance.now();
    const deaths = deathsOf(trial);
    for (const death of deaths) await live(trial, recorder, death);
    await server.start({ shards: 3, threads: 2, keepBytes });
    recorder.launched();
    recorder.serving();
    await recorder.run(operationsOfLife);
    await recorder.drain();
    const all = await recorder.readWatch();
    const recordedMs = performance.now() - began;
    await server.stop();

    const { history, streams, counts } = recorder;
    const checking = performance.now();
    const witness = checkWitness(history);
    const checkedMs = performance.now() - checking;
    const told = checkToldChanges(history, all);
    // Compacted history can no longer be compared.
    const kept = streams.filter(({ after }) => after >= all.after);
    const watches = checkWatches([...kept, all], commitsIn(all));
    const queues = checkQueues(history, { clockToleranceMs, settled: true });
    const shares = checkShares(history, { clockToleranceMs });
    const whole = checkAccounts(history);
    const search = searchKeys(history, { mayExpire });
    const takings = takingsIn(history.operations);
    const { operations, compared, unknown, violations } = witness;
    const undecided = violations.filter(({ verdict }) => verdict === 'undecided').length;
    const report = {
      operations,
      compared,
      undecided,
      happened: unknown.happened,
      unseen: unknown.unseen,
      searched: search.searched,
      'search undecided': search.undecided,
      'calls searched': search.calls,
      takings: takings.length,
      deaths: deaths.length,
      streams: kept.length,
      recovered: told.recovered,
      expired: told.expired,
      ...counts,
      queues: queues.counts,
      shares: shares.counts,
      'whole accounts': whole.counts,
      recordedPerSecond: rate(operations, recordedMs),
      checkedPerSecond: rate(operations, checkedMs),
    };
    t.diagnostic(JSON.stringify(report));
    assertNone('the witness checker', violations);
    assertNone('the ledger of queues', queues.violations);
    assertNone('the ledger of shared locks', shares.violations);
    assertNone('the ledger of accounts', whole.violations);
    assertNone('the watch against the answers', told.violations);
    assertNone('the watch validators', watches);
    assert.deepEqual(search.violations, [], 'the search for a linearization');
    const { settled, redeliveries, ordered } = queues.counts;
    assert(settled > 5 && redeliveries > 0 && ordered > 5, 'messages were delivered, settled and delivered again');
    assert(
      shares.counts.leases > 5 && shares.counts.proven + shares.counts.together > 0,
      'locks that several hold were taken',
    );
    assert(
      whole.counts.wipes > 0 && whole.counts.loads > 0 && whole.counts.seen > 0,
      'an account was deleted and loaded',
    );
    assert(takings.length > 5, 'limits were taken from');
    assert.equal(windowExceeded(takings, clockToleranceMs), undefined, 'I32');
    assert(counts.unanswered > 0 && counts.resumed > 0 && kept.length > 0, 'the load met what it is for');
    assert(search.searched > 20 && search.undecided <= search.searched * 0.2, 'most searches come to an end');
    assert(undecided <= 2 + (unknown.happened + unknown.unseen) * 0.05, `${undecided} answers are undecided`);
  },
);

const keepBytes = 1 << 30;
/** Between the clock of the test and the server's, which counts whole milliseconds and may begin again at a start. */
const clockToleranceMs = 25;

/** All failpoints and as many kills, or a few of both. */
function deathsOf({ random }: Trial): Death[] {
  if (asked !== undefined) return failpoints.flatMap((name): Death[] => ['kill -9', name]);
  const chosen = failpoints.filter((_, i) => waysToFailpoints[failpoints[i]!].padBytes === undefined);
  const some = Array.from({ length: 2 }, () => chosen.splice(random.below(chosen.length), 1)[0]!);
  return ['kill -9', some[0]!, 'kill -9', some[1]!];
}

/** One life of the server, to its end. */
async function live({ server, random }: Trial, recorder: HttpRecorder, death: Death): Promise<void> {
  const way = death === 'kill -9' ? undefined : waysToFailpoints[death];
  const failpoint = way === undefined ? undefined : `${death}:${way.passes}`;
  // A start with another number of shards than the last begins with a repartition.
  const options = { shards: way?.shards ?? 3, threads: 2, keepBytes: way?.keepBytes ?? keepBytes };
  server.launch({ ...options, ...(failpoint !== undefined && { failpoint }) });
  recorder.launched();
  const serving = await server.serving();
  if (serving !== undefined) {
    assert(way?.starting !== true, `${death} is passed while starting`);
    recorder.serving();
    recorder.commands.padBytes = way?.padBytes ?? 0;
    if (way === undefined) await recorder.runAndKill(operationsOfLife / 2 + random.below(operationsOfLife));
    else await recorder.run(operationsMax);
  } else assert(way?.starting !== undefined, `${death} is not passed while starting\n${server.said()}`);
  assert.deepEqual(
    await server.ended(),
    { code: null, signal: 'SIGKILL' },
    `${death} was not reached\n${server.said()}`,
  );
  recorder.died();
}

function assertNone(who: string, violations: readonly Violation[]): void {
  const found = violations.filter(({ verdict }) => verdict === 'violation').map(({ message }) => message);
  assert(found.length === 0, `${who} finds ${found.length} faults:\n${found.slice(0, 10).join('\n')}`);
}

function rate(count: number, ms: number): number {
  return Math.round((count / ms) * 1000);
}
