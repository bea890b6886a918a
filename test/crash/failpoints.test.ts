/**
 * The process ends, as in a power cut, at every named place of src/shared/failpoints.ts. One that is never passed fails
 * the test: a new failpoint needs a line here that says how to get there.
 */
import assert from 'node:assert/strict';
import { failpoints, type Failpoint } from '../../src/shared/failpoints.ts';
import { History } from '../support/crash-history.ts';
import { Load } from '../support/crash-load.ts';
import { meanwhile, sleep, trial, type Trial } from '../support/crash-trial.ts';

interface Way {
  /** How often it is passed before it ends the process: the last time counts. */
  readonly passes: number;
  readonly shards: number;
  /** It is passed before the server serves. `perhaps`: when there is something left to do from the run before. */
  readonly starting?: true | 'perhaps';
  readonly padBytes?: number;
  readonly keepBytes?: number;
}

const big = 12_000;
const ways = {
  'journal.before-write': { passes: 40, shards: 3 },
  'journal.written': { passes: 40, shards: 1 },
  'journal.synced': { passes: 40, shards: 3 },
  'journal.segment-prepared': { passes: 1, shards: 3, padBytes: big },
  'journal.segment-renamed': { passes: 1, shards: 1, padBytes: big },
  'journal.segment-trimmed': { passes: 1, shards: 3, padBytes: big, keepBytes: 5 << 20, starting: 'perhaps' },
  'checkpoint.before-commit': { passes: 2, shards: 3, padBytes: big },
  'checkpoint.committed': { passes: 2, shards: 3, padBytes: big },
  'recovery.tail-copied': { passes: 1, shards: 3, starting: true },
  'repartition.copied': { passes: 1, shards: 1, starting: true },
  'repartition.switched': { passes: 1, shards: 2, starting: true },
  'baton.committed': { passes: 25, shards: 3 },
  'baton.applied': { passes: 25, shards: 3 },
} as const satisfies Record<Failpoint, Way>;

trial(
  'killed at each failpoint: it is reached, and nothing that was acknowledged is lost',
  import.meta.url,
  async (trial) => {
    const { server, seed, t } = trial;
    const history = new History();
    trial.keep('history.json', () => history.recorded());
    await server.start({ shards: 3 });
    for (const [round, name] of failpoints.entries()) {
      const way: Way = ways[name];
      // Something to recover, whatever comes next.
      const load = new Load(server, history, { seed, round: 2 * round });
      const running = meanwhile(load.run());
      await load.answers(40, running);
      const diedAt = Date.now();
      await server.kill();
      await running;
      await dieAt(trial, history, name, way, round, diedAt);
      const again = Date.now();
      await server.start({ shards: way.shards });
      history.restarted(server.launchedAt, again);
      const client = server.client();
      await history.check(client);
      if (name === 'journal.segment-trimmed') {
        assert((await history.rereadHistory(client)).oldest > 0, 'the watch tells that older history is gone');
      }
      await client.close();
    }
    await server.stop();
    t.diagnostic(JSON.stringify({ died: failpoints.length, ...history.totals }));
  },
);

async function dieAt(
  { server, seed }: Trial,
  history: History,
  name: Failpoint,
  way: Way,
  round: number,
  diedAt: number,
): Promise<void> {
  const { shards, padBytes, keepBytes, passes } = way;
  server.launch({ shards, failpoint: `${name}:${passes}`, ...(keepBytes !== undefined && { keepBytes }) });
  history.restarted(server.launchedAt, diedAt);
  const serving = await server.serving();
  if (way.starting === true) assert.equal(serving, undefined, `${name} is passed while starting`);
  if (serving === undefined) {
    assert(way.starting !== undefined, `${name} is not passed while starting\n${server.said()}`);
  } else {
    const load = new Load(server, history, { seed, round: 2 * round + 1, ...(padBytes && { padBytes }) });
    const tooLong = setTimeout(() => load.stop(), 20_000);
    await load.run();
    clearTimeout(tooLong);
  }
  const ended = await Promise.race([server.exit, sleep(1000)]);
  assert.deepEqual(ended, { code: null, signal: 'SIGKILL' }, `${name} was not reached\n${server.said()}`);
}
