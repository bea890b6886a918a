import assert from 'node:assert/strict';
import { test } from 'node:test';
import { revision } from '../../src/protocol/ids.ts';
import { get, mlock, set } from '../support/commands.ts';
import { keyOn, RouterUnderTest } from '../support/router-under-test.ts';

for (const shards of [1, 3]) {
  test(`where revisions end, writes are refused and reads are served, with ${shards} shards`, async () => {
    const last = 2 ** 48 - 2 ** 30;
    const server = new RouterUnderTest({ shards, last: revision(last - 1) });
    for (let shard = 0; shard < shards; shard += 1) {
      const key = keyOn(shard, shards);
      assert.equal((await server.ok(set(key, 1))).Rev, last + shard);
      const refused = await server.ask(set(key, 2));
      assert.deepEqual([refused.status, refused.code], [507, 'quota_exceeded']);
      assert.match(refused.body.Message, /^The 2\^48 revisions .* are used up/);
      assert.equal((await server.ok(get(key))).KV[0]!.Value, 1);
    }
    await server.ok(mlock('m'));
  });
}
