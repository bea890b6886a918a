/** What the protocol asks of any engine, shown of the model. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { revision } from '../../src/protocol/ids.ts';
import { anchor } from './model-engine.ts';
import { frameBehind, lengthen, ScriptedEngine, settle, take } from './scripted-engine.ts';

test('only the owner lengthens a log, only behind its last frame, and a slot is written once', async () => {
  const engine = new ScriptedEngine();
  const old = await take(engine, 1);
  const owner = await take(engine, 2);
  const frame = frameBehind(anchor, 1);
  const refused = { kind: 'refused' };
  assert.deepEqual(await engine.engine.append(old, frame, anchor), refused, 'an older epoch');
  assert.deepEqual(await engine.engine.append({ ...owner, session: 1 }, frame, anchor), refused, 'another session');
  assert.deepEqual(await engine.engine.append(owner, frame, { ...anchor, chain: 5 }), refused, 'another end');
  await lengthen(engine, owner, 1);
  assert.deepEqual(await engine.engine.append(owner, frame, anchor), refused, 'the slot is taken');
  assert.deepEqual(await engine.engine.trim(old, revision(9)), refused, 'a trim of an older epoch');
  assert.deepEqual(await engine.engine.barrier(old), refused, 'a barrier of an older epoch');
  const snapshot = { ...anchor, epoch: old.epoch, parts: 0 };
  assert.deepEqual(await engine.engine.publish(old, snapshot), refused, 'a snapshot of an older epoch');
});

test('a snapshot is published when all its parts are there, and over an older one only', async () => {
  const engine = new ScriptedEngine();
  const owner = await take(engine, 1);
  const [one, two] = await lengthen(engine, owner, 2);
  const snapshot = { ...two!, epoch: owner.epoch, parts: 1 };
  assert.equal((await engine.engine.publish(owner, snapshot)).kind, 'refused');
  assert.equal((await engine.engine.putPart(owner, snapshot.last, 0, Buffer.from('part'))).kind, 'done');
  assert.equal((await engine.engine.publish(owner, snapshot)).kind, 'done');
  assert.equal((await engine.engine.publish(owner, { ...one!, epoch: owner.epoch, parts: 0 })).kind, 'refused');
});

test('a trim leaves the last frame', async () => {
  const engine = new ScriptedEngine();
  const owner = await take(engine, 1);
  const frames = await lengthen(engine, owner, 3);
  assert.equal((await engine.engine.trim(owner, revision(9))).kind, 'done');
  assert.deepEqual(engine.frames(), [frames[2]]);
});

test('a hand-over names the last frame: an engine that has lost it refuses', async () => {
  const engine = new ScriptedEngine();
  const owner = await take(engine, 1);
  const [end] = await lengthen(engine, owner, 1);
  engine.model.failOver(1);
  engine.model.start();
  assert.equal((await engine.engine.handOver(owner, end!, 2)).kind, 'refused');
  assert.equal((await engine.engine.handOver(owner, anchor, 2)).kind, 'done');
  assert.equal((await engine.engine.handOver(owner, anchor, 2)).kind, 'done', 'the same again');
});

test('a hand-over that comes late takes the cell from an owner that still has it', async () => {
  // So its owner must not open the cell again while one is on its way.
  const engine = new ScriptedEngine();
  const owner = await take(engine, 1);
  engine.fault('handOver', 'late');
  assert.equal((await engine.engine.handOver(owner, anchor, 2)).kind, 'unknown');
  assert.equal((await engine.engine.barrier(owner)).kind, 'done');
  assert.deepEqual(await engine.late[0]!(), { kind: 'done', result: undefined });
  assert.equal((await engine.engine.barrier(owner)).kind, 'refused');
});

test('a cancelled wait for the standby is no success', async () => {
  const engine = new ScriptedEngine();
  const owner = await take(engine, 1);
  engine.isStandbyAway = true;
  engine.cancelsNext = true;
  const frame = frameBehind(anchor, 1);
  assert.deepEqual(await engine.engine.append(owner, frame, anchor), { kind: 'unknown' });
  assert.deepEqual(engine.frames(), []);
});

test('a take waits for an append under way', async () => {
  const engine = new ScriptedEngine();
  const owner = await take(engine, 1);
  engine.isStandbyAway = true;
  const order: string[] = [];
  const appended = engine.engine.append(owner, frameBehind(anchor, 1), anchor).then(() => order.push('append'));
  const taken = engine.engine.take(0, 1, 2).then(() => order.push('take'));
  await settle();
  assert.deepEqual(order, []);
  engine.isStandbyAway = false;
  for (const wait of engine.waits.splice(0)) wait();
  await Promise.all([appended, taken]);
  assert.deepEqual(order, ['append', 'take']);
});

test('a cell whose owner lives is not taken, whatever was seen before', async () => {
  const engine = new ScriptedEngine();
  assert.equal((await engine.engine.join('a', 1, undefined)).kind, 'done');
  await take(engine, 1);
  engine.isStandbyAway = true;
  engine.cancelsNext = true;
  assert.equal((await engine.engine.fence('a', 1, 0)).kind, 'unknown');
  const seen = await engine.engine.nodes();
  assert.equal(seen.kind === 'done' && seen.result[0]?.dead, true);
  engine.model.failOver(0);
  engine.model.start();
  engine.isStandbyAway = false;
  assert.equal((await engine.engine.take(0, 1, 2)).kind, 'refused');
});
