/**
 * Kills the server with -9 at random moments, again and again on one data directory: everything acknowledged is there
 * afterwards, and nothing is there by halves. `DRAGONLOCK_CRASH_ROUNDS` sets how often.
 */
import assert from 'node:assert/strict';
import { History } from '../support/crash-history.ts';
import { Load } from '../support/crash-load.ts';
import { meanwhile, sleep, trial } from '../support/crash-trial.ts';
import { recountDataDirectory } from '../support/recount-data-directory.ts';

const rounds = Number(process.env['DRAGONLOCK_CRASH_ROUNDS'] ?? 10);
/** Once more with what was there, once with another number of shards; and of front ends. */
const layoutOfRound = [
  { shards: 1, threads: 2 },
  { shards: 3, threads: 2 },
  { shards: 3, threads: 1 },
  { shards: 1, threads: 1 },
];

trial(
  `kill -9 under load, ${rounds} times, also while starting: everything acknowledged survives, nothing by halves`,
  import.meta.url,
  async ({ t, server, seed, random, keep }) => {
    const history = new History();
    keep('history.json', () => history.asText());
    let effective = 0;
    let killedStarting = 0;
    let replayedLess = 0;
    let oldest = 0;
    let counted = 0;
    let diedAt = Date.now();
    for (let round = 0; round <= rounds; round += 1) {
      const layout = layoutOfRound[round % layoutOfRound.length]!;
      const startsKilled = round === 0 ? 0 : Math.floor(random.next() ** 2 * 3);
      for (let i = 0; i < startsKilled; i += 1) {
        server.launch({ ...layout, shards: random.next() < 0.5 ? layout.shards : 1 + random.below(3) });
        history.restarted(server.launchedAt, diedAt);
        await sleep(100 + random.below(500));
        diedAt = Date.now();
        await server.kill();
        counted += await recountDataDirectory(server.dataDir);
        killedStarting += 1;
      }
      const serving = await server.start(layout);
      history.restarted(server.launchedAt, diedAt);
      if (Number(serving['replayed']) < Number(serving['revision']) - 1) replayedLess += 1;

      const before = { ...history.totals };
      const client = server.client();
      await history.check(client);
      if (round % 5 === 4 || round === rounds) oldest = (await history.rereadHistory(client)).oldest;
      await client.close();
      const acknowledged = history.totals.acknowledged - before.acknowledged;
      const unknown = history.totals.recovered + history.totals.lost - before.recovered - before.lost;
      if (acknowledged > 20 && unknown > 0) effective += 1;
      if (round === rounds) break;

      const load = new Load(server, history, { seed, round });
      load.resume();
      const running = meanwhile(load.run());
      await load.answers(50, running);
      await sleep(round % 4 === 2 ? 1000 : random.below(350));
      // Now and then a clean stop: it leaves everything too.
      if (round % 7 === 6) {
        load.stop();
        await running;
        await server.stop();
        diedAt = Date.now();
        continue;
      }
      diedAt = Date.now();
      await server.kill();
      await running;
      counted += await recountDataDirectory(server.dataDir);
    }
    await server.stop();
    const { totals } = history;
    t.diagnostic(JSON.stringify({ effective, killedStarting, replayedLess, oldest, counted, ...totals }));
    assert(effective >= rounds * 0.7, `only ${effective} of ${rounds} rounds had something to lose`);
    assert(killedStarting > 0 || rounds < 10, 'some starts were killed');
    assert(replayedLess > 0 || rounds < 10, 'checkpoints spared some replays');
    assert(counted > 0, 'entries were there to be counted');
    assert(totals.recovered > 0 && totals.replayed > 0 && totals.expired > 0, 'the load met what it is for');
  },
);

trial(
  'a retried batch over several shards that took a lock gets its stored reply, before and after a kill',
  import.meta.url,
  async ({ server }) => {
    await server.start({ shards: 3 });
    const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
    const batch = {
      LockID: 'once',
      LockDur: 60,
      IdempotencyIDs: ['once'],
      IdempotencyMode: 'replay',
      KVSet: keys.map((Key) => ({ Key, Value: 1 })),
    };
    let client = server.client();
    const first = await client.must('POST', '/db/acc', batch);
    assert.deepEqual(await client.must('POST', '/db/acc', batch), first);
    await client.close();
    await server.kill();
    await server.start({ shards: 3 });
    client = server.client();
    assert.deepEqual(await client.must('POST', '/db/acc', batch), first);
    await client.close();
  },
);

trial(
  'a lock that ran out while the server was down is held once more for as long as it was given',
  import.meta.url,
  async ({ server }) => {
    // Longer than a busy machine takes from its start to its first answer.
    const durMs = 4000;
    const mine = { LockID: 'mine', LockOwner: 'me', LockDur: durMs / 1000 };
    const rival = { LockID: 'mine', LockOwner: 'rival', LockDur: 1 };
    await server.start({ shards: 1 });
    let client = server.client();
    const { Lock, TillMs } = await client.must('POST', '/db/acc', mine);
    await client.close();
    await server.kill();
    await sleep(TillMs - Date.now() + 50);
    await server.start({ shards: 1 });
    client = server.client();
    const held = await client.must('GET', `/db/acc/lock/mine?fence=${Lock}`);
    assert(held.TillMs >= server.launchedAt + durMs, `until ${held.TillMs}, launched at ${server.launchedAt}`);
    assert.equal((await client.ask('POST', '/db/acc', rival))?.body.Code, 'not_locked');
    const extended = await client.must('POST', '/db/acc', mine);
    assert.equal(extended.Lock, Lock, 'the fence stays');
    // No client renews it any more: it ends, and the next holder is told.
    const next = await client.must('POST', '/db/acc', { ...rival, LockWait: 10 });
    assert(Date.now() >= extended.TillMs - 25, 'a lock never ends early');
    assert.deepEqual(next.Recover, { Lock, Why: 'expired' });
    assert(next.Lock > extended.Rev, 'fencing tokens grow');
    await client.close();
  },
);
