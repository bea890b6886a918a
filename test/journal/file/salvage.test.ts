import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JournalDirectory } from '../../../src/journal/file/journal-directory.ts';
import { FileJournalTail } from '../../../src/journal/file/journal-reader.ts';
import { leap, revisionJump } from '../../../src/journal/file/leap.ts';
import {
  carryOut,
  planSalvage,
  type Checkpoints,
  type SalvagePlan,
  type SalvageRepair,
} from '../../../src/journal/file/salvage.ts';
import { listSegments, segmentHeaderBytes } from '../../../src/journal/file/segment.ts';
import { epochEffect, nextEpoch } from '../../../src/protocol/epochs.ts';
import { decodeRecord, RecordWriter } from '../../../src/protocol/record.ts';
import { readRecords } from '../../../src/journal/file/journal-reader.ts';
import { serverAccount } from '../../../src/protocol/ids.ts';
import { FaultDisk } from '../../support/fault-disk.ts';
import {
  directory,
  open,
  pathOf,
  range,
  readAll,
  recover,
  rev,
  revisionsOf,
  segmentBytes,
  settle,
  write,
} from './journal-fixture.ts';

/** 50 frames of three records, in four segments. */
const lastRevision = 150;

async function wholeLog(): Promise<FaultDisk> {
  const disk = new FaultDisk(1);
  const journal = await open(disk, { keepBytes: Infinity });
  for (let group = 0; group < lastRevision / 3; group += 1) {
    write(journal, 3, 't'.repeat(300));
    await settle();
  }
  await journal.writer.close();
  return disk.restart();
}

async function damagedLog(segment = 1, at = 5000): Promise<FaultDisk> {
  const disk = await wholeLog();
  disk.damage(pathOf(disk, segment), (bytes) => bytes.fill(0xff, at, at + 10));
  return disk;
}

function checkpoints(lowest = 0, highest = lowest, epoch = 0): Checkpoints {
  return { lowest: rev(lowest), highest: rev(highest), epoch };
}

async function salvage(disk: FaultDisk, held = checkpoints()): Promise<SalvagePlan> {
  const plan = planSalvage(disk, directory, held);
  if (plan.kind === 'repair') await carryOut(disk, directory, plan);
  return plan;
}

function repairOf(plan: SalvagePlan): SalvageRepair {
  assert.ok(plan.kind === 'repair', plan.kind);
  return plan;
}

function flipHeader(disk: FaultDisk, segment: number, at = 20): void {
  disk.damage(pathOf(disk, segment), (bytes) => (bytes[at]! ^= 0x10));
}

function assertNothingIsGone(before: FaultDisk, after: FaultDisk): void {
  const contents = new Set([...after.snapshot().values()].map((bytes) => bytes.toString('latin1')));
  for (const [file, bytes] of before.snapshot()) {
    if (!file.includes('/journal-')) continue;
    const kept =
      contents.has(bytes.toString('latin1')) ||
      // A header that was made again is kept in a file of its own.
      (contents.has(bytes.subarray(0, segmentHeaderBytes).toString('latin1')) &&
        after.contents(file).subarray(segmentHeaderBytes).equals(bytes.subarray(segmentHeaderBytes)));
    assert.ok(kept, `${file} is still there`);
  }
}

test('salvage: an undamaged journal is left alone', async () => {
  const disk = await wholeLog();
  const before = disk.snapshot();
  for (const lowest of [0, 77, lastRevision]) {
    assert.deepEqual(await salvage(disk, checkpoints(lowest)), { kind: 'none', last: lastRevision, damaged: [] });
  }
  assert.deepEqual(disk.snapshot(), before);
});

test('salvage: damage below all watermarks costs nothing: the server starts as it is, and nothing is changed', async () => {
  const [, second, third] = listSegments(await wholeLog(), directory);
  const harms: readonly [string, (disk: FaultDisk) => void, number][] = [
    ['the header of the first segment', (disk) => flipHeader(disk, 0), second!.first - 1],
    ['the header of the second segment', (disk) => flipHeader(disk, 1), third!.first - 1],
    ['an old frame', (disk) => disk.damage(pathOf(disk, 1), (bytes) => (bytes[1000]! ^= 1)), third!.first - 2],
    ['two of them', (disk) => (flipHeader(disk, 0), flipHeader(disk, 1)), third!.first - 1],
    ['a file that is gone', (disk) => disk.unlink(pathOf(disk, 1)), third!.first - 1],
  ];
  for (const [what, harm, lowest] of harms) {
    const disk = await wholeLog();
    harm(disk);
    const before = disk.snapshot();
    const plan = await salvage(disk, checkpoints(lowest));
    assert.equal(plan.kind, 'none', what);
    assert.partialDeepStrictEqual(plan, { last: lastRevision }, what);
    assert.deepEqual(disk.snapshot(), before, what);
    assert.equal((await recover(disk, { from: lowest })).last, lastRevision, what);
  }
});

test('salvage: a damaged header is made again, whichever it is, and nothing is lost', async () => {
  for (const index of [0, 1, 2, -1]) {
    // Its checksum; the format's version; the log's id; a whole header of noise.
    for (const harm of [
      [12, 13],
      [8, 9],
      [17, 18],
      [0, 512],
    ] as const) {
      const base = await wholeLog();
      base.damage(pathOf(base, index), (bytes) => {
        for (let at = harm[0]; at < harm[1]; at += 1) bytes[at]! ^= 0x40;
      });
      const disk = base.powerCut(1);
      const { cut, mend, last, aside } = repairOf(await salvage(disk));
      assert.deepEqual([cut, mend.length, last, aside.length], [undefined, 1, lastRevision, 0]);
      assert.deepEqual(revisionsOf(readAll(disk.powerCut(2))), range(1, lastRevision));
      assert.equal((await recover(disk.powerCut(3))).last, lastRevision);
      assertNothingIsGone(base, disk);
      assert.deepEqual(await salvage(disk), { kind: 'none', last: lastRevision, damaged: [] });
    }
  }
});

test('salvage: the header of a last segment without frames is made again', async () => {
  const disk = await wholeLog();
  const [, , third] = listSegments(disk, directory);
  for (const segment of listSegments(disk, directory).slice(3)) disk.unlink(`${directory}/${segment.name}`);
  disk.damage(pathOf(disk, 2), (bytes) => bytes.fill(0, segmentHeaderBytes));
  flipHeader(disk, 2);
  assert.partialDeepStrictEqual(repairOf(await salvage(disk)), { last: third!.first - 1, cut: undefined });
  assert.equal((await recover(disk)).last, third!.first - 1);
});

test('salvage: keeps what stands before the damage, and revisions that were lost never come again', async () => {
  const disk = await damagedLog();
  const segments = listSegments(disk, directory);
  const before = disk.powerCut(1);
  await assert.rejects(recover(disk), /damaged/);
  const { last, cut, aside, damage } = repairOf(await salvage(disk));
  assert.ok(last >= segments[1]!.first && last < segments[2]!.first);
  assert.ok(damage.startsWith(`${segments[1]!.name} at byte `));
  const told = segments.slice(2).map(({ name }) => ({ name, to: `${name}.damaged`, bytes: segmentBytes }));
  assert.deepEqual(aside, told);
  assertNothingIsGone(before, disk);
  assert.deepEqual(cut?.lost, { first: last + 1, last: lastRevision });
  assert.equal(cut?.to.revision, lastRevision + revisionJump);
  const journal = await open(disk.powerCut(3), { keepBytes: Infinity });
  assert.equal(journal.revisions.current(), cut.to.revision);
  assert.equal(journal.recovered.at, 1_700_000_000_000, 'times go on from the last one that was kept');
});

test('salvage: a last frame that is damaged is told of with the revisions that its header names', async () => {
  const disk = await wholeLog();
  disk.damage(pathOf(disk, -1), (bytes) => (bytes[bytes.lastIndexOf('tttt')]! ^= 1));
  const { cut, last } = repairOf(await salvage(disk));
  assert.deepEqual([last, cut?.lost], [lastRevision - 3, { first: lastRevision - 2, last: lastRevision }]);
  assert.equal(cut?.to.revision, lastRevision + revisionJump);
});

test('salvage: damage between the watermarks of two shards cuts before it; at the lowest, the checkpoints stand', async () => {
  const between = await damagedLog(1, 5000);
  const { last } = repairOf(planSalvage(between, directory, checkpoints()));
  for (const [lowest, kept] of [
    [last - 5, last],
    [last, last],
    // The damaged frame has the revisions up to last + 3: part of it is in every checkpoint.
    [last + 2, last + 2],
  ] as const) {
    const disk = between.powerCut(1);
    const plan = repairOf(await salvage(disk, checkpoints(lowest, last + 40)));
    assert.equal(plan.last, kept);
    assert.deepEqual(plan.cut?.lost, { first: kept + 1, last: lastRevision });
    const { last: end } = await recover(disk, { from: lowest });
    assert.equal(end, lastRevision + revisionJump);
    const above = revisionsOf(readAll(disk, lowest)).filter((one) => one <= lastRevision);
    assert.deepEqual(above, lowest < last ? range(lowest + 1, last) : []);
  }
});

test('salvage: of two damages the first that a replay needs counts', async () => {
  const disk = await wholeLog();
  const [, second, third] = listSegments(disk, directory);
  disk.damage(pathOf(disk, 0), (bytes) => (bytes[900]! ^= 1));
  disk.damage(pathOf(disk, 2), (bytes) => (bytes[5000]! ^= 1));
  const { last } = repairOf(await salvage(disk.restart(), checkpoints(second!.first - 1)));
  assert.ok(last >= third!.first - 1);
  flipHeader(disk, 1);
  const both = repairOf(await salvage(disk.powerCut(1), checkpoints(second!.first - 1)));
  assert.deepEqual([both.last, both.mend.length], [last, 1], 'a header is made again, and then the frame is met');
});

test('salvage: a hole, or a log that ends before the checkpoints, leaves what checkpoints hold', async () => {
  const hole = await wholeLog();
  const segments = listSegments(hole, directory);
  hole.unlink(pathOf(hole, 1));
  const needed = segments[2]!.first - 10;
  await assert.rejects(recover(hole, { from: needed }), /are missing/);
  const plan = repairOf(await salvage(hole, checkpoints(needed)));
  assert.deepEqual(plan.cut?.lost, { first: needed + 1, last: lastRevision });
  assert.ok((await recover(hole, { from: needed })).last > revisionJump);

  const short = await wholeLog();
  short.unlink(pathOf(short, -1));
  const { cut } = repairOf(await salvage(short, checkpoints(lastRevision - 1, lastRevision)));
  assert.deepEqual([cut?.lost.first, cut?.after], [lastRevision, segments.at(-1)!.first - 1]);
  assert.ok((await recover(short, { from: lastRevision - 1 })).last > revisionJump);

  const gone = new FaultDisk(1);
  const all = repairOf(await salvage(gone, { ...checkpoints(90, 95), logId: 7n }));
  assert.deepEqual([all.cut?.after, all.cut?.to.revision], [90, 95 + revisionJump]);
  assert.equal((await recover(gone, { from: 90 })).last, 95 + revisionJump);
});

test('salvage: without checkpoints and with nothing readable it changes nothing, and no start takes that for new', async () => {
  const disk = await wholeLog();
  disk.damage(pathOf(disk, 0), (bytes) => bytes.fill(0xff));
  const before = disk.snapshot();
  assert.equal((await salvage(disk)).kind, 'hopeless');
  assert.deepEqual(disk.snapshot(), before);
  await assert.rejects(recover(disk), /damaged/);
  // As an earlier version of the server left it: everything set aside.
  for (const { name } of listSegments(disk, directory))
    disk.rename(`${directory}/${name}`, `${directory}/${name}.damaged`);
  assert.equal((await salvage(disk)).kind, 'hopeless');
  await assert.rejects(recover(disk), /set aside/);
});

test('salvage: the log continues after the gap, for replay and further starts; readers must not cross it', async () => {
  const disk = await damagedLog();
  const { last: kept, cut } = repairOf(await salvage(disk));
  const next = cut?.to.revision ?? rev(0);
  const journal = await open(disk, { keepBytes: Infinity });
  for (let group = 0; group < 40; group += 1) {
    write(journal, 3, 'n'.repeat(300));
    await settle();
  }
  await journal.writer.close();
  const end = next + 120;
  assert.deepEqual(revisionsOf(readAll(disk)), [...range(1, kept), ...range(next, end)]);
  for (const from of [0, kept + 5, next, end]) assert.equal((await recover(disk, { from })).last, end);
  const shared = new JournalDirectory(disk, directory);
  // Before the gap, at its edge, and in what was lost, of which the damaged file still has frames.
  for (const after of [0, kept - 1, kept, kept + 1, kept + 10, lastRevision, next - 2]) {
    const tail = new FileJournalTail(shared, rev(after));
    let seen = after;
    let read = tail.read(rev(end));
    for (; read.kind === 'records' || read.kind === 'seeking'; read = tail.read(rev(end))) {
      if (read.kind === 'records') seen = read.chunk.last;
    }
    assert.deepEqual([read, seen], [{ kind: 'compacted', oldest: next }, Math.max(after, kept)], `after ${after}`);
  }
  assert.equal(new FileJournalTail(shared, rev(next - 1)).read(rev(end)).kind, 'records');
});

test('salvage: one that is interrupted at any disk call is finished by the next one, and no start goes on from less', async () => {
  const bases: readonly [FaultDisk, Checkpoints][] = [
    [await damagedLog(0), checkpoints()],
    [await damagedLog(1), checkpoints(60, 90)],
    [await damagedLog(2, 30), checkpoints()],
    [await damagedLog(1, 20), checkpoints(2)],
  ];
  // A damaged frame and a damaged header before it.
  flipHeader(bases[1]![0], 1);
  let refusals = 0;
  for (const [base, held] of bases) {
    const whole = base.powerCut(1);
    const { last, cut } = repairOf(await salvage(whole, held));
    const { calls } = whole;
    const expected = revisionsOf(readAll(whole, held.lowest)).filter((one) => one <= lastRevision);
    for (let call = 1; call <= calls; call += 1) {
      const seed = call % 5;
      const disk = base.powerCut(seed);
      disk.crashAt = call;
      await assert.rejects(salvage(disk, held));
      const next = disk.powerCut(seed);
      const started = await recover(next.powerCut(1), { from: held.lowest }).catch(() => undefined);
      if (started === undefined) refusals += 1;
      else if (cut === undefined) assert.equal(started.last, last);
      else assert.ok(started.last >= revisionJump, `call ${call}: revisions do not start again`);
      const report = await salvage(next, held);
      assert.ok(report.kind !== 'hopeless');
      const found = revisionsOf(readAll(next, held.lowest));
      assert.deepEqual(
        found.filter((one) => one <= lastRevision),
        expected,
      );
      assert.equal((await recover(next, { from: held.lowest })).last, cut?.to.revision ?? last);
      assertNothingIsGone(base, next);
      assert.equal((await salvage(next, held)).kind, 'none', 'and then there is nothing to do');
    }
  }
  assert.ok(refusals > 10);
});

test('salvage: on a full disk nothing is changed, but for a header that is made again', async () => {
  const disk = await damagedLog();
  disk.freeBytes = 1000;
  const before = listSegments(disk, directory);
  await assert.rejects(salvage(disk), /ENOSPC/);
  assert.deepEqual(listSegments(disk, directory), before);
  disk.freeBytes = Infinity;
  assert.ok(repairOf(await salvage(disk)).cut !== undefined);
});

test('salvage: everything that must never come again goes beyond all that there is a trace of, at once', async () => {
  const disk = new FaultDisk(1);
  let now = 1_700_000_000_000;
  const journal = await open(disk, { keepBytes: Infinity, clock: { now: () => (now += 1000) } });
  const records = new RecordWriter();
  const countStart = (number: number): void => {
    records.append({ rev: journal.revisions.next(), account: serverAccount, effects: [epochEffect(number)] });
    journal.writer.enqueue(records.take());
    while (journal.writer.flush());
  };
  countStart(6);
  while (listSegments(disk, directory).length < 3) {
    write(journal, 3, 't'.repeat(300));
    await settle();
  }
  // The highest of each stands in a segment that is set aside.
  countStart(9);
  await journal.writer.close();
  const last = journal.revisions.durable();
  disk.damage(pathOf(disk, 1), (bytes) => (bytes[2000]! ^= 1));
  const base = disk.restart();

  const { cut } = repairOf(await salvage(base, checkpoints(2, 4, 7)));
  const seen = { revision: rev(last), epoch: 9, committedAt: now };
  // A member that is added to `GivenOut` has to be added here, with what gives it out.
  assert.deepEqual(cut?.to, leap(seen));
  assert.deepEqual(Object.keys(cut.to).toSorted(), ['committedAt', 'epoch', 'revision']);
  assert.ok(cut.to.revision > seen.revision && cut.to.epoch > seen.epoch);
  const found = Array.from(readRecords(base, directory, rev(0)), ({ buffer, at, committedAt: time }) => {
    return { record: decodeRecord(buffer, at), committedAt: time };
  });
  const { record, committedAt } = found.at(-1)!;
  assert.deepEqual([record.rev, record.account, record.effects[0]?.value], [cut.to.revision, '', String(cut.to.epoch)]);
  assert.equal(committedAt, now, 'a replay knows all of it from the first record after the gap');
  assert.equal((await recover(base, { from: 2 })).at, now);

  // What only the checkpoints know counts too, and what an earlier salvage has set aside.
  const again = base.restart();
  for (const { name } of listSegments(again, directory).slice(0, 2))
    again.damage(`${directory}/${name}`, (b) => b.fill(1));
  again.damage(`${directory}/${listSegments(again, directory).at(-1)!.name}`, (bytes) => (bytes[600]! ^= 1));
  const twice = planSalvage(again, directory, { ...checkpoints(2, 4, 20_000), logId: 0x0707070707070707n });
  assert.ok((repairOf(twice).cut?.to.epoch ?? 0) > nextEpoch(20_000));
  assert.ok((repairOf(twice).cut?.to.revision ?? 0) > cut.to.revision);
});
