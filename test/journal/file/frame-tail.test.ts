import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountId, revision } from '../../../src/protocol/ids.ts';
import { kinds } from '../../../src/protocol/record.ts';
import { FileJournalSource } from '../../../src/journal/file/file-journal-source.ts';
import { realDisk } from '../../../src/shared/disk.ts';
import { BackedUpStore } from '../../support/backed-up-store.ts';
import { MemoryStorage } from '../../support/memory-storage.ts';

test('whole frames are read, none above what is durable, over the ends of segments, and on as the log grows', async (t) => {
  const server = await BackedUpStore.open(t, { storage: new MemoryStorage() });
  const commit = (): number =>
    server.commit(accountId('a'), [{ kind: kinds.kv, key: 'k', till: 0, value: JSON.stringify('x'.repeat(5000)) }]);
  for (let i = 0; i < 40; i += 1) commit();
  const source = new FileJournalSource(realDisk, `${server.directory}/journal`);
  const tail = source.frames(revision(0));
  const first = tail.read(revision(3), 1_000_000);
  assert.ok(first.kind === 'frames');
  assert.deepEqual([first.frames.after, first.frames.first, first.frames.last], [0, 1, 3]);
  assert.deepEqual(tail.read(revision(3), 1_000_000), { kind: 'idle' });
  let { last, crc } = first.frames;
  let parts = 0;
  while (last < 40) {
    const read = tail.read(revision(40), 20_000);
    assert.ok(read.kind === 'frames');
    assert.deepEqual([read.frames.after, read.frames.chain], [last, crc], 'each follows the one before');
    ({ last, crc } = read.frames);
    parts += 1;
  }
  assert.ok(parts > 10, `${parts} parts of at most 20,000 bytes`);
  assert.equal(source.checksumAt(revision(40)), crc);
  assert.equal(source.checksumAt(revision(41)), undefined);
  assert.deepEqual(tail.read(revision(40), 1), { kind: 'idle' });
  commit();
  const next = tail.read(revision(41), 1);
  assert.ok(next.kind === 'frames' && next.frames.last === 41);
  assert.equal(source.oldestAfter(), 0);
  await server.checkpointAll();
  for (let i = 0; i < 60; i += 1) commit();
  tail.close();
});
