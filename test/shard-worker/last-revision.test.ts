import assert from 'node:assert/strict';
import { test } from 'node:test';
import { revision } from '../../src/protocol/ids.ts';
import { get, lock, mlock, set } from '../support/commands.ts';
import { RouterUnderTest } from '../support/router-under-test.ts';

for (const shards of [1, 3]) {
  test(`where revisions end, writes are refused and reads are served, with ${shards} shards`, async () => {
    const server = new RouterUnderTest({ shards });
    await server.ok(set('k', 1));
    for (const state of server.states) state.lastRev = revision(2 ** 48 - 2 ** 30 - 1);
    await server.ok(set('k', 2));
    for (const state of server.states) state.lastRev = revision(2 ** 48 - 2 ** 30);
    for (const write of [set('k', 3), lock('l')]) {
      const refused = await server.ask(write);
      assert.deepEqual([refused.status, refused.code], [507, 'quota_exceeded']);
      assert.match(refused.body.Message, /^The 2\^48 revisions .* are used up/);
    }
    await server.ok(mlock('m'));
    const read = await server.ask(get('k'));
    assert.equal(read.body.KV[0]!.Value, 2);
  });
}
