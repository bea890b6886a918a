import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findOrphan } from '../../src/cluster/find-orphan.ts';
import { ScriptedEngine, take } from './scripted-engine.ts';

async function withOwner(): Promise<ScriptedEngine> {
  const engine = new ScriptedEngine();
  await engine.engine.join('a', 1, undefined);
  await take(engine, 1);
  return engine;
}

test('a cell of a living session has an owner; of a dead one, or of nobody, it has none', async () => {
  const engine = await withOwner();
  assert.equal(await findOrphan(engine.engine, 0), undefined);
  await engine.engine.fence('a', 1, 0);
  assert.equal((await findOrphan(engine.engine, 0))?.epoch, 1);
  assert.equal((await findOrphan(new ScriptedEngine().engine, 0))?.epoch, 0);
});

test('an engine that does not answer says nothing of owners', async () => {
  for (const method of ['look', 'nodes'] as const) {
    const engine = new ScriptedEngine();
    engine.fault(method, 'request-lost');
    assert.equal(await findOrphan(engine.engine, 0), undefined);
  }
});

test('a session that begins between the two questions keeps its cell', async () => {
  for (const method of ['look', 'nodes'] as const) {
    const engine = await withOwner();
    engine.before(method, async () => {
      await engine.engine.fence('a', 1, 0);
      await engine.engine.join('b', 2, undefined);
      await take(engine, 2);
    });
    const orphan = await findOrphan(engine.engine, 0);
    if (orphan === undefined) continue;
    assert.notEqual(orphan.session, 2);
    assert.equal((await engine.engine.take(0, orphan.epoch, 3)).kind, 'refused');
  }
});
