import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shardId } from '../../../src/protocol/ids.ts';
import { JournalCorruption } from '../../../src/journal/file/journal-corruption.ts';
import { JournalDirectory } from '../../../src/journal/file/journal-directory.ts';
import { FileJournalTail, readRecords } from '../../../src/journal/file/journal-reader.ts';
import { listSegments, segmentHeaderBytes, type SegmentName } from '../../../src/journal/file/segment.ts';
import type { DamagedPlace } from '../../../src/protocol/journal.ts';
import { FaultDisk } from '../../support/fault-disk.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import {
  decode,
  directory,
  enqueue,
  open,
  pathOf,
  range,
  rev,
  segmentBytes,
  settle,
  write,
} from './journal-fixture.ts';

const text = 't'.repeat(300);

interface Drained {
  readonly revs: number[];
  readonly steps: number;
  readonly compacted?: number;
  readonly damaged?: number;
}

/** Reads the tail until it is idle or at its end. */
function drain(tail: FileJournalTail, durable: number): Drained {
  const revs: number[] = [];
  for (let steps = 1; ; steps += 1) {
    const read = tail.read(rev(durable));
    if (read.kind === 'idle') return { revs, steps };
    if (read.kind === 'compacted') return { revs, steps, compacted: read.oldest };
    if (read.kind === 'damaged') return { revs, steps, damaged: read.oldest };
    assert.ok(read.kind !== 'busy');
    if (read.kind === 'seeking') continue;
    const { bytes, first, last, count } = read.chunk;
    const before = revs.length;
    for (let at = 0; at < bytes.length; at += bytes.readUInt32LE(at)) revs.push(decode(bytes, at).rev);
    assert.deepEqual([revs[before], revs.at(-1), revs.length - before], [first, last, count]);
    assert.ok(bytes.length <= 1024 * 1024 || count === 1, 'a step is bounded');
  }
}

test('tail: returns every record once, in order, over rotation, while the writer goes on', async () => {
  const disk = new FaultDisk(1);
  const journal = await open(disk, { keepBytes: Infinity });
  const shared = new JournalDirectory(disk, directory);
  const random = seededRandom(3);
  const tails = range(0, 5).map((start) => ({
    start,
    tail: new FileJournalTail(shared, rev(start)),
    revs: [] as number[],
  }));
  for (let group = 0; group < 120; group += 1) {
    write(journal, 1 + random.below(5), text.slice(0, random.below(300)));
    await settle();
    for (const { tail, revs } of tails)
      if (random.next() < 0.3) revs.push(...drain(tail, journal.revisions.durable()).revs);
  }
  const durable = journal.revisions.durable();
  assert.ok(listSegments(disk, directory).length > 2);
  for (const { start, tail, revs } of tails) {
    revs.push(...drain(tail, durable).revs);
    assert.deepEqual(revs, range(start + 1, durable));
    assert.equal(tail.position, durable);
    tail.close();
  }
  for (const start of [0, 1, 77, durable - 1, durable]) {
    assert.deepEqual(drain(new FileJournalTail(shared, rev(start)), durable).revs, range(start + 1, durable));
  }
});

test('tail: tells when each record was written', async () => {
  const disk = new FaultDisk(1);
  let now = 1000;
  const journal = await open(disk, { clock: { now: () => now } });
  for (const count of [2, 1, 3]) {
    write(journal, count, text);
    now += 1000;
  }
  const tail = new FileJournalTail(new JournalDirectory(disk, directory), rev(1));
  const timesUpTo = (durable: number): number[][] => {
    const read = tail.read(rev(durable));
    return read.kind === 'records' ? read.times.map(({ last, committedAt }) => [last, committedAt]) : [];
  };
  assert.deepEqual(timesUpTo(4), [
    [2, 1000],
    [3, 2000],
    [4, 3000],
  ]);
  assert.deepEqual(timesUpTo(6), [[6, 3000]]);
  assert.deepEqual(timesUpTo(6), []);
});

test('tail: never returns a record after the durable revision that it was given', async () => {
  const disk = new FaultDisk(1);
  const journal = await open(disk);
  write(journal, 10, text);
  const tail = new FileJournalTail(new JournalDirectory(disk, directory), rev(0));
  assert.deepEqual(drain(tail, 4).revs, range(1, 4), 'not even within a frame');
  assert.deepEqual(drain(tail, 4).revs, []);
  // Written, but the sync fails: no tail may return it.
  disk.inject = (call) => (call.operation === 'datasync' ? 'EIO' : undefined);
  enqueue(journal, 2, text);
  assert.throws(() => journal.writer.flush(), /EIO/);
  assert.equal(disk.injected, 1);
  disk.inject = undefined;
  assert.deepEqual(drain(tail, journal.revisions.durable()).revs, range(5, 10));
});

test('tail: what was trimmed is compacted, also in a segment that was open and has been used again', async () => {
  const disk = new FaultDisk(1);
  const journal = await open(disk, { keepBytes: segmentBytes });
  const shared = new JournalDirectory(disk, directory);
  const lost = new FileJournalTail(shared, rev(0));
  const kept = new FileJournalTail(shared, rev(0));
  const unopened = new FileJournalTail(shared, rev(0));
  write(journal, 3, text);
  assert.deepEqual(drain(lost, 3).revs, range(1, 3));
  assert.deepEqual(drain(kept, 3).revs, range(1, 3));
  while (listSegments(disk, directory).length < 3) {
    write(journal, 3, text);
    await settle();
  }
  const [, second] = listSegments(disk, directory);
  journal.writer.checkpointed(shardId(0), journal.revisions.durable());
  assert.equal(journal.writer.oldestRevision(), second?.first);
  assert.deepEqual(drain(kept, journal.revisions.durable()).revs, range(4, journal.revisions.durable()));
  while ((listSegments(disk, directory)[0]?.first ?? 0) === second?.first) {
    write(journal, 3, text);
    await settle();
    journal.writer.checkpointed(shardId(0), journal.revisions.durable());
  }
  const durable = journal.revisions.durable();
  const oldest = journal.writer.oldestRevision();
  const end = drain(lost, durable);
  assert.deepEqual(end.revs, [], 'another segment stands where it had read');
  assert.equal(end.compacted, oldest);
  assert.deepEqual(drain(unopened, durable), { revs: [], steps: 1, compacted: oldest });
  assert.deepEqual(drain(new FileJournalTail(shared, rev(oldest - 2)), durable).compacted, oldest);
  assert.deepEqual(drain(new FileJournalTail(shared, rev(oldest - 1)), durable).revs, range(oldest, durable));
  assert.deepEqual(drain(kept, durable).revs.at(-1), durable);
});

test('tail: a segment that is trimmed and filled with zeros between its opening and its reading is compacted', async () => {
  const disk = new FaultDisk(1);
  const journal = await open(disk, { keepBytes: 0 });
  while (listSegments(disk, directory).length < 2) {
    write(journal, 3, text);
    await settle();
  }
  const durable = journal.revisions.durable();
  const [first, second] = listSegments(disk, directory);
  const tail = new FileJournalTail(new JournalDirectory(disk, directory), rev(0));
  let trimmed = 0;
  disk.inject = ({ operation, name }) => {
    if (operation !== 'read' || name !== first?.name || trimmed > 0) return undefined;
    trimmed += 1;
    journal.writer.checkpointed(shardId(0), rev(durable));
    disk.contents(`${directory}/old.tmp`).fill(0);
    return undefined;
  };
  assert.deepEqual(drain(tail, durable), { revs: [], steps: 1, compacted: second?.first });
  assert.equal(trimmed, 1);
});

test('tail: frames and records larger than a step come in bounded chunks', async () => {
  const disk = new FaultDisk(1);
  const options = { segmentBytes: 16 * 1024 * 1024, frameBytesMax: 8 * 1024 * 1024 };
  const journal = await open(disk, options);
  await settle();
  enqueue(journal, 30, 'm'.repeat(100_000));
  enqueue(journal, 1, 'l'.repeat(2_500_000));
  enqueue(journal, 30, 's');
  assert.equal(journal.writer.flush(), true);
  assert.equal(journal.writer.stats().groupRecords.count, 1, 'all in one frame');
  const tail = new FileJournalTail(new JournalDirectory(disk, directory), rev(0));
  const { revs, steps } = drain(tail, 61);
  assert.deepEqual(revs, range(1, 61));
  assert.ok(steps > 4);
});

test('tail: a restart at a recent revision reads little', async () => {
  const disk = new FaultDisk(1);
  const big = 8 * 1024 * 1024;
  const journal = await open(disk, { segmentBytes: big });
  const shared = new JournalDirectory(disk, directory);
  const hub = new FileJournalTail(shared, rev(0));
  for (let group = 0; group < 1500; group += 1) write(journal, 10, text);
  const durable = journal.revisions.durable();
  assert.equal(drain(hub, durable).revs.length, durable);
  assert.equal(listSegments(disk, directory).length, 1);
  const late = new FileJournalTail(shared, rev(durable - 50));
  assert.deepEqual(drain(late, durable), { revs: range(durable - 49, durable), steps: 2 });
  const cold = new FileJournalTail(new JournalDirectory(disk, directory), rev(durable - 50));
  assert.ok(drain(cold, durable).steps >= 5, 'without the index it seeks, in bounded steps');
});

/** Three segments or more, all of it durable. */
async function segmented(): Promise<{ disk: FaultDisk; durable: number; segments: readonly SegmentName[] }> {
  const disk = new FaultDisk(1);
  const journal = await open(disk, { keepBytes: Infinity });
  while (listSegments(disk, directory).length < 4) {
    write(journal, 3, text);
    await settle();
  }
  return { disk, durable: journal.revisions.durable(), segments: listSegments(disk, directory) };
}

test('tail: damage ends it with what can be read after it, is told of once, and leaves other tails alone', async () => {
  const { disk, durable, segments } = await segmented();
  // The second frame of the second segment.
  const start = segmentHeaderBytes + disk.contents(pathOf(disk, 1)).readUInt32LE(segmentHeaderBytes + 8);
  disk.damage(pathOf(disk, 1), (bytes) => bytes.fill(0, start + 100, start + 110));
  const places: DamagedPlace[] = [];
  const shared = new JournalDirectory(disk, directory, (place) => places.push(place));
  const first = segments[1]!.first + 3;
  for (let reader = 0; reader < 20; reader += 1) {
    const { revs, damaged } = drain(new FileJournalTail(shared, rev(0)), durable);
    assert.deepEqual(revs, range(1, first - 1), 'everything before it');
    assert.equal(damaged, first + 3);
  }
  const reason = 'the checksum of the frame does not match its content, although it is durable';
  assert.deepEqual(places, [{ file: segments[1]!.name, offset: start, reason, first, last: first + 2 }]);
  for (const after of [first, first + 1])
    assert.equal(drain(new FileJournalTail(shared, rev(after)), durable).damaged, first + 3);
  for (const after of [first + 2, first + 10, durable - 1]) {
    const revs = range(after + 1, durable);
    assert.deepEqual(drain(new FileJournalTail(shared, rev(after)), durable).revs, revs, 'the place is passed over');
    assert.deepEqual(drain(new FileJournalTail(new JournalDirectory(disk, directory), rev(after)), durable).revs, revs);
  }
});

test('tail: damage up to the end of what is durable ends it there, and it goes on with what is written next', async () => {
  const disk = new FaultDisk(1);
  const journal = await open(disk);
  write(journal, 2, text);
  write(journal, 2, text);
  const second = segmentHeaderBytes + disk.contents(pathOf(disk, 0)).readUInt32LE(segmentHeaderBytes + 8);
  disk.damage(pathOf(disk, 0), (bytes) => bytes.fill(0, second, second + 10));
  const places: DamagedPlace[] = [];
  const shared = new JournalDirectory(disk, directory, (place) => places.push(place));
  assert.deepEqual(drain(new FileJournalTail(shared, rev(1)), 4), { revs: [2], steps: 2, damaged: 5 });
  const fresh = new FileJournalTail(shared, rev(4));
  assert.deepEqual(drain(fresh, 4).revs, []);
  write(journal, 2, text);
  assert.deepEqual(drain(fresh, 6).revs, [5, 6]);
  assert.equal(drain(new FileJournalTail(shared, rev(0)), 6).damaged, 5);
  assert.equal(places.length, 1);
});

test('tail: a damaged header costs its own segment, a missing file its own revisions', async () => {
  for (const harm of ['header', 'missing', 'unreadable'] as const) {
    const { disk, durable, segments } = await segmented();
    const [, { name }, { first: resume }] = segments as [SegmentName, SegmentName, SegmentName];
    if (harm === 'header') disk.damage(pathOf(disk, 1), (bytes) => (bytes[20]! ^= 1));
    if (harm === 'missing') disk.unlink(pathOf(disk, 1));
    if (harm === 'unreadable')
      disk.inject = (call) => (call.operation === 'read' && call.name === name ? 'EIO' : undefined);
    const shared = new JournalDirectory(disk, directory);
    const { revs, damaged } = drain(new FileJournalTail(shared, rev(0)), durable);
    assert.deepEqual([revs.at(-1), damaged], [segments[1]!.first - 1, resume], harm);
    assert.deepEqual(drain(new FileJournalTail(shared, rev(resume - 1)), durable).revs, range(resume, durable), harm);
    assert.equal(drain(new FileJournalTail(shared, rev(resume - 2)), durable).damaged, resume, harm);
  }
});

test('tail: an error of the disk ends it, too many open files are waited for, and a bug is still thrown', async () => {
  const { disk, durable } = await segmented();
  for (const operation of ['list', 'open', 'read', 'size'] as const) {
    for (const code of ['EIO', 'EACCES', 'ENOENT', 'EMFILE', 'ENFILE']) {
      const tail = new FileJournalTail(new JournalDirectory(disk, directory), rev(0));
      const before = disk.injected;
      disk.inject = (call) => (call.operation === operation ? code : undefined);
      let read = tail.read(rev(durable));
      for (let steps = 0; read.kind === 'seeking' && steps < 10; steps += 1) read = tail.read(rev(durable));
      disk.inject = undefined;
      assert.ok(disk.injected > before);
      const outOfFiles = code === 'EMFILE' || code === 'ENFILE';
      const trimmed = operation === 'open' && code === 'ENOENT';
      assert.equal(read.kind, outOfFiles ? 'busy' : trimmed ? 'compacted' : 'damaged', `${operation} ${code}`);
      if (outOfFiles) assert.deepEqual(drain(tail, durable).revs, range(1, durable), 'it goes on when it can');
    }
  }
  disk.crashAt = disk.calls + 1;
  assert.throws(
    () => new FileJournalTail(new JournalDirectory(disk, directory), rev(0)).read(rev(durable)),
    /ends at call/,
  );
});

test('replay: a log that ends before the revision that recovery found is an error', async () => {
  const disk = new FaultDisk(1);
  const journal = await open(disk);
  write(journal, 4, text);
  assert.equal([...readRecords(disk, directory, rev(1), rev(4))].length, 3);
  assert.throws(() => [...readRecords(disk, directory, rev(1), rev(5))], JournalCorruption);
});
