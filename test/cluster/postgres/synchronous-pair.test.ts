import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FencedLog } from '../../../src/cluster/fenced-log.ts';
import type { LogFrame } from '../../../src/cluster/engine.ts';
import { makeCluster, PgEngine } from '../../../src/cluster/pg-engine/pg-engine.ts';
import { revision } from '../../../src/protocol/ids.ts';
import { lengthen, own } from '../engine-contract.ts';
import { frameBehind } from '../frames.ts';
import { anchor } from '../model-engine.ts';
import { newPostgres, newStandby, until, whyNoPostgres } from './temporary-postgres.ts';

const pause = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 20));

test('a synchronous pair: cancelled waits prove nothing, and the promoted standby has all', {
  skip: whyNoPostgres() ?? false,
}, async () => {
  const primary = await newPostgres();
  const standby = await newStandby(primary, 'second');
  let engine: PgEngine | undefined;
  try {
    await makeCluster(primary.url, 4);
    await primary.sql(`alter system set synchronous_standby_names = 'second'`);
    await primary.sql('select pg_reload_conf()');
    await until(primary, `select count(*) = 1 from pg_stat_replication where sync_state = 'sync'`);
    const folders = `${primary.folder},${standby.folder}`;
    const url = `postgres://dragon@/postgres?host=${encodeURIComponent(folders)}`;
    engine = await PgEngine.open({ url, single: false, requireSync: true, deadlineMs: 2000, report: () => undefined });
    assert.deepEqual(await engine.check(), []);
    const owner = await own(engine, 0);
    const frames = await lengthen(engine, owner, anchor, 10);

    // The standby gets nothing for a while. The wait of a commit is cancelled: success, with a warning.
    await standby.sql('select pg_wal_replay_pause()');
    await primary.sql(`alter system set synchronous_standby_names = 'nobody'`);
    await primary.sql('select pg_reload_conf()');
    await until(primary, `select current_setting('synchronous_standby_names') = 'nobody'`);
    const found = await engine.check();
    assert.deepEqual(
      found.map(({ setting, stopsWrites }) => [setting, stopsWrites]),
      [['synchronous_standby_names', false]],
    );
    const next = frameBehind(frames.at(-1)!, 1, 'cancelled');
    const answer = engine.append(owner, next, frames.at(-1)!);
    await until(primary, `select count(*) = 1 from pg_stat_activity where wait_event = 'SyncRep'`);
    await primary.sql(`select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'`);
    assert.deepEqual(await answer, { kind: 'unknown' });
    const visible = await engine.frameAt(0, next.first);
    assert.equal(visible.kind === 'done' && visible.result?.chain, next.chain, 'it can be seen all the same');
    const killed = engine.barrier(owner);
    await until(primary, `select count(*) = 1 from pg_stat_activity where wait_event = 'SyncRep'`);
    await primary.sql(`select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'`);
    assert.deepEqual(await killed, { kind: 'unknown' });
    await primary.sql(`alter system set synchronous_standby_names = 'second'`);
    await primary.sql('select pg_reload_conf()');
    await standby.sql('select pg_wal_replay_resume()');

    // Appends run while the primary dies and the standby takes its place.
    const log = new FencedLog(owner, frames.at(-1)!, { engine, pause });
    const acknowledged: LogFrame[] = [...frames];
    assert.equal(await log.append(next), 'done');
    acknowledged.push(next);
    let dying: Promise<void> | undefined;
    for (let index = 0; index < 60; index += 1) {
      if (index === 30)
        dying = (async () => {
          await primary.kill();
          await standby.sql('select pg_promote()');
        })();
      const frame = frameBehind(log.end, 1, `frame ${index}`);
      assert.equal(await log.append(frame), 'done');
      acknowledged.push(frame);
    }
    await dying;
    const all = await engine.read(0, revision(0), 200);
    assert.deepEqual(
      all.kind === 'done' && all.result.map(({ first, chain }) => [first, chain]),
      acknowledged.map(({ first, chain }) => [first, chain]),
    );
    const checked = await engine.check();
    assert.ok(checked.every(({ setting }) => setting === 'synchronous_standby_names'));
  } finally {
    engine?.close();
    await primary.stop();
    await standby.stop();
  }
});
