import assert from 'node:assert/strict';
import { test } from 'node:test';
import { acceptLossJump, firstOfEpoch, readToEnd, takeCell, takeJump } from '../../src/cluster/take-cell.ts';
import { revision } from '../../src/protocol/ids.ts';
import { anchor } from './model-engine.ts';
import { lengthen, pause, ScriptedEngine, take } from './scripted-engine.ts';

test('a take without an answer is sent again; one that comes second is refused', async () => {
  const engine = new ScriptedEngine();
  const dependencies = { engine: engine.engine, pause };
  const seen = { cell: 0, epoch: 0, session: undefined, trimmed: revision(0) };
  engine.fault('take', 'answer-lost', 'request-lost');
  const taken = await takeCell({ cell: 0, seen, session: 1 }, dependencies);
  assert.deepEqual(taken?.owner, { cell: 0, epoch: 1, session: 1 });
  assert.equal(await takeCell({ cell: 0, seen, session: 2 }, dependencies), undefined);
});

test('a row that names the session proves nothing', async () => {
  const engine = new ScriptedEngine();
  const dependencies = { engine: engine.engine, pause };
  await take(engine, 1);
  const seen = { cell: 0, epoch: 2, session: 2, trimmed: revision(0) };
  assert.equal(await takeCell({ cell: 0, seen, session: 2 }, dependencies), undefined);
  const owner = await take(engine, 2);
  assert.deepEqual((await takeCell({ cell: 0, seen, session: 2 }, dependencies))?.owner, owner);
});

test('the log is read whole, over many questions', async () => {
  const engine = new ScriptedEngine();
  const owner = await take(engine, 1);
  const frames = await lengthen(engine, owner, 150);
  engine.fault('read', 'request-lost');
  const applied: unknown[] = [];
  const request = { owner, from: anchor, remembered: frames[99], apply: (frame: unknown) => void applied.push(frame) };
  const read = await readToEnd(request, { engine: engine.engine, pause });
  assert.equal(read.kind === 'read' && read.end.chain, frames.at(-1)!.chain);
  assert.deepEqual(applied, frames);
});

test('a hole, a shorter log and another frame than before keep the cell closed', async () => {
  const engine = new ScriptedEngine();
  const owner = await take(engine, 1);
  const frames = await lengthen(engine, owner, 3);
  const dependencies = { engine: engine.engine, pause };
  const request = { owner, from: anchor, remembered: undefined, apply: () => undefined };
  const cases = [
    { ...request, from: { ...anchor, chain: -1 } },
    { ...request, remembered: { ...frames[2]!, last: revision(4) } },
    { ...request, remembered: { ...frames[1]!, chain: -1 } },
  ];
  for (const wrong of cases) assert.equal((await readToEnd(wrong, dependencies)).kind, 'gone-back');
  assert.equal((await readToEnd({ ...request, remembered: frames[2] }, dependencies)).kind, 'read');
});

test('a take jumps, by time too; a cell that was handed over goes on', () => {
  const end = { first: revision(7), last: revision(9), chain: 1 };
  const now = Date.UTC(2026, 10, 27);
  const start = { end, endAt: now, now };
  assert.equal(firstOfEpoch({ ...start, how: 'handed-over' }), 10);
  assert.equal(firstOfEpoch({ ...start, how: 'taken' }), 10 + takeJump);
  assert.equal(firstOfEpoch({ ...start, how: 'taken', now: now - 5000 }), 10 + takeJump, 'never less');
  assert.equal(firstOfEpoch({ ...start, how: 'loss-accepted' }), 10 + acceptLossJump);
  assert.ok(firstOfEpoch({ ...start, how: 'taken', endAt: 0 }) > 10 + takeJump, 'nothing is known of the end');
  // The engine may lose a take with all that followed: the next one has the same end, and must not have the same place,
  // however far the cell is ahead of the time.
  const far = { ...start, end: { ...end, last: revision(2 ** 46) }, how: 'taken' as const };
  const lost = firstOfEpoch({ ...far, now: now + 1000 });
  assert.ok(firstOfEpoch({ ...far, now: now + 4000 }) > lost + 100_000);
});
