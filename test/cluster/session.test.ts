import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coverMs, NodeSession } from '../../src/cluster/session.ts';
import { pause, ScriptedEngine } from './scripted-engine.ts';

const now = (): number => 0;
const none = (): boolean => false;

async function joined(): Promise<{ engine: ScriptedEngine; session: NodeSession; clock: { now: number } }> {
  const engine = new ScriptedEngine();
  const clock = { now: 1000 };
  const session = new NodeSession('a', 1, { engine: engine.engine, now: () => clock.now });
  assert.equal(await session.join(none, pause), 'joined');
  return { engine, session, clock };
}

test('a beat covers from when it was sent', async () => {
  const { engine, session, clock } = await joined();
  assert.equal(session.isCovered, false);
  engine.before('beat', async () => (clock.now += 1500));
  await session.beat();
  assert.equal(session.beatenAt, 2500);
  clock.now = 1000 + coverMs - 1;
  assert.equal(session.isCovered, true);
  clock.now = 1000 + coverMs;
  assert.equal(session.isCovered, false);
});

test('a beat without an answer covers nothing', async () => {
  const { engine, session } = await joined();
  engine.fault('beat', 'answer-lost', 'nothing');
  await session.beat();
  await session.beat();
  assert.equal(session.isCovered, false);
  assert.equal(session.isLost, false);
});

test('a dead session is lost, and covers nothing although its time is not over', async () => {
  const { engine, session } = await joined();
  await session.beat();
  assert.equal((await engine.engine.fence('a', 1, 0)).kind, 'refused', 'it has beaten since');
  assert.equal((await engine.engine.fence('a', 1, 1)).kind, 'done');
  await session.beat();
  assert.deepEqual([session.isLost, session.isCovered], [true, false]);
});

test('a join that comes late does not end a session that began after it was sent', async () => {
  const engine = new ScriptedEngine();
  engine.fault('join', 'late');
  const early = new NodeSession('a', 1, { engine: engine.engine, now });
  // Its process ends without an answer.
  void early.join(none, () => new Promise(() => undefined));
  while (engine.late.length === 0) await pause();
  const next = new NodeSession('a', 2, { engine: engine.engine, now });
  assert.equal(await next.join(none, pause), 'joined');
  assert.deepEqual(await engine.late[0]!(), { kind: 'refused' });
  await next.beat();
  assert.equal(next.isLost, false);
});

test('a living session of another process keeps its name; a dead one, or one of its own, does not', async () => {
  const { engine, session } = await joined();
  const other = new NodeSession('a', 2, { engine: engine.engine, now: () => 0 });
  assert.equal(await other.join(none, pause), 'taken');
  await session.beat();
  assert.equal(session.isLost, false);
  await engine.engine.fence('a', 1, 1);
  assert.equal(await other.join(none, pause), 'joined');
  const restarted = new NodeSession('a', 3, { engine: engine.engine, now: () => 0 });
  assert.equal(await restarted.join((id) => id === 2, pause), 'joined');
  await other.beat();
  assert.equal(other.isLost, true);
});

test('a session that joined without an answer, and was declared dead since, is lost', async () => {
  const engine = new ScriptedEngine();
  engine.fault('join', 'answer-lost');
  let asked = 0;
  const counted = Object.assign(Object.create(engine.engine) as typeof engine.engine, {
    nodes: () => {
      asked += 1;
      assert.ok(asked < 10, 'it would try for ever');
      return engine.engine.nodes();
    },
  });
  const session = new NodeSession('a', 1, { engine: counted, now });
  const fenced = async (): Promise<void> => void (await engine.engine.fence('a', 1, 0));
  assert.equal(await session.join(none, fenced), 'lost');
  assert.equal(session.isLost, true);
});
