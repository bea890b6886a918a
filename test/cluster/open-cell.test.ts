import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LogFrame } from '../../src/cluster/engine.ts';
import { openCell, type OpenRequest } from '../../src/cluster/open-cell.ts';
import { takeJump } from '../../src/cluster/take-cell.ts';
import { revision } from '../../src/protocol/ids.ts';
import { anchor } from './model-engine.ts';
import { frameBehind, lengthen, pause, ScriptedEngine, take } from './scripted-engine.ts';

function requestOf(epoch: number, session: number): OpenRequest & { readonly applied: LogFrame[] } {
  const applied: LogFrame[] = [];
  return {
    seen: { cell: 0, epoch, session: epoch === 0 ? undefined : 1, trimmed: revision(0) },
    session,
    handedOver: false,
    from: anchor,
    remembered: undefined,
    apply: (frame) => void applied.push(frame),
    endAt: () => 0,
    now: () => 0,
    bootFrame: (first, previous, own) => frameBehind(previous, own, first),
    applied,
  };
}

test('the log is read behind the take: the last frame of the owner before is in it', async () => {
  const engine = new ScriptedEngine();
  const before = await take(engine, 1);
  const frames = await lengthen(engine, before, 2);
  engine.before('take', async () => frames.push(...(await lengthen(engine, before, 1, frames[1]))));
  const request = requestOf(1, 2);
  const opened = await openCell(request, { engine: engine.engine, pause });
  assert.equal(opened.kind, 'open');
  assert.equal(frames.length, 3);
  assert.deepEqual(request.applied.slice(0, 3), frames);
});

test('an open cell begins with a frame of its epoch, behind a jump', async () => {
  const engine = new ScriptedEngine();
  const request = requestOf(0, 2);
  const opened = await openCell(request, { engine: engine.engine, pause });
  assert.ok(opened.kind === 'open');
  const [boot] = engine.frames();
  assert.deepEqual([boot?.epoch, boot?.first], [1, 1 + takeJump]);
  assert.deepEqual(request.applied, [boot]);
  assert.equal(opened.log.end.chain, boot?.chain);
});

test('who is replaced between take and boot does not serve; who finds no room, neither', async () => {
  const engine = new ScriptedEngine();
  engine.before('append', () => take(engine, 3));
  assert.deepEqual(await openCell(requestOf(0, 2), { engine: engine.engine, pause }), { kind: 'lost' });
  assert.deepEqual(await openCell(requestOf(0, 2), { engine: engine.engine, pause }), { kind: 'lost' });
  const full = new ScriptedEngine();
  full.fault('append', 'full');
  assert.deepEqual(await openCell(requestOf(0, 2), { engine: full.engine, pause }), { kind: 'full' });
});

test('a cell that was handed over goes on right behind the last frame', async () => {
  const engine = new ScriptedEngine();
  const before = await take(engine, 1);
  const [end] = await lengthen(engine, before, 1);
  assert.equal((await engine.engine.handOver(before, end!, 2)).kind, 'done');
  const request = requestOf(2, 2);
  const seen = { ...request.seen, session: 2 };
  const opened = await openCell({ ...request, seen, handedOver: true }, { engine: engine.engine, pause });
  assert.ok(opened.kind === 'open');
  assert.equal(opened.log.end.first, 2);
});

test('who is replaced while it reads has lost the cell: the next owner may have trimmed its log', async () => {
  const engine = new ScriptedEngine();
  const frames = await lengthen(engine, await take(engine, 1), 3);
  engine.before('read', async () => {
    const next = await take(engine, 3);
    await engine.engine.trim(next, frames[1]!.last);
  });
  const request = requestOf(1, 2);
  assert.deepEqual(await openCell(request, { engine: engine.engine, pause }), { kind: 'lost' });
  const from = (): Promise<string> => take(engine, 4).then(() => 'a part is missing');
  const seen = { ...request.seen, epoch: 3 };
  assert.deepEqual(await openCell({ ...request, seen, from }, { engine: engine.engine, pause }), { kind: 'lost' });
  const still = { ...request, seen: { ...seen, epoch: 5 }, from: () => Promise.resolve('a part is missing') };
  assert.equal((await openCell(still, { engine: engine.engine, pause })).kind, 'gone-back');
});
