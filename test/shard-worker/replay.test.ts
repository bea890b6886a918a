/**
 * A start after a crash: the checkpoint and the journal after it give the state before the crash (I5), nothing
 * acknowledged is lost (I1), and a batch over several shards is on all of them or on none (I2, I6).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FileJournalSource } from '../../src/journal/file/file-journal-source.ts';
import { LocalCheckpointWriter } from '../../src/storage/checkpoint/checkpoint-link.ts';
import { bootKey, epochEffect, Fences, fencesPerEpoch } from '../../src/protocol/epochs.ts';
import { revision, serverAccount, shardId } from '../../src/protocol/ids.ts';
import type { Journal } from '../../src/protocol/journal.ts';
import { decodeRecord, kinds, type RecordChunk } from '../../src/protocol/record.ts';
import type { CheckpointWriter } from '../../src/storage/checkpoint/checkpointer.ts';
import { ShardStore } from '../../src/storage/shard-store.ts';
import { LocalRevisions } from '../support/local-revisions.ts';
import { defaultLimits } from '../../src/shared/limits.ts';
import { commitBoot, openShard } from '../../src/shard-worker/open-shard.ts';
import { MemoryCheckpointStore } from '../support/memory-checkpoint-store.ts';
import { acme, batch, get, lock, mlock, next, once, remove, set, unlock } from '../support/commands.ts';
import { keyOn, type AskedClient } from '../support/router-under-test.ts';
import { seededRandom, type SeededRandom } from '../support/seeded-random.ts';
import { ServerInMemory } from '../support/server-in-memory.ts';
import type { Command } from '../../src/protocol/operations/operations.ts';

const limits = { memtable_bytes_max: 24 * 1024 };

for (const shards of [1, 3]) {
  test(`digest(checkpoint + replay) = digest(state before the crash), with ${shards} shards`, async (context) => {
    let checkpoints = 0;
    let replayedFrom = 0;
    for (let seed = 1; seed <= 15; seed++) {
      const random = seededRandom(seed);
      const server = await ServerInMemory.start(context, { shards, limits });
      for (let round = 0; round < 4; round++) {
        for (let i = random.below(60); i >= 0; i--) {
          server.send(randomCommand(random, i));
          if (random.below(3) === 0) await server.steps(random.below(20));
          if (random.below(12) === 0) await server.advance([10, 1000, 30_000, 70_000][random.below(4)]!);
        }
        await server.settle();
        const before = server.digest();
        checkpoints += (await server.until(server.running.router.stats())).shards.reduce(
          (sum, shard) => sum + shard.checkpoints,
          0,
        );
        replayedFrom += Math.min(...server.checkpoints.map((store) => store.watermark()));
        await server.crash(seed * 100 + round);
        assert.equal(server.digest(), before, `seed ${seed}, round ${round}`);
      }
    }
    assert.ok(checkpoints > 20 && replayedFrom > 0, `${checkpoints} checkpoints were made`);
  });

  test(`a clean stop leaves everything in the checkpoint, with ${shards} shards`, async (context) => {
    const random = seededRandom(5);
    const server = await ServerInMemory.start(context, { shards, limits });
    for (let i = 0; i < 200; i++) server.send(randomCommand(random, i));
    await server.settle();
    const before = server.digest();
    const { Rev } = await server.ok(get('k'));
    await server.stop();
    for (const store of server.checkpoints) assert.ok(store.watermark() >= Rev);
    await server.start();
    assert.equal(server.digest(), before);
  });

  test(`a crash in the middle of anything loses nothing acknowledged and halves no batch, with ${shards} shards`, async (context) => {
    let acknowledged = 0;
    let unanswered = 0;
    for (let seed = 1; seed <= 40; seed++) {
      const random = seededRandom(seed);
      const server = await ServerInMemory.start(context, { shards, limits });
      const keys = ['x', 'y', 'z', 'u', 'v'];
      const asked: { client: AskedClient; n: number }[] = [];
      for (let n = 1; n <= 60; n++) {
        const command = batch({
          set: keys.map((key) => ({ key, value: String(n) })),
          counter: [
            { key: 'from', op: 'add', n: -n },
            { key: 'to', op: 'add', n },
          ],
        });
        asked.push({ client: server.send(command), n });
        server.send(set(`pad${n}`, 'x'.repeat(random.below(1000))));
        await server.steps(random.below(shards === 1 ? 12 : 60));
      }
      await server.crash(seed);
      const read = await server.ok(
        batch({
          get: keys,
          counter: [
            { key: 'from', op: 'get', n: 0 },
            { key: 'to', op: 'get', n: 0 },
          ],
        }),
      );
      const values = new Set(read.KV.map(({ Value }) => (Value as number | undefined) ?? 0));
      assert.equal(values.size, 1, `seed ${seed}: one batch on all keys: ${JSON.stringify(read.KV)}`);
      assert.equal(read.Atomic[0]!.Value + read.Atomic[1]!.Value, 0, `seed ${seed}: the total`);
      const [reached] = values;
      for (const { client, n } of asked) {
        if (client.waits) unanswered += 1;
        else if (client.code === 'ok') {
          acknowledged += 1;
          assert.ok(n <= reached!, `seed ${seed}: ${n} was acknowledged, ${reached} is there`);
        }
      }
    }
    assert.ok(acknowledged > 100 && (shards === 1 || unanswered > 10), `${acknowledged} and ${unanswered}`);
  });
}

test('ids on several shards share one reply in the log; each answers with it after a crash, a stop and replay', async (context) => {
  const shards = 3;
  const ids = [0, 0, 1, 1, 2, 2].map((shard, i) => keyOn(shard, shards, i, 'id'));
  for (const order of [ids, ids.toReversed()]) {
    const server = await ServerInMemory.start(context, { shards });
    const add = { counter: [{ key: 'visits', op: 'add', n: 1 }] } as const;
    const first = await server.ok(batch({ ...once(order), ...add }));
    const digest = server.digest();
    const check = async (): Promise<void> => {
      assert.equal(server.digest(), digest);
      for (const id of order) {
        const again = await server.ask(batch({ ...once(id, { mode: 'replay' }), ...add }));
        assert.deepEqual([again.status, again.body], [200, first]);
      }
    };
    await check();
    await server.crash(1);
    await check();
    await server.stop();
    await server.start();
    await check();
    await server.advance(60_000);
    await server.ok(batch({ ...once(order), ...add }));
  }
});

test('fences and versions grow over restarts, mutexes too', async (context) => {
  const server = await ServerInMemory.start(context, { shards: 3 });
  let fence = 0;
  let mutex = 0;
  for (let round = 0; round < 6; round++) {
    const held = await server.ok(lock(`l${round}`));
    assert.ok(held.Lock > fence);
    fence = held.Lock;
    const inMemory = await server.ok(mlock('m'));
    assert.ok(inMemory.Lock > mutex);
    mutex = inMemory.Lock;
    if (round % 2 === 0) await server.crash(round);
    else {
      await server.stop();
      await server.start();
    }
  }
});

for (const shards of [1, 3]) {
  test(`a shard takes a further epoch before its fences end, and they grow over a crash, with ${shards} shards`, async (context) => {
    const server = await ServerInMemory.start(context, { shards });
    let last = 0;
    for (let round = 0; round < 3; round++) {
      for (let epochs = 0; epochs < 2; epochs += 1) {
        for (const { mutexes } of server.running.states) {
          let fence: number | undefined = 0;
          for (let i = 0; i < 0.6 * fencesPerEpoch && fence !== undefined; i += 1) fence = mutexes.fences.next();
          assert.notEqual(fence, undefined);
        }
        const { Lock } = await server.ok(mlock(`m${epochs}`, { durMs: 1000 }));
        assert.ok(Lock > last);
        last = Lock;
        // Every shard has to take a turn, to see that its fences are low.
        for (let i = 0; i < 20; i += 1) await server.ok(mlock(`other${i}`, { durMs: 1000 }));
        await server.advance(20_000);
      }
      for (let i = 0; i < 20; i += 1) last = Math.max(last, (await server.ok(mlock(`late${i}`, { durMs: 1000 }))).Lock);
      await server.crash(round);
      assert.ok((await server.ok(mlock('again', { durMs: 1000 }))).Lock > last);
    }
  });
}

test('a data directory that has counted 17 starts goes on above their fences', async () => {
  const store = new ShardStore(new MemoryCheckpointStore());
  const rev = revision(1);
  store.put(kinds.boot, serverAccount, bootKey, { rev, till: 0, value: '17' });
  const chunks: RecordChunk[] = [];
  const journal: Journal = {
    append: (chunk) => void chunks.push({ ...chunk, bytes: Buffer.from(chunk.bytes) }),
    whenDurable: (_, reached) => reached(),
    space: () => 'open',
    checkpointed: () => {},
  };
  const { epoch } = await commitBoot(store, journal, new LocalRevisions(rev), 0);
  assert.ok(new Fences(epoch).next()! > 17 * 2 ** 32 + 2 ** 32 - 1);
  assert.deepEqual(decodeRecord(Buffer.from(chunks[0]!.bytes), 0).effects, [epochEffect(epoch)]);
  assert.equal((await commitBoot(store, journal, new LocalRevisions(rev), 0)).epoch, epoch + 1);
});

test('a start leaves half of the memtable to the writes that arrive during the first checkpoint', async (context) => {
  const server = await ServerInMemory.start(context, { shards: 1 });
  for (let i = 0; i < 60; i++) await server.ok(set(`k${i}`, 'x'.repeat(1000)));
  const { Rev } = await server.ok(get('k1'));
  const leftOver = new Set<number>();
  for (let memtableBytesMax = 10_000; memtableBytesMax < 120_000; memtableBytesMax += 5000) {
    const checkpoint = new MemoryCheckpointStore();
    const { store } = await openShard({
      shard: shardId(0),
      shards: 1,
      limits: { ...defaultLimits, memtable_bytes_max: memtableBytesMax },
      checkpoint,
      writer: new LocalCheckpointWriter(() => checkpoint),
      source: new FileJournalSource(server.disk, '/data/journal'),
      last: revision(Rev),
      yieldTurn: () => Promise.resolve(),
    });
    leftOver.add(store.memtableBytes);
    assert.ok(store.memtableBytes <= memtableBytesMax / 2, `${store.memtableBytes} of ${memtableBytesMax} are in use`);
  }
  assert.ok(leftOver.size > 5, 'what is left over differs');
});

test('a start that is cut short right after one of its checkpoints loses nothing', async (context) => {
  const server = await ServerInMemory.start(context, { shards: 1 });
  for (let i = 0; i < 60; i++) await server.ok(set(`k${i}`, 'x'.repeat(1000)));
  const { Rev } = await server.ok(get('k1'));
  let cutShort = 0;
  for (let commits = 1; commits <= 5; commits += 1) {
    const checkpoint = new MemoryCheckpointStore();
    const inner = new LocalCheckpointWriter(() => checkpoint);
    let left = commits;
    const writer: CheckpointWriter = {
      begin: (shard) => inner.begin(shard),
      slice: (bytes) => inner.slice(bytes),
      async commit(watermark) {
        if (left === 0) throw new Error('the process has ended');
        await inner.commit(watermark);
        left -= 1;
      },
    };
    const start = (memtableBytesMax: number): ReturnType<typeof openShard> =>
      openShard({
        shard: shardId(0),
        shards: 1,
        limits: { ...defaultLimits, memtable_bytes_max: memtableBytesMax },
        checkpoint,
        writer,
        source: new FileJournalSource(server.disk, '/data/journal'),
        last: revision(Rev),
        yieldTurn: () => Promise.resolve(),
      });
    await start(10_000).then(
      () => {},
      () => (cutShort += 1),
    );
    left = Infinity;
    const { store } = await start(1_000_000);
    assert.equal([...store.range(kinds.kv, acme, '')].length, 60, `after ${commits} commits`);
  }
  assert.ok(cutShort > 3);
});

function randomCommand(random: SeededRandom, i: number): Command {
  const key = `k${random.below(12)}`;
  const other = `k${random.below(12)}`;
  switch (random.below(9)) {
    case 0:
      return set(key, 'x'.repeat(random.below(1500)));
    case 1:
      return set(key, i, { ttlMs: 1 + random.below(40_000) });
    case 2:
      return remove(key);
    case 3:
      return batch({
        set: [
          { key, value: String(i) },
          { key: other, value: String(i), ttlMs: 500 },
        ],
      });
    case 4:
      return batch({ ...once(`id${random.below(6)}`, { ttlMs: 20_000 }), counter: [{ key, op: 'add', n: 1 }] });
    case 5:
      return next(`s${random.below(3)}`);
    case 6:
      return lock(
        `l${random.below(3)}`,
        { durMs: 5000, waitMs: random.below(2) * 2000 },
        { set: [{ key, value: '1' }] },
      );
    case 7:
      return unlock(`l${random.below(3)}`);
    default:
      return batch({ counter: [{ key, op: 'reset', n: 0 }], set: [{ key: other }] });
  }
}
