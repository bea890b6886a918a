import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LogFrame, LogPlace } from '../../src/cluster/engine.ts';
import { Heir } from '../../src/cluster/heir.ts';
import { trimLog, writeSnapshot } from '../../src/cluster/snapshots.ts';
import { revision } from '../../src/protocol/ids.ts';
import { anchor } from './model-engine.ts';
import { frameBehind, lengthen, pause, ScriptedEngine, settle, take } from './scripted-engine.ts';

function heirOf(engine: ScriptedEngine, from: LogPlace = anchor): { readonly heir: Heir; readonly got: unknown[] } {
  const got: unknown[] = [];
  const reader = { begin: () => void got.splice(0), part: (bytes: Buffer) => void got.push(bytes.toString()) };
  const apply = (frame: LogFrame): void => void got.push(frame);
  return { heir: new Heir({ cell: 0, from, apply, reader }, { engine: engine.engine, pause }), got };
}

test('an heir applies each frame that has one behind it, once, and leaves the last one', async () => {
  const engine = new ScriptedEngine();
  const owner = await take(engine, 1);
  const { heir, got } = heirOf(engine);
  await heir.follow();
  const frames = await lengthen(engine, owner, 150);
  await heir.follow();
  assert.deepEqual(got, frames.slice(0, -1));
  assert.equal(heir.end.chain, frames.at(-2)!.chain);
  await heir.follow();
  frames.push(...(await lengthen(engine, owner, 1, frames.at(-1))));
  engine.fault('read', 'request-lost');
  await heir.follow();
  await heir.follow();
  assert.deepEqual(got, frames.slice(0, -1));
});

test('what can be seen and is gone after a fail-over was not applied', async () => {
  const engine = new ScriptedEngine();
  const owner = await take(engine, 1);
  const frames = await lengthen(engine, owner, 2);
  engine.isStandbyAway = true;
  engine.cancelsNext = true;
  assert.equal((await engine.engine.append(owner, frameBehind(frames[1]!, 1), frames[1]!)).kind, 'unknown');
  const { heir, got } = heirOf(engine);
  await heir.follow();
  assert.deepEqual(got, frames);
  engine.model.failOver(0);
  engine.model.start();
  assert.deepEqual(engine.frames(), frames);
});

test('a large frame is applied when the next one is there', async () => {
  const engine = new ScriptedEngine();
  const owner = await take(engine, 1);
  const large = { ...frameBehind(anchor, 1), bytes: Buffer.alloc(2 * 1024 * 1024) };
  assert.equal((await engine.engine.append(owner, large, anchor)).kind, 'done');
  await lengthen(engine, owner, 1, large);
  // An engine gives out so many bytes at most, but for the first frame.
  const read: typeof engine.engine.read = (...request) => engine.engine.read(...request);
  const narrow = Object.assign(Object.create(engine.engine) as typeof engine.engine, {
    read: ((cell, after) => read(cell, after, 1)) satisfies typeof read,
  });
  const got: LogFrame[] = [];
  const reader = { begin: () => undefined, part: () => undefined };
  const heir = new Heir(
    { cell: 0, from: anchor, apply: (frame) => void got.push(frame), reader },
    { engine: narrow, pause },
  );
  await heir.follow();
  assert.deepEqual(
    got.map(({ chain }) => chain),
    [large.chain],
  );
});

test('an heir that the log has left behind begins anew from the snapshot', async () => {
  const engine = new ScriptedEngine();
  const owner = await take(engine, 1);
  const frames = await lengthen(engine, owner, 6);
  const dependencies = { engine: engine.engine, pause };
  const parts = [Buffer.from('one'), Buffer.from('two')];
  const written = await writeSnapshot({ owner, place: frames[3]!, parts }, dependencies);
  assert.ok(written.kind === 'published');
  await trimLog({ owner, snapshot: written.snapshot, upTo: revision(4) }, dependencies);
  const { heir, got } = heirOf(engine, frames[0]);
  await heir.follow();
  await heir.follow();
  assert.deepEqual(got, ['one', 'two', frames[4]]);
  assert.equal(heir.stop()?.chain, frames[4]!.chain);
  await heir.follow();
  assert.equal(got.length, 3, 'it has stopped');
  // Another one is stopped in the middle of the snapshot.
  const half = heirOf(engine, frames[0]);
  const arrived = Promise.withResolvers<void>();
  engine.before('readPart', () => arrived.promise);
  const following = half.heir.follow();
  while (engine.calls.at(-1) !== 'readPart') await settle();
  assert.equal(half.heir.stop(), undefined);
  arrived.resolve();
  await following;
});
