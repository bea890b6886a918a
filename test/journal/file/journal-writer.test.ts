import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shardId } from '../../../src/protocol/ids.ts';
import { LocalJournal } from '../../../src/journal/local-journal.ts';
import { readRecords } from '../../../src/journal/file/journal-reader.ts';
import { listSegments } from '../../../src/journal/file/segment.ts';
import { FaultDisk } from '../../support/fault-disk.ts';
import {
  chunkOf,
  directory,
  enqueue,
  open,
  range,
  readAll,
  rev,
  revisionsOf,
  segmentBytes,
  settle,
  write,
} from './journal-fixture.ts';

const text = 't'.repeat(300);

test('journal: one flush writes everything that has arrived as one frame with one sync', async () => {
  const disk = new FaultDisk(1);
  const journal = await open(disk);
  await settle();
  const told: number[] = [];
  journal.writer.onDurable((durable) => told.push(durable));
  for (let chunk = 0; chunk < 5; chunk += 1) enqueue(journal, 2);
  const before = disk.calls;
  assert.equal(journal.writer.flush(), true);
  assert.equal(disk.calls - before, 2, 'a write and a sync');
  assert.equal(journal.writer.flush(), false);
  assert.deepEqual(told, [10]);
  assert.equal(journal.revisions.durable(), 10);
  const { groupRecords } = journal.writer.stats();
  assert.equal(groupRecords.sum, 10);
  assert.deepEqual(groupRecords.counts.slice(3, 5), [0, 1]);
});

test('journal: nothing is durable before its sync has returned', async () => {
  const disk = new FaultDisk(1);
  const journal = await open(disk);
  await settle();
  const told: number[] = [];
  journal.writer.onDurable((durable) => told.push(durable));
  const seen: [string, number, number][] = [];
  disk.inject = ({ operation }) => {
    seen.push([operation, journal.revisions.durable(), told.length]);
    return undefined;
  };
  write(journal, 3);
  assert.deepEqual(seen, [
    ['write', 0, 0],
    ['datasync', 0, 0],
  ]);
  assert.deepEqual([journal.revisions.durable(), told], [3, [3]]);
});

test('journal: interleaving chunks of two shards are written in revision order', async () => {
  const disk = new FaultDisk(1);
  const { writer } = await open(disk, { shards: 2 });
  writer.enqueue(chunkOf([2, 3, 6].map((at) => ({ rev: at, text: 'b' }))));
  assert.equal(writer.flush(), false, 'revision 1 has not arrived');
  writer.enqueue(chunkOf([1, 4, 5].map((at) => ({ rev: at, text: 'a' }))));
  assert.equal(writer.flush(), true);
  assert.deepEqual(
    readAll(disk).map((record) => record.text),
    ['a', 'b', 'b', 'a', 'a', 'b'],
  );
});

test('journal: a frame holds the time at which it was written, which never falls, over restarts too', async () => {
  let disk = new FaultDisk(1);
  const clock = { now: () => times.shift()! };
  const times = [1000, 3000, 2000, 3500];
  const first = await open(disk, { clock });
  while (times.length > 0) write(first, 2);
  await first.writer.close();
  disk = disk.restart();
  times.push(500, 3499, 4000);
  const second = await open(disk, { clock, from: 8 });
  while (times.length > 0) write(second, 1);
  const found = Array.from(readRecords(disk, directory, rev(0)), ({ committedAt }) => committedAt);
  assert.deepEqual(found, [1000, 1000, 3000, 3000, 3000, 3000, 3500, 3500, 3500, 3500, 4000]);
});

test('journal: a full segment is followed by the spare, and all of it is read back', async () => {
  const disk = new FaultDisk(1);
  const journal = await open(disk);
  for (let group = 0; group < 60; group += 1) {
    write(journal, 3, text);
    await settle();
  }
  assert.ok(journal.writer.stats().segments >= 4);
  assert.deepEqual(revisionsOf(readAll(disk)), range(1, 180));
  assert.deepEqual(revisionsOf(readAll(disk, 100)), range(101, 180));
});

test('journal: when the spare is only slow, one is made at once and nobody is refused', async () => {
  const disk = new FaultDisk(1);
  const gate = Promise.withResolvers<void>();
  const journal = await open(disk);
  await settle();
  disk.gate = gate.promise;
  for (let group = 0; group < 60; group += 1) {
    assert.equal(journal.writer.space, 'open');
    write(journal, 3, text);
    assert.equal(journal.revisions.durable(), (group + 1) * 3);
  }
  gate.resolve();
  await settle();
  for (let group = 0; group < 20; group += 1) write(journal, 3, text);
  assert.deepEqual(revisionsOf(readAll(disk)), range(1, 240));
});

test('journal: a full disk is told before it is met, and passes by itself', async () => {
  const disk = new FaultDisk(1);
  const spaces: string[] = [];
  disk.freeBytes = segmentBytes + 10_000;
  const journal = await open(disk, { onSpace: (space) => spaces.push(space) });
  await settle();
  assert.ok(disk.injected > 0, 'the disk was full');
  assert.equal(disk.freeBytes, 10_000, 'an attempt that failed leaves nothing behind');
  assert.equal(journal.writer.space, 'open');
  while (journal.writer.space === 'open') write(journal, 1, text);
  assert.equal(journal.writer.space, 'reserve');
  while (journal.writer.space === 'reserve') write(journal, 1, text);
  assert.equal(journal.writer.space, 'full');
  assert.equal(journal.revisions.durable(), journal.revisions.current(), 'everything accepted is on disk');
  journal.tick();
  await settle();
  assert.equal(journal.writer.space, 'full');
  disk.freeBytes = 10 * segmentBytes;
  journal.tick();
  await settle();
  assert.equal(journal.writer.space, 'open');
  write(journal, 100, text);
  assert.deepEqual(spaces, ['reserve', 'full', 'open']);
  assert.deepEqual(revisionsOf(readAll(disk)), range(1, journal.revisions.durable()));
  assert.equal(journal.logged.filter((line) => line.startsWith('No room')).length, 1, 'logged once');
});

test('journal: what was on its way when the disk became full waits for space and loses nothing', async () => {
  const disk = new FaultDisk(1);
  disk.freeBytes = segmentBytes;
  const journal = await open(disk);
  await settle();
  write(journal, 60, text);
  const durable = journal.revisions.durable();
  assert.ok(disk.injected > 0 && durable > 0 && durable < 60);
  assert.equal(journal.writer.space, 'full');
  assert.equal(journal.writer.flush(), false);
  const local = new LocalJournal(journal.writer);
  local.append(chunkOf([{ rev: journal.revisions.next(), text: 'its revision was taken before' }]));
  assert.equal(journal.revisions.durable(), durable);
  disk.freeBytes = 10 * segmentBytes;
  journal.tick();
  await settle();
  assert.equal(journal.revisions.durable(), 61);
  assert.equal(journal.writer.space, 'open');
  assert.deepEqual(revisionsOf(readAll(disk)), range(1, 61));
});

for (const code of ['EMFILE', 'ENFILE'] as const) {
  test(`journal: ${code} at the next segment is no room, not a broken disk: what is written waits, and goes on`, async () => {
    const disk = new FaultDisk(1);
    const journal = await open(disk);
    await settle();
    disk.inject = ({ operation, name }) => (operation === 'open' && name === 'spare.log' ? code : undefined);
    while (journal.writer.space === 'open') write(journal, 1, text);
    assert.ok(disk.injected > 0);
    const durable = journal.revisions.durable();
    assert.equal(journal.writer.space, 'full', 'nothing more is accepted');
    journal.tick();
    journal.tick();
    assert.equal(journal.revisions.durable(), durable);
    disk.inject = undefined;
    journal.tick();
    assert.equal(journal.writer.space, 'open');
    assert.equal(journal.revisions.durable(), journal.revisions.current());
    write(journal, 10, text);
    assert.deepEqual(revisionsOf(readAll(disk)), range(1, journal.revisions.current()));
    assert.equal(journal.logged.filter((line) => line.includes('cannot be opened')).length, 3, 'once an attempt');
  });

  test(`journal: ${code} while the spare is prepared passes by itself`, async () => {
    const disk = new FaultDisk(1);
    disk.inject = ({ operation, name }) => (operation === 'writeZeros' && name === 'spare.tmp' ? code : undefined);
    const journal = await open(disk);
    await settle();
    assert.ok(disk.injected > 0);
    while (journal.writer.space !== 'full') write(journal, 1, text);
    disk.inject = undefined;
    journal.tick();
    await settle();
    assert.equal(journal.writer.space, 'open');
    write(journal, 10, text);
    assert.deepEqual(revisionsOf(readAll(disk)), range(1, journal.revisions.current()));
  });
}

for (const operation of ['write', 'datasync'] as const) {
  test(`journal: after an error of ${operation} there is no further success`, async () => {
    const disk = new FaultDisk(1);
    const journal = await open(disk);
    await settle();
    const told: number[] = [];
    journal.writer.onDurable((durable) => told.push(durable));
    write(journal, 1);
    let failures = 0;
    disk.inject = (call) => (call.operation === operation && failures++ === 0 ? 'EIO' : undefined);
    enqueue(journal, 1);
    assert.throws(() => journal.writer.flush(), /EIO/);
    assert.equal(disk.injected, 1);
    const calls = disk.calls;
    assert.throws(() => journal.writer.flush(), /takes nothing more/);
    assert.throws(() => enqueue(journal, 1), /takes nothing more/);
    assert.throws(() => journal.writer.checkpointed(shardId(0), rev(1)), /takes nothing more/);
    assert.equal(disk.calls, calls, 'the disk is left alone');
    assert.deepEqual(told, [1]);
    assert.equal(journal.revisions.durable(), 1);
  });
}

for (const operation of ['open', 'write', 'datasync', 'rename', 'syncDirectory', 'close'] as const) {
  test(`journal: an error of ${operation} while the segment changes poisons the writer`, async () => {
    const disk = new FaultDisk(1);
    const journal = await open(disk);
    await settle();
    while (listSegments(disk, directory).length === 1) {
      // Until the next frame does not fit.
      const probe = journal.writer.stats().bytesWritten;
      if (probe > segmentBytes - 2000) break;
      write(journal, 1, text);
    }
    disk.inject = (call) => (call.operation === operation && call.name !== 'spare.tmp' ? 'EIO' : undefined);
    const durable = journal.revisions.durable();
    enqueue(journal, 8, text);
    assert.throws(() => journal.writer.flush(), /EIO/);
    disk.inject = undefined;
    assert.throws(() => journal.writer.flush(), /takes nothing more/);
    assert.ok(disk.injected > 0);
    assert.equal(journal.revisions.durable(), durable);
  });
}

test('journal: an I/O error while the spare is prepared takes the process down', async () => {
  const disk = new FaultDisk(1);
  disk.inject = (call) => (call.operation === 'writeZeros' && call.name === 'spare.tmp' ? 'EIO' : undefined);
  const failures: unknown[] = [];
  const journal = await open(disk, { onFailure: (error) => failures.push(error) });
  await settle();
  assert.equal(failures.length, 1);
  assert.ok(disk.injected > 0);
  assert.throws(() => journal.writer.flush(), /takes nothing more/);
});

test('journal: segments go when every shard has passed them, oldest first, but for the kept window', async () => {
  const disk = new FaultDisk(1);
  const journal = await open(disk, { shards: 2, keepBytes: 2 * segmentBytes });
  for (let group = 0; group < 80; group += 1) {
    write(journal, 3, text);
    await settle();
  }
  const all = listSegments(disk, directory);
  assert.ok(all.length >= 5);
  journal.writer.checkpointed(shardId(0), journal.revisions.durable());
  assert.equal(listSegments(disk, directory).length, all.length, 'the other shard needs them');
  assert.equal(journal.writer.oldestRevision(), 1);
  const third = all[2]?.first ?? 0;
  journal.writer.checkpointed(shardId(1), rev(third));
  assert.equal(journal.writer.oldestRevision(), third);
  journal.writer.checkpointed(shardId(1), journal.revisions.durable());
  assert.deepEqual(listSegments(disk, directory), all.slice(-3), 'two finished ones and the active one');
  assert.equal(journal.writer.oldestRevision(), all.at(-3)?.first);
});

test('journal: spares are made of trimmed segments, which takes no space; one at most is kept for that', async () => {
  const disk = new FaultDisk(1);
  const journal = await open(disk, { keepBytes: 0 });
  const writeSegments = async (count: number) => {
    const until = journal.writer.oldestRevision();
    for (let passed = 0, oldest: number = until; passed < count; ) {
      write(journal, 3, text);
      await settle();
      journal.writer.checkpointed(shardId(0), journal.revisions.durable());
      if (journal.writer.oldestRevision() === oldest) continue;
      oldest = journal.writer.oldestRevision();
      passed += 1;
    }
  };
  await writeSegments(2);
  assert.deepEqual(disk.list(directory).slice(1), ['old.tmp', 'spare.log']);
  disk.freeBytes = 0;
  await writeSegments(3);
  assert.equal(disk.injected, 0);
  assert.equal(journal.writer.space, 'open');
  assert.equal(disk.list(directory).length, 3);

  const durable = journal.revisions.durable();
  const again = disk.restart();
  again.freeBytes = 10 * segmentBytes;
  const reopened = await open(again, { from: durable });
  await settle();
  assert.deepEqual(again.list(directory).slice(1), ['spare.log'], 'a start removes what was kept');
  write(reopened, 3, text);
  assert.deepEqual(revisionsOf(readAll(again, durable)), range(durable + 1, durable + 3));
});

test('journal: a trimmed segment of another size than new ones have is removed', async () => {
  const disk = new FaultDisk(1);
  const before = await open(disk);
  write(before, 3, text);
  await before.writer.close();
  const next = disk.restart();
  const journal = await open(next, { segmentBytes: 2 * segmentBytes, keepBytes: 0 });
  while (journal.writer.stats().segments < 2) {
    write(journal, 3, text);
    await settle();
  }
  journal.writer.checkpointed(shardId(0), journal.revisions.durable());
  assert.deepEqual(next.list(directory).slice(1), ['spare.log']);
});

test('journal: a checkpoint of what is not durable is a broken invariant', async () => {
  const journal = await open(new FaultDisk(1));
  enqueue(journal, 1);
  assert.throws(() => journal.writer.checkpointed(shardId(0), rev(1)), /only what is durable/);
});

test('local journal: append returns when its records are durable, and has said so', async () => {
  const disk = new FaultDisk(1);
  const { writer } = await open(disk);
  const journal = new LocalJournal(writer);
  const told: number[] = [];
  journal.onDurable((durable) => told.push(durable));
  journal.append(
    chunkOf([
      { rev: 1, text: 'a' },
      { rev: 2, text: 'b' },
    ]),
  );
  assert.deepEqual(told, [2]);
  journal.append(chunkOf([{ rev: 3, text: 'c' }]));
  assert.deepEqual(told, [2, 3]);
  assert.deepEqual(revisionsOf(readAll(disk.powerCut(1))), [1, 2, 3]);
});
