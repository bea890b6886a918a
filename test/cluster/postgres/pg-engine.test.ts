import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FencedLog } from '../../../src/cluster/fenced-log.ts';
import { makeCluster, PgEngine } from '../../../src/cluster/pg-engine/pg-engine.ts';
import type { LogPlace } from '../../../src/cluster/engine.ts';
import { revision } from '../../../src/protocol/ids.ts';
import { testEngine, lengthen, newSession, own } from '../engine-contract.ts';
import { frameBehind } from '../frames.ts';
import { anchor } from '../model-engine.ts';
import { newPostgres, whyNoPostgres, type Postgres } from './temporary-postgres.ts';

const skip = whyNoPostgres() ?? false;
const options = { skip };
let postgres: Postgres;
let engine: PgEngine;
const reports: string[] = [];
const openEngine = (changes: Partial<Parameters<typeof PgEngine.open>[0]> = {}): Promise<PgEngine> =>
  PgEngine.open({
    url: postgres.url,
    single: true,
    requireSync: true,
    deadlineMs: 2000,
    report: (message) => void reports.push(message),
    ...changes,
  });
const pause = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 10));

before(async () => {
  if (skip !== false) return;
  postgres = await newPostgres();
  await assert.rejects(openEngine(), /There is no cluster in this database/);
  await makeCluster(postgres.url, 20);
  engine = await openEngine();
});
after(async () => {
  engine?.close();
  await postgres?.stop();
});

testEngine('PostgreSQL', () => engine, options);

test('a cluster is made once', options, async () => {
  await assert.rejects(makeCluster(postgres.url, 20), /There is a cluster in this database already, of 20 cells/);
});

test('tables of another format are left alone', options, async () => {
  await postgres.sql('update dragonlock.dl_cluster set format = 2');
  await assert.rejects(openEngine(), /format 2; this version knows 1 only/);
  await postgres.sql('update dragonlock.dl_cluster set format = 1');
});

test('settings that lose commits are refused by name', options, async () => {
  const changes: [string, string, RegExp][] = [
    ['fsync', 'off', /fsync is off; expected on/],
    ['full_page_writes', 'off', /full_page_writes is off; expected on/],
    ['synchronous_commit', 'off', /synchronous_commit is off; expected/],
  ];
  for (const [name, value, message] of changes) {
    await postgres.sql(`alter system set ${name} = ${value}`);
    await postgres.sql('select pg_reload_conf()');
    await assert.rejects(openEngine(), message);
    const found = await engine.check();
    assert.deepEqual(
      found.map(({ setting, stopsWrites }) => [setting, stopsWrites]),
      [[name, true]],
    );
    await postgres.sql(`alter system reset ${name}`);
    await postgres.sql('select pg_reload_conf()');
  }
  await assert.rejects(openEngine({ single: false }), /synchronous_standby_names is empty/);
  const warned = await openEngine({ single: false, requireSync: false });
  warned.close();
  assert.match(reports.at(-1)!, /synchronous_standby_names is empty/);
  assert.deepEqual(await engine.check(), []);
});

test(
  'a connection keeps the commits that it began with, and no timeout of the database ends them',
  options,
  async () => {
    await postgres.sql('alter database postgres set statement_timeout = 1');
    await postgres.sql(`alter database postgres set default_transaction_isolation = 'serializable'`);
    const other = await openEngine();
    try {
      await lengthen(other, await own(other, 10), anchor, 20);
    } finally {
      other.close();
      await postgres.sql('alter database postgres reset all');
    }
  },
);

test('backends are killed at any moment: no acknowledged frame is lost, none is there twice', options, async () => {
  const owner = await own(engine, 11);
  const log = new FencedLog(owner, anchor, { engine, pause });
  const sent: LogPlace[] = [];
  const appending = { isOver: false };
  const killing = (async () => {
    while (!appending.isOver) {
      await postgres.sql(
        `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'dragonlock' and state = 'active'`,
      );
    }
  })();
  for (let index = 0; index < 100; index += 1) {
    const frame = frameBehind(log.end, owner.epoch, `frame ${index}`);
    assert.equal(await log.append(frame), 'done');
    sent.push({ first: frame.first, last: frame.last, chain: frame.chain });
  }
  appending.isOver = true;
  await killing;
  const all = await engine.read(11, revision(0), 1000);
  assert.equal(all.kind, 'done');
  const found = all.kind === 'done' ? all.result.map(({ first, last, chain }) => ({ first, last, chain })) : [];
  assert.deepEqual(found, sent);
});

test('a connection that dies while an append waits: its outcome is unknown, then found out', options, async () => {
  const owner = await own(engine, 12);
  const frame = frameBehind(anchor, 1, 'frame');
  // A take under way holds the row: the append waits behind it.
  const holder = postgres.sql(
    `begin; select 1 from dragonlock.dl_cell where cell = 12 for update; select pg_sleep(0.3) from (
       select pg_advisory_lock_shared(12)) held; commit`,
  );
  await until(() => postgres.sql(`select count(*) from pg_locks where locktype = 'advisory' and granted`), '1');
  const answer = engine.append(owner, frame, anchor);
  const waits = `select count(*) from pg_stat_activity where application_name = 'dragonlock' and wait_event_type = 'Lock'`;
  await until(() => postgres.sql(waits), '1');
  await postgres.sql(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'dragonlock' and wait_event_type = 'Lock'`,
  );
  assert.deepEqual(await answer, { kind: 'unknown' });
  await holder;
  assert.equal(await new FencedLog(owner, anchor, { engine, pause }).append(frame), 'done');
});

test('kill -9 of the engine and its restart: the owner goes on', options, async () => {
  const owner = await own(engine, 13);
  const log = new FencedLog(owner, anchor, { engine, pause });
  const frames = await lengthen(engine, owner, anchor, 5);
  const afterFive = new FencedLog(owner, frames.at(-1)!, { engine, pause });
  await postgres.kill();
  const waiting = afterFive.append(frameBehind(frames.at(-1)!, 1, 'six'));
  await postgres.start();
  assert.equal(await waiting, 'done');
  const all = await engine.read(13, revision(0), 100);
  assert.equal(all.kind === 'done' && all.result.length, 6);
  assert.equal(log.end, anchor);
});

test('the log has lost its tail: its owner notices, and writes nothing more', options, async () => {
  const owner = await own(engine, 14);
  const frames = await lengthen(engine, owner, anchor, 3);
  await postgres.sql(`delete from dragonlock.dl_log where cell = 14 and first = ${frames[2]!.first}`);
  const log = new FencedLog(owner, frames[2]!, { engine, pause });
  assert.equal(await log.append(frameBehind(frames[2]!, 1, 'four')), 'gone-back');
  await postgres.sql('update dragonlock.dl_cell set epoch = 0, session = null where cell = 14');
  const other = new FencedLog(owner, frames[1]!, { engine, pause });
  assert.equal(await other.append(frameBehind(frames[1]!, 1, 'three')), 'gone-back');
});

test('another cluster under the same address is not written to', options, async () => {
  const owner = { cell: 15, epoch: 1, session: newSession() };
  const lone = await openEngine({ connections: 1, deadlineMs: 2000 });
  const id = lone.cluster.clusterId;
  await postgres.sql(`update dragonlock.dl_cluster set cluster_id = '00000000-0000-0000-0000-000000000000'`);
  assert.deepEqual(await lone.take(15, 0, owner.session), { kind: 'nothing' });
  assert.match(reports.at(-1)!, /it has the cluster 00000000/);
  await postgres.sql(`update dragonlock.dl_cluster set cluster_id = '${id}'`);
  assert.equal((await lone.take(15, 0, owner.session)).kind, 'done');
  lone.close();
});

test('the engine has a time', options, async () => {
  const answer = await engine.time();
  assert.ok(answer.kind === 'done' && Math.abs(answer.result - Date.now()) < 60_000);
});

async function until(ask: () => Promise<string>, wanted: string): Promise<void> {
  for (let tries = 0; (await ask()) !== wanted; tries += 1) assert.ok(tries < 1000, `expected ${wanted}`);
}
