/**
 * The process ends, as in a power cut, at every failpoint of src/shared/failpoints.ts. A failpoint that is never passed
 * fails the test.
 */
import assert from 'node:assert/strict';
import { failpoints, type Failpoint } from '../../src/shared/failpoints.ts';
import { History } from '../support/crash-history.ts';
import { Load } from '../support/crash-load.ts';
import { meanwhile, sleep, trial, type Trial } from '../support/crash-trial.ts';
import { recountDataDirectory } from '../support/recount-data-directory.ts';
import { waysToFailpoints, type WayToFailpoint } from '../support/ways-to-failpoints.ts';

trial(
  'killed at each failpoint: it is reached, and nothing that was acknowledged is lost',
  import.meta.url,
  async (trial) => {
    const { server, seed, t, keep } = trial;
    const history = new History();
    keep('history.json', () => history.asText());
    await server.start({ shards: 3 });
    for (const [round, name] of failpoints.entries()) {
      const way = waysToFailpoints[name];
      // So that there is something to recover in any case.
      const load = new Load(server, history, { seed, round: 2 * round });
      const running = meanwhile(load.run());
      await load.answers(40, running);
      const diedAt = Date.now();
      await server.kill();
      await running;
      await dieAt(trial, history, { name, way, round, diedAt });
      await recountDataDirectory(server.dataDir);
      const again = Date.now();
      await server.start({ shards: way.shards });
      history.restarted(server.launchedAt, again);
      const client = server.client();
      await history.check(client);
      if (name === 'journal.segment-trimmed') {
        assert((await history.rereadHistory(client)).oldest > 0, 'the watch reports that older history is compacted');
      }
      await client.close();
    }
    await server.stop();
    t.diagnostic(JSON.stringify({ died: failpoints.length, ...history.totals }));
  },
);

interface Death {
  readonly name: Failpoint;
  readonly way: WayToFailpoint;
  readonly round: number;
  /** When the server before this one died. */
  readonly diedAt: number;
}

async function dieAt({ server, seed }: Trial, history: History, { name, way, round, diedAt }: Death): Promise<void> {
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
