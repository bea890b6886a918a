/** Whom a shard that writes the journal itself tells what is durable. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountId, revision, shardId } from '../../src/protocol/ids.ts';
import type { FromShard } from '../../src/protocol/wire/shard-messages.ts';
import { newShardState } from '../../src/shard-worker/core/state/state.ts';
import { ShardActor } from '../../src/shard-worker/shard-actor.ts';
import { defaultLimits } from '../../src/shared/limits.ts';
import { set } from '../support/commands.ts';
import { startOfTime } from '../support/core-under-test.ts';
import { LocalRevisions } from '../support/local-revisions.ts';
import { MapEntries } from '../support/map-entries.ts';
import { noCheckpoints } from '../support/no-checkpoints.ts';
import { workMeter } from '../support/work-meter.ts';

const dispatcher = 2;

/** Two front ends and a dispatcher; the disk takes what is appended while `hasSpace`. */
function shardUnderTest() {
  const revisions = new LocalRevisions(revision(0));
  const sent: { router: number; message: FromShard }[] = [];
  const disk = { hasSpace: true, tell: (): void => {} };
  const sync = (): void => {
    revisions.setDurable(revisions.current());
    disk.tell();
  };
  const actor = new ShardActor({
    state: newShardState({
      shard: shardId(0),
      limits: defaultLimits,
      entries: new MapEntries(),
      revisions,
      owns: () => true,
      recordBytesMax: Infinity,
      boot: { epoch: 1, rev: revision(0), at: startOfTime },
    }),
    clock: { now: () => startOfTime },
    journal: {
      append: () => disk.hasSpace && sync(),
      whenDurable: () => {},
      space: () => 'open',
      checkpointed: () => {},
    },
    checkpoints: noCheckpoints,
    send: (router, message) => void sent.push({ router, message }),
    congestion: () => 'none',
    meter: workMeter(),
    wake: () => {},
    announce: { watching: 2, onDurable: (listener) => (disk.tell = listener) },
  });
  return {
    disk,
    sync,
    write(router: number): void {
      const command = { ...set('k', 'v'), account: accountId('a') };
      actor.receive(router, [{ kind: 'request', id: 1, command }]);
      actor.turn();
    },
    /** Who was told since the last call, and what. */
    told: () => sent.splice(0).map(({ router, message }) => [router, Number(message.durable), message.replies.length]),
  };
}

test('a commit is told to every front end, and does not wake the dispatcher, where nobody watches', () => {
  const shard = shardUnderTest();
  shard.write(0);
  assert.deepEqual(shard.told(), [
    [0, 1, 1],
    [1, 1, 0],
  ]);
});

test('what the dispatcher was sent while the disk was full leaves its gate as soon as it is on disk', () => {
  const shard = shardUnderTest();
  shard.disk.hasSpace = false;
  shard.write(dispatcher);
  assert.deepEqual(shard.told(), [[dispatcher, 0, 1]]);
  shard.disk.hasSpace = true;
  shard.sync();
  assert.deepEqual(
    shard.told().toSorted(([a], [b]) => a! - b!),
    [
      [0, 1, 0],
      [1, 1, 0],
      [dispatcher, 1, 0],
    ],
  );
  // It is told once.
  shard.write(1);
  assert.deepEqual(
    shard.told().map(([router]) => router),
    [1, 0],
  );
});
