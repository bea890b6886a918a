/**
 * How fast one cell's log in PostgreSQL is, without HTTP: `node loadtest/cluster-engine.ts [URL]`. Without a URL it starts a server of
 * its own, without a standby. Writers whose records wait share the next frame, as they do in the server.
 */
import { makeCluster, PgEngine } from '../src/cluster/pg-engine/pg-engine.ts';
import type { LogPlace } from '../src/cluster/engine.ts';
import { revision } from '../src/protocol/ids.ts';
import { frameBehind } from '../test/cluster/frames.ts';
import { anchor } from '../test/cluster/model-engine.ts';
import { newPostgres, whyNoPostgres } from '../test/cluster/postgres/temporary-postgres.ts';

const runMs = 3000;
const given = process.argv[2];
const reason = given === undefined ? whyNoPostgres() : undefined;
if (reason !== undefined) throw new Error(reason);
const postgres = given === undefined ? await newPostgres() : undefined;
const url = given ?? postgres!.url;

const half = (times: number[]): string => (times.toSorted((a, b) => a - b)[times.length >> 1] ?? NaN).toFixed(2);

async function measure(engine: PgEngine, writers: number): Promise<string> {
  const looked = await engine.look(0);
  if (looked.kind !== 'done') throw new Error('The engine does not answer');
  const session = 1 + Math.floor(Math.random() * 2 ** 51);
  const taken = await engine.take(0, looked.result.epoch, session);
  if (taken.kind !== 'done') throw new Error('The cell is not to be had');
  const owner = { cell: 0, epoch: taken.result.epoch, session };
  const frames = await engine.read(0, revision(0), 10_000);
  let end: LogPlace = (frames.kind === 'done' ? frames.result.at(-1) : undefined) ?? anchor;
  const times: number[] = [];
  let waiting = Array.from({ length: writers }, () => performance.now());
  let count = 0;
  const record = 'x'.repeat(120);
  for (const until = performance.now() + runMs; performance.now() < until; count += 1) {
    const batch = waiting;
    const frame = frameBehind(end, owner.epoch, record.repeat(batch.length), batch.length);
    const answer = await engine.append(owner, frame, end);
    if (answer.kind !== 'done') throw new Error(`An append was ${answer.kind}`);
    end = frame;
    const now = performance.now();
    for (const since of batch) times.push(now - since);
    waiting = batch.map(() => now);
    if (count % 500 === 499) await engine.trim(owner, end.last);
  }
  await engine.trim(owner, end.last);
  return `${writers} writers: ${Math.round(times.length / (runMs / 1000))} commits/s in ${Math.round(count / (runMs / 1000))} frames/s, p50 ${half(times)} ms`;
}

/** The least that a durable statement of this database costs over the same connection. */
async function commitTime(engine: PgEngine): Promise<string> {
  await engine.join('bench', 1, undefined);
  const times: number[] = [];
  for (const until = performance.now() + runMs; performance.now() < until; ) {
    const since = performance.now();
    await engine.beat('bench', 1);
    times.push(performance.now() - since);
  }
  return `the engine's own commit (one row updated): p50 ${half(times)} ms`;
}

let engine: PgEngine | undefined;
try {
  await makeCluster(url, 64).catch((error: Error) => {
    if (given === undefined) throw error;
  });
  engine = await PgEngine.open({ url, single: true, requireSync: false, report: console.error });
  console.log(await commitTime(engine));
  console.log(await measure(engine, 1));
  console.log(await measure(engine, 64));
  console.log(await commitTime(engine));
} finally {
  engine?.close();
  await postgres?.stop();
}
