import assert from 'node:assert/strict';
import { test } from 'node:test';
import { frameHeaderBytes } from '../../../src/journal/file/frame.ts';
import { RecordQueue } from '../../../src/journal/file/record-queue.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import { chunkOf, decode, range, rev, revisionsOf, type Written } from './journal-fixture.ts';

function drain(queue: RecordQueue, limit: number): Written[] {
  const records: Written[] = [];
  for (queue.fill(limit); queue.count > 0; queue.fill(limit)) {
    const first: number = queue.first;
    let count = 0;
    for (let at = frameHeaderBytes; at < queue.length; at += queue.buffer.readUInt32LE(at)) {
      records.push(decode(queue.buffer, at));
      count += 1;
    }
    assert.equal(count, queue.count);
    assert.equal(records.at(-count)?.rev, first);
    assert.equal(records.at(-1)?.rev, queue.last);
    assert.ok(queue.length <= limit || count === 1, 'a frame keeps to its limit');
    queue.clear();
  }
  return records;
}

test('record queue: chunks of several shards in any order come out in revision order, whole, within the limit', () => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = seededRandom(seed);
    const shards = 1 + random.below(4);
    const pending: Written[][] = Array.from({ length: shards }, () => []);
    const chunks: Written[][] = [];
    for (const at of range(1, 60)) {
      const shard = random.below(shards);
      pending[shard]?.push({ rev: at, text: `${seed}/${at}`.repeat(1 + random.below(20)) });
      if (random.next() < 0.3) chunks.push(pending[shard]?.splice(0) ?? []);
    }
    chunks.push(...pending);
    const queue = new RecordQueue(rev(0));
    const limit = 100 + random.below(1000);
    const got: Written[] = [];
    const waiting = chunks.filter((chunk) => chunk.length > 0);
    while (waiting.length > 0) {
      const [chunk = []] = waiting.splice(random.below(waiting.length), 1);
      const encoded = chunkOf(chunk);
      queue.add(encoded, false, limit);
      // The shard uses its buffer again.
      encoded.bytes.fill(0xee);
      if (random.next() < 0.5) got.push(...drain(queue, limit));
    }
    got.push(...drain(queue, limit));
    assert.deepEqual(
      got,
      chunks.flat().toSorted((a, b) => a.rev - b.rev),
      `seed ${seed}`,
    );
    assert.equal(queue.waiting, 0);
  }
});

test('record queue: a record waits for every lower revision', () => {
  const queue = new RecordQueue(rev(4));
  queue.add(
    chunkOf([
      { rev: 6, text: 'b' },
      { rev: 8, text: 'd' },
    ]),
    false,
    4096,
  );
  assert.deepEqual(drain(queue, 4096), []);
  queue.add(chunkOf([{ rev: 5, text: 'a' }]), false, 4096);
  assert.deepEqual(revisionsOf(drain(queue, 4096)), [5, 6]);
  queue.add(chunkOf([{ rev: 7, text: 'c' }]), false, 4096);
  assert.deepEqual(revisionsOf(drain(queue, 4096)), [7, 8]);
});

test('record queue: a revision that comes twice is a broken invariant', () => {
  const queue = new RecordQueue(rev(0));
  queue.add(chunkOf([{ rev: 1, text: 'a' }]), false, 4096);
  assert.throws(() => queue.add(chunkOf([{ rev: 1, text: 'a' }]), false, 4096), /journalled once/);
  queue.add(chunkOf([{ rev: 3, text: 'a' }]), false, 4096);
  assert.throws(() => queue.add(chunkOf([{ rev: 3, text: 'a' }]), false, 4096), /journalled once/);
});
