import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FencedLog } from '../../src/cluster/fenced-log.ts';
import { anchor } from './model-engine.ts';
import { frameBehind, lengthen, pause, ScriptedEngine, settle, take } from './scripted-engine.ts';

async function owned(): Promise<{ engine: ScriptedEngine; log: FencedLog }> {
  const engine = new ScriptedEngine();
  const log = new FencedLog(await take(engine, 1), anchor, { engine: engine.engine, pause });
  return { engine, log };
}

test('a frame without an answer is sent again, and is in the log when it is done', async () => {
  for (const fault of ['request-lost', 'answer-lost', 'nothing'] as const) {
    const { engine, log } = await owned();
    engine.fault('append', fault, fault);
    const frame = frameBehind(anchor, 1);
    assert.equal(await log.append(frame), 'done', fault);
    assert.deepEqual(engine.frames(), [frame], fault);
    assert.equal(log.end.chain, frame.chain);
  }
});

test('a full engine is told, and the slot can be used again', async () => {
  const { engine, log } = await owned();
  engine.fault('append', 'full');
  assert.equal(await log.append(frameBehind(anchor, 1)), 'full');
  assert.equal(log.end, anchor);
  assert.equal(await log.append(frameBehind(anchor, 1)), 'done');
});

test('full is not told while an earlier try may still take effect', async () => {
  const { engine, log } = await owned();
  engine.fault('append', 'late', 'full');
  engine.before('append', settle);
  const frame = frameBehind(anchor, 1);
  const result = log.append(frame);
  assert.equal(await result, 'done');
  await engine.late[0]!();
  assert.deepEqual(engine.frames(), [frame]);
});

test('who was replaced is deposed, and sends nothing more', async () => {
  const { engine, log } = await owned();
  await take(engine, 2);
  assert.equal(await log.append(frameBehind(anchor, 1)), 'deposed');
  engine.calls.length = 0;
  assert.equal(await log.append(frameBehind(anchor, 1)), 'deposed');
  assert.deepEqual(engine.calls, []);
});

test('what can be seen is not taken for durable', async () => {
  const { engine, log } = await owned();
  engine.isStandbyAway = true;
  engine.cancelsNext = true;
  let result: string | undefined;
  const frame = frameBehind(anchor, 1);
  const appended = log.append(frame).then((kind) => (result = kind));
  for (let i = 0; i < 10; i += 1) await settle();
  assert.equal(result, undefined, 'the standby does not have it');
  assert.equal((await engine.engine.frameAt(0, frame.first)).kind, 'done');
  engine.isStandbyAway = false;
  engine.model.failOver(0);
  engine.model.start();
  assert.equal(await appended, 'done');
  assert.deepEqual(engine.frames(), [frame]);
});

test('another frame in the slot is not the own one: the engine went back', async () => {
  const { engine, log } = await owned();
  await lengthen(engine, log.owner, 1);
  assert.equal(await log.append(frameBehind(anchor, 1)), 'gone-back');
});

test('an owner whose last frame is missing finds that the engine went back', async () => {
  for (const deposed of [false, true]) {
    const { engine, log } = await owned();
    const first = frameBehind(anchor, 1);
    assert.equal(await log.append(first), 'done');
    engine.model.failOver(1);
    engine.model.start();
    if (deposed) await take(engine, 2);
    assert.equal(await log.append(frameBehind(first, 1)), 'gone-back');
    assert.deepEqual(engine.frames(), []);
  }
});

test('an owner whose take is lost finds that the engine went back', async () => {
  const { engine, log } = await owned();
  engine.model.failOver(1);
  engine.model.start();
  assert.equal(await log.append(frameBehind(anchor, 1)), 'gone-back');
});
