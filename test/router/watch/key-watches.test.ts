/** What a watch of many keys costs: one question to each shard, and one message when it is over. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { revision } from '../../../src/protocol/ids.ts';
import type { WatchKey } from '../../../src/protocol/operations/watch.ts';
import type { Reply } from '../../../src/protocol/replies.ts';
import type { ReplySink } from '../../../src/router/dispatcher.ts';
import { RouterCounts } from '../../../src/router/router-counts.ts';
import { KeyWatches } from '../../../src/router/watch/key-watches.ts';
import { defaultLimits } from '../../../src/shared/limits.ts';
import { acme } from '../../support/commands.ts';

function underTest(shards: number) {
  const asked: { readonly command: WatchKey; readonly sink: ReplySink }[] = [];
  const ended: (readonly string[])[] = [];
  const watches = new KeyWatches({
    request(command, sink) {
      assert.ok(command.kind === 'watch.key');
      asked.push({ command, sink });
      return { cancel: () => {} };
    },
    shardOf: (_account, key) => Number(key.slice(1)) % shards,
    unwatch: (shard, { keys }) => (ended[shard] = keys),
    limits: defaultLimits,
    counts: new RouterCounts(RouterCounts.allocate(shards), shards),
    after: () => () => {},
  });
  return { watches, asked, ended };
}

test('a watch of 1,000 keys asks each shard once for all of them, and ends with one message to each', () => {
  const shards = 3;
  const { watches, asked, ended } = underTest(shards);
  const keys = Array.from({ length: 1000 }, (_, i) => ({ key: `k${i}`, version: i }));
  const replies: Reply[] = [];
  watches.watch(acme, [...keys, keys[0]!], 1000, { disconnected: false, deliver: (reply) => replies.push(reply) });
  assert.equal(asked.length, shards);
  const named = asked.flatMap(({ command: { key, version, also = [] } }) => [{ key, version }, ...also]);
  assert.deepEqual(
    named.toSorted((a, b) => a.version - b.version),
    [keys[0], ...keys],
  );
  for (const { sink } of asked) sink.deliver({ rev: revision(5), outcome: 'registered', body: '' });
  watches.changed({ account: acme, key: 'k999', version: 6, rev: revision(6), body: '{"Key":"k999"}' });
  assert.deepEqual(
    replies.map(({ body }) => body),
    ['{"Key":"k999"}'],
  );
  assert.deepEqual(ended.flat().toSorted(), keys.map(({ key }) => key).toSorted(), 'each key once');
  assert.equal(ended.length, shards);
});
