/** The deletion of an account over several shards, over crashes, restarts, and another number of shards. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { accountId } from '../../src/protocol/ids.ts';
import type { Batch, Command } from '../../src/protocol/operations/operations.ts';
import { kinds } from '../../src/protocol/record.ts';
import { acme, batch, get, kvList, set } from '../support/commands.ts';
import { message, send } from '../support/queue-commands.ts';
import { ServerInMemory } from '../support/server-in-memory.ts';

const other = accountId('other');
const wipe = batch({ format: 'account.delete', wipe: {} });
const usage: Command = { kind: 'account.usage', account: acme };
const ofOther = (command: Batch): Batch => ({ ...command, account: other });

async function filled(t: TestContext, shards: number, count: number): Promise<ServerInMemory> {
  const server = await ServerInMemory.start(t, { shards });
  for (let from = 0; from < count; from += 500) {
    const keys = Array.from({ length: 500 }, (_, i) => ({ key: `k${String(from + i).padStart(6, '0')}`, value: '1' }));
    await server.ok(batch({ set: keys }));
    await server.ok(
      send(...Array.from({ length: 50 }, (_, i) => message(i, { key: `q${i % 7}`, group: `g${i % 3}` }))),
    );
  }
  await server.ok(ofOther(set('mine', 1)));
  return server;
}

function left(server: ServerInMemory): number {
  const kept = new Set<number>([kinds.audit, kinds.boot]);
  return server.running.states.reduce((sum, { entries }) => {
    const own = Object.values(kinds).filter((kind) => !kept.has(kind));
    return sum + own.reduce((all, kind) => all + entries.countOf(acme, kind).entries, 0);
  }, 0);
}

for (const shards of [1, 3]) {
  test(`with ${shards} shards: a deletion is there on all shards or on none, and ends after any crash`, async (t) => {
    let met = 0;
    for (let steps = 0; steps < 24 * shards; steps += 2 * shards) {
      const server = await filled(t, shards, 6000);
      const before = left(server);
      const asked = server.send(wipe);
      for (let step = 0; step < steps; step += 1) await server.steps(1);
      // The sweep goes on after a while of its own: the power is cut in the middle of it.
      if (steps > 10 * shards) void server.advance(5);
      await server.steps(steps % 5);
      const during = left(server);
      await server.crash(steps);
      // Before anything else: what a client sees is all, or that it is being deleted, or nothing.
      const seen = await server.ask(kvList(''));
      const acknowledged = asked.reply?.outcome === 'ok';
      if (during > 0 && during < before) met += 1;
      if (seen.body.Code === undefined && (seen.body['KV'] as unknown[]).length > 0) {
        assert.equal(acknowledged, false, 'an acknowledged deletion is not undone');
        assert.equal(left(server), before);
        await server.ok(wipe);
      } else if (seen.body.Code !== undefined) assert.equal(seen.body.Code, 'account_deleting');
      // A thread takes a turn when it starts; here a question makes each shard take one.
      await server.ok(usage);
      await server.advance(100);
      assert.equal(left(server), 0);
      server.digest();
      assert.equal((await server.ok(usage))['Deleting'], undefined);
      assert.equal((await server.ok(ofOther(get('mine')))).KV[0]!.Value, 1);
      await server.ok(set('again', 1));
    }
    assert.ok(met >= 2, `${met} crashes met a deletion that was under way`);
  });
}

test('a bystander is served between two turns of a deletion', async (t) => {
  const server = await filled(t, 1, 10_000);
  const done = server.send(wipe);
  await server.steps(4);
  let served = 0;
  while (left(server) > 0) {
    const asked = server.send(ofOther(set(`k${served}`, 1)));
    const before = left(server);
    for (let step = 0; asked.reply === undefined; step += 1) {
      assert.ok(step < 12, 'a few steps');
      await server.steps(1);
    }
    assert.ok(before - left(server) <= 4 * 500, 'and a few turns of the deletion');
    served += 1;
  }
  assert.equal(done.status, 200);
  assert.ok(served >= 3, `${served} served`);
});
