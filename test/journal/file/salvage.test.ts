import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JournalDirectory } from '../../../src/journal/file/journal-directory.ts';
import { FileJournalTail } from '../../../src/journal/file/journal-reader.ts';
import { salvageJournal, salvageJump } from '../../../src/journal/file/salvage.ts';
import { listSegments } from '../../../src/journal/file/segment.ts';
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
  settle,
  write,
} from './journal-fixture.ts';

async function damagedLog(segment = 1, at = 5000): Promise<FaultDisk> {
  const disk = new FaultDisk(1);
  const journal = await open(disk, { keepBytes: Infinity });
  for (let group = 0; group < 50; group += 1) {
    write(journal, 3, 't'.repeat(300));
    await settle();
  }
  await journal.writer.close();
  disk.damage(pathOf(disk, segment), (bytes) => bytes.fill(0xff, at, at + 10));
  return disk.restart();
}

test('salvage: an undamaged journal is left alone', async () => {
  const disk = new FaultDisk(1);
  const journal = await open(disk);
  write(journal, 3);
  await settle();
  const before = disk.snapshot();
  assert.deepEqual(await salvageJournal(disk, directory), { kept: 3, lost: undefined });
  assert.deepEqual(disk.snapshot(), before);
});

test('salvage: keeps what stands before the damage, and revisions that were lost never come again', async () => {
  const disk = await damagedLog();
  const segments = listSegments(disk, directory);
  const bytes = new Set([...disk.snapshot().values()].map(String));
  await assert.rejects(recover(disk), /damaged/);
  const { kept, lost } = await salvageJournal(disk, directory);
  assert.ok(kept !== undefined && kept >= (segments[1]?.first ?? 0) && kept < (segments[2]?.first ?? 0));
  assert.equal(lost?.file, segments[1]?.name);
  assert.deepEqual(
    lost?.aside,
    segments
      .slice(2)
      .map(({ name }) => `${name}.damaged`)
      .toReversed(),
  );
  for (const content of bytes)
    assert.ok([...disk.snapshot().values()].map(String).includes(content), 'nothing is thrown away');
  const next = (segments.at(-1)?.first ?? 0) + salvageJump;
  assert.equal(lost?.next, next);
  const journal = await open(disk.powerCut(3), { keepBytes: Infinity });
  assert.equal(journal.revisions.current(), next - 1);
  assert.equal(journal.recovered.at, 1_700_000_000_000, 'times go on from the last one that was kept');
});

test('salvage: the log continues after the gap, for replay, tails and further starts', async () => {
  const disk = await damagedLog();
  const { kept = rev(0), lost } = await salvageJournal(disk, directory);
  const next = lost?.next ?? 0;
  const journal = await open(disk, { keepBytes: Infinity });
  const shared = new JournalDirectory(disk, directory);
  const early = new FileJournalTail(shared, rev(kept - 1));
  assert.equal(early.read(journal.revisions.durable()).kind, 'records');
  assert.equal(early.read(journal.revisions.durable()).kind, 'idle');
  for (let group = 0; group < 40; group += 1) {
    write(journal, 3, 'n'.repeat(300));
    await settle();
  }
  await journal.writer.close();
  const expected = [...range(1, kept), ...range(next, next + 119)];
  assert.deepEqual(revisionsOf(readAll(disk)), expected);
  assert.equal((await recover(disk)).last, next + 119);
  assert.equal(
    (await recover(disk, { from: kept + 5 })).last,
    next + 119,
    'a checkpoint that is ahead of what was kept',
  );
  const tail = new FileJournalTail(shared, rev(0));
  let count = 0;
  for (let read = tail.read(rev(next + 119)); read.kind !== 'idle'; read = tail.read(rev(next + 119))) {
    assert.ok(read.kind === 'records');
    count += read.chunk.count;
  }
  assert.equal(count, expected.length);
});

test('salvage: one that is interrupted at any disk call still refuses the start, and is finished by the next one', async () => {
  const base = await damagedLog(0);
  const whole = base.restart();
  const { kept } = await salvageJournal(whole, directory);
  let refusals = 0;
  for (let call = 1; call <= whole.calls; call += 1) {
    for (let seed = 1; seed <= 3; seed += 1) {
      const disk = base.powerCut(seed);
      disk.crashAt = call;
      await assert.rejects(salvageJournal(disk, directory));
      const next = disk.powerCut(seed);
      const started = await recover(next.powerCut(1)).catch(() => undefined);
      if (started === undefined) refusals += 1;
      else assert.ok(started.last >= salvageJump, `call ${call}: revisions do not start again`);
      const report = await salvageJournal(next, directory);
      if (report.lost !== undefined) assert.equal(report.kept, kept);
      assert.deepEqual(revisionsOf(readAll(next)), range(1, kept ?? 0));
      assert.ok((await recover(next)).last >= salvageJump);
    }
  }
  assert.ok(refusals > 10);
});

test('salvage: when the first header is damaged everything is set aside, and no start takes that for a new journal', async () => {
  const disk = await damagedLog(0, 0);
  const { kept, lost } = await salvageJournal(disk, directory);
  assert.equal(kept, undefined);
  assert.ok((lost?.aside.length ?? 0) > 2);
  await assert.rejects(recover(disk), /set aside/);
});
