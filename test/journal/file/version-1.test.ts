/** A log that a server of format version 1 wrote, in the hands of everything that reads or goes on with a log. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JournalDirectory } from '../../../src/journal/file/journal-directory.ts';
import { FileJournalTail, readRecords } from '../../../src/journal/file/journal-reader.ts';
import { revisionJump } from '../../../src/journal/file/leap.ts';
import { carryOut, planSalvage } from '../../../src/journal/file/salvage.ts';
import { listSegments, readSegmentHeader } from '../../../src/journal/file/segment.ts';
import type { FaultDisk } from '../../support/fault-disk.ts';
import {
  decode,
  directory,
  open,
  pathOf,
  range,
  readAll,
  recover,
  rev,
  revisionsOf,
  settle,
  write,
  type OpenJournal,
} from './journal-fixture.ts';
import { version1Disk } from './version-1-log.ts';

const small = { segmentBytes: 2048, frameBytesMax: 1024, keepBytes: Infinity, fullBytes: 0 };
const groups = [1, 3, 2, 4, 1, 2, 3, 1];
const texts = groups.flatMap((count, index) =>
  Array.from({ length: count }, () => `group ${index + 1} größe `.padEnd(100, 'p')),
);

function versionsOf(disk: FaultDisk): number[] {
  return listSegments(disk, directory).map((segment) => {
    const file = disk.open(`${directory}/${segment.name}`, 'read');
    const header = readSegmentHeader(file, segment);
    file.close();
    return typeof header === 'string' ? assert.fail(header) : header.version;
  });
}

function timesOf(disk: FaultDisk, from: number): number[] {
  return Array.from(readRecords(disk, directory, rev(from)), ({ committedAt }) => committedAt);
}

function openAt(disk: FaultDisk, now: number, from = 0): Promise<OpenJournal> {
  return open(disk, { ...small, from, clock: { now: () => now } });
}

test('version 1: every record is read, and its time is unknown', () => {
  const disk = version1Disk();
  assert.deepEqual(versionsOf(disk), [1, 1]);
  assert.deepEqual(
    readAll(disk),
    texts.map((text, index) => ({ rev: index + 1, text })),
  );
  assert.deepEqual(new Set(timesOf(disk, 0)), new Set([0]));
});

test('version 1: a start goes on in the last segment as it is, and every later segment has version 2 and times', async () => {
  const disk = version1Disk();
  const first = await openAt(disk, 5000);
  assert.deepEqual([first.recovered.last, first.recovered.at, first.recovered.version], [17, 0, 1]);
  write(first, 1, 'more');
  assert.deepEqual(versionsOf(disk), [1, 1]);
  await first.writer.close();

  const second = await openAt(disk.powerCut(1), 6000);
  assert.equal(second.recovered.last, 18);
  await second.writer.close();

  const next = disk.powerCut(2);
  const third = await openAt(next, 7000);
  for (let group = 0; group < 12; group += 1) {
    write(third, 2, 'y'.repeat(100));
    await settle();
  }
  await third.writer.close();
  assert.deepEqual(versionsOf(next).slice(0, 3), [1, 1, 2]);
  const after = next.powerCut(3);
  assert.deepEqual(revisionsOf(readAll(after)), range(1, 42));
  assert.deepEqual(
    readAll(after).slice(0, 17),
    texts.map((text, index) => ({ rev: index + 1, text })),
  );
  const times = timesOf(after, 0);
  const known = times.findIndex((time) => time > 0);
  assert.ok(known >= 18, 'frames of version 1 hold no time');
  assert.deepEqual(new Set(times.slice(known)), new Set([7000]));
  const again = await recover(after, { ...small, from: 42 });
  assert.deepEqual([again.last, again.at, again.version], [42, 7000, 2]);
});

test('version 1: on a full disk a start goes on with what is left of the last segment', async () => {
  const disk = version1Disk();
  disk.freeBytes = 100;
  const journal = await openAt(disk, 5000);
  write(journal, 1, 'more');
  assert.equal(journal.revisions.durable(), 18);
  assert.ok(disk.injected > 0, 'the disk was full');
  assert.deepEqual(revisionsOf(readAll(disk.powerCut(1))), range(1, 18));
});

test('version 1: a tail reads from one version into the next', async () => {
  const disk = version1Disk();
  const journal = await openAt(disk, 5000);
  for (let group = 0; group < 12; group += 1) {
    write(journal, 2, 'y'.repeat(100));
    await settle();
  }
  const durable = journal.revisions.durable();
  for (const after of [0, 3, 12, 17, 30]) {
    const tail = new FileJournalTail(new JournalDirectory(disk, directory), rev(after));
    const revs: number[] = [];
    let time = 0;
    for (let read = tail.read(durable); read.kind !== 'idle'; read = tail.read(durable)) {
      if (read.kind === 'seeking') continue;
      assert.ok(read.kind === 'records');
      const { bytes } = read.chunk;
      for (let at = 0; at < bytes.length; at += bytes.readUInt32LE(at)) revs.push(decode(bytes, at).rev);
      for (const { committedAt } of read.times) {
        assert.ok(committedAt >= time);
        time = committedAt;
      }
    }
    assert.deepEqual(revs, range(after + 1, durable));
    assert.equal(time, 5000);
    tail.close();
  }
});

test('version 1: a salvage cuts it before the damage, and the log goes on in version 2', async () => {
  const disk = version1Disk();
  disk.damage(pathOf(disk, 0), (bytes) => (bytes[700]! ^= 4));
  await assert.rejects(recover(disk, small), /damaged/);
  const none = { lowest: rev(0), highest: rev(0), epoch: 0 };
  const plan = planSalvage(disk, directory, none);
  assert.ok(plan.kind === 'repair' && plan.cut !== undefined);
  await carryOut(disk, directory, plan);
  assert.equal(plan.last, 1);
  const next = plan.cut.to.revision;
  assert.ok(next > revisionJump);
  const journal = await openAt(disk, 5000);
  assert.equal(journal.recovered.version, 2);
  write(journal, 2, 'more');
  assert.deepEqual(revisionsOf(readAll(disk.powerCut(1))), [1, next, next + 1, next + 2]);
  assert.deepEqual(timesOf(disk, 1), [0, 5000, 5000], 'the log before it has no times');
});
