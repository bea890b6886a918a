/** Quotas over several shards, over restarts, and from a store of a version without counts. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { accountId } from '../../src/protocol/ids.ts';
import { acme, batch, remove, set } from '../support/commands.ts';
import { ServerInMemory } from '../support/server-in-memory.ts';
import type { Command } from '../../src/protocol/operations/operations.ts';

const keys = Array.from({ length: 40 }, (_, i) => `k${i}`);
const usage = (account = acme): Command => ({ kind: 'account.usage', account });

async function codeOf(server: ServerInMemory, command: Command): Promise<string> {
  const { body } = await server.ask(command);
  return body.Code ?? 'ok';
}

async function restart(server: ServerInMemory, how: 'stop' | 'crash'): Promise<void> {
  if (how === 'crash') return server.crash(1);
  await server.stop();
  await server.start();
}

async function start(t: TestContext, shards: number): Promise<ServerInMemory> {
  return ServerInMemory.start(t, { shards, limits: { account_entries_max: 20 } });
}

for (const shards of [1, 3]) {
  test(`with ${shards} shards: an account may have as much as its quota says, on all shards together`, async (t) => {
    const server = await start(t, shards);
    const codes: string[] = [];
    for (const key of keys) codes.push(await codeOf(server, set(key, 1)));
    assert.equal(codes.filter((code) => code === 'ok').length, 20);
    assert.deepEqual([...new Set(codes)], ['ok', 'quota_exceeded']);
    const { body } = await server.ask(usage());
    assert.partialDeepStrictEqual(body, { Entries: { kv: 20 } });
    const refused = await server.ask(set('more', 1));
    assert.partialDeepStrictEqual(refused.body, { Quota: 'entries', Limit: 20, Used: 20 });
    assert.equal(await codeOf(server, { ...set('k', 1), account: accountId('other') }), 'ok');
    assert.equal(await codeOf(server, remove(keys[0]!)), 'ok');
    assert.equal(await codeOf(server, set('more', 1)), 'ok');
  });

  test(`with ${shards} shards: a batch is looked at as a whole, and its account is as full after a restart`, async (t) => {
    const server = await start(t, shards);
    for (const key of keys.slice(0, 20)) await server.ask(set(key, 1));
    const [gone, ...others] = keys;
    const swap = batch({ set: [{ key: gone! }, { key: 'a', value: '1' }] });
    const grow = batch({ set: [{ key: others[0]! }, { key: 'b', value: '1' }, { key: 'c', value: '1' }] });
    assert.equal(await codeOf(server, grow), 'quota_exceeded');
    assert.equal(await codeOf(server, swap), 'ok');
    for (const how of ['stop', 'crash'] as const) {
      await restart(server, how);
      assert.equal(await codeOf(server, grow), 'quota_exceeded', how);
      const { body } = await server.ask(usage());
      assert.partialDeepStrictEqual(body, { Entries: { kv: 20 } });
    }
    for (const checkpoint of server.checkpoints) checkpoint.withoutCounts();
    await restart(server, 'crash');
    assert.equal(await codeOf(server, grow), 'quota_exceeded', 'counted anew');
    assert.equal(await codeOf(server, batch({ set: others.slice(0, 5).map((key) => ({ key })) })), 'ok');
    assert.equal(await codeOf(server, grow), 'ok');
  });
}

test('the bytes that usage tells are those of the refusal, with leases of locks that several hold', async (t) => {
  const server = await ServerInMemory.start(t, { shards: 3, limits: { account_bytes_max: 100 } });
  for (const owner of ['a', 'b']) {
    const permit = { id: 'permits', owner, limit: 3, durMs: 60_000, waitMs: 0 };
    await server.ask(batch({ lock: permit, set: [{ key: 'k', value: '1' }] }));
  }
  await server.ok(batch({ set: [{ key: 'k' }] }));
  const refused = await server.ask(set('more', 1));
  const { body } = await server.ask(usage());
  assert.equal(refused.body['Used'], body['Bytes']);
  assert.ok(Number(body['Bytes']) > 100);
});
