/**
 * A log that is damaged in any of several ways, with checkpoints up to anywhere in it. Two rules:
 *
 *   salvage ⊇ plain start   Where a server would start, a salvage changes nothing. Where it would not, it starts after a
 *                           salvage, with everything that stands before the damage, and with nothing that was not
 *                           written; all files are still there; and what was given up is told before.
 *   readers                 A reader of history from any cursor gets records as they were written, in order, without a
 *                           gap, until it has them all or is told where it can go on. It never throws.
 */
import assert from 'node:assert/strict';
import { JournalCorruption } from '../../src/journal/file/journal-corruption.ts';
import { JournalDirectory } from '../../src/journal/file/journal-directory.ts';
import { FileJournalTail, readRecords } from '../../src/journal/file/journal-reader.ts';
import { revisionJump } from '../../src/journal/file/leap.ts';
import { carryOut, planSalvage } from '../../src/journal/file/salvage.ts';
import { headerOrFault } from '../../src/journal/file/log-heads.ts';
import { decodeSegmentHeader, segmentHeaderBytes, UnsupportedFormat } from '../../src/journal/file/segment.ts';
import { revision } from '../../src/protocol/ids.ts';
import { directory, recover } from '../journal/file/journal-fixture.ts';
import { sectorBytes, type FaultDisk } from '../support/fault-disk.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { damaged, diskOf, framesAfter, makeLog, segmentBytes, type Log } from './logs.ts';

export interface Salvaged {
  salvages: number;
  /** A server would start: the salvage changes nothing. */
  nothingToDo: number;
  headersMended: number;
  cut: number;
  /** Neither log nor checkpoints hold anything. */
  hopeless: number;
  readers: number;
  /** Readers that came to damage. */
  ended: number;
}

const logBytes = 150 * 1024;
const damagesPerLog = 50;

export async function salvageAndRead(random: SeededRandom, count: number): Promise<Salvaged> {
  const done: Salvaged = {
    salvages: 0,
    nothingToDo: 0,
    headersMended: 0,
    cut: 0,
    hopeless: 0,
    readers: 0,
    ended: 0,
  };
  let log: Log | undefined;
  for (; done.salvages < count; done.salvages += 1) {
    if (log === undefined || done.salvages % damagesPerLog === 0) log = await makeLog(random, logBytes, 2);
    const files = log.segments.map(({ file, bytes }) => ({ file, bytes: Buffer.from(bytes) }));
    let what = harm(log, files, random);
    if (random.below(3) === 0) what += `, ${harm(log, files, random)}`;
    const lowest = random.below(4) === 0 ? 0 : random.below(log.last + 1);
    const highest = Math.min(log.last, lowest + random.below(40));
    try {
      read({ log, disk: diskOf(files) }, random, done);
      if (looksNewer(files)) continue;
      await salvage({ log, disk: diskOf(files), lowest, highest }, done);
    } catch (error) {
      throw damaged(`${what}; checkpoints up to ${lowest} and ${highest}`, files, error);
    }
  }
  return done;
}

/**
 * Two flips in one header can make it look like one of a later version, whose checksum nobody knows. Neither a server
 * nor a salvage touches those.
 */
function looksNewer(files: readonly { readonly file: string; readonly bytes: Buffer }[]): boolean {
  return files.some(
    ({ file, bytes }) => headerOrFault(() => decodeSegmentHeader(bytes, file)) instanceof UnsupportedFormat,
  );
}

/** @returns what was done */
function harm(log: Log, files: { file: string; bytes: Buffer }[], random: SeededRandom): string {
  const index = random.below(files.length);
  const { file, bytes } = files[index]!;
  const { end } = log.segments.find((segment) => segment.file === file)!;
  switch (random.below(6)) {
    case 0: {
      const at = random.below(52);
      bytes[at]! ^= 1 << random.below(8);
      return `byte ${at} of the header of ${file}`;
    }
    case 1:
    case 2: {
      const at = segmentHeaderBytes + random.below(end - segmentHeaderBytes);
      bytes[at]! ^= 1 << random.below(8);
      return `byte ${at} of ${file}`;
    }
    case 3: {
      const at = random.below(Math.ceil(end / sectorBytes)) * sectorBytes;
      bytes.fill(0, at, at + sectorBytes);
      return `the sector at ${at} of ${file} is zeros`;
    }
    case 4: {
      const at = segmentHeaderBytes + random.below(end - segmentHeaderBytes);
      bytes.fill(0x5a, at, Math.min(bytes.length, at + random.below(8000)));
      return `noise from ${at} of ${file} on`;
    }
    default:
      if (files.length < 2) return 'nothing';
      files.splice(index, 1);
      return `${file} is gone`;
  }
}

interface Damaged {
  readonly log: Log;
  readonly disk: FaultDisk;
}

interface Held extends Damaged {
  /** The watermarks of the shards. */
  readonly lowest: number;
  readonly highest: number;
}

async function salvage({ log, disk, lowest, highest }: Held, done: Salvaged): Promise<void> {
  const started = await lastOf(disk.powerCut(1), lowest);
  const before = disk.snapshot();
  const logId = log.segments[0]!.bytes.readBigUInt64LE(16);
  const held = { logId, lowest: revision(lowest), highest: revision(highest), epoch: 3 };
  const salvaged = disk.powerCut(1);
  const plan = planSalvage(salvaged, directory, held);
  assert.deepEqual(salvaged.snapshot(), before, 'a plan changes nothing');
  if (started !== undefined) {
    assert.equal(plan.kind, 'none', 'where a server would start, there is nothing to do');
    done.nothingToDo += 1;
    return;
  }
  if (plan.kind === 'hopeless') {
    assert.equal(lowest, 0, 'checkpoints can always be kept');
    done.hopeless += 1;
    return;
  }
  assert.equal(plan.kind, 'repair');
  await carryOut(salvaged, directory, plan);
  if (plan.mend.length > 0) done.headersMended += 1;
  assert.equal(salvaged.list(directory).length >= before.size, true, 'no file is gone');
  const { last } = await recover(salvaged, { from: lowest, segmentBytes });
  const found = recordsAfter(salvaged, lowest);
  if (plan.cut === undefined) {
    assert.equal(last, plan.last);
    assert.ok(found.equals(written(log, lowest, last)), 'all of it is as it was written');
    return;
  }
  done.cut += 1;
  assert.ok(last >= Math.max(highest, plan.last) + revisionJump, 'no revision comes again');
  assert.equal(plan.cut.lost.first, plan.last + 1);
  const kept = written(log, lowest, plan.last);
  assert.ok(found.subarray(0, kept.length).equals(kept), 'what is told to be kept is there, as it was written');
  // Behind it stands one record, which is younger than the log.
  assert.equal(found.length, kept.length + found.readUInt32LE(kept.length), 'and nothing else');
  assert.equal(planSalvage(salvaged, directory, held).kind, 'none', 'a second salvage has nothing to do');
}

async function lastOf(disk: FaultDisk, from: number): Promise<number | undefined> {
  try {
    return (await recover(disk, { from, segmentBytes })).last;
  } catch (error) {
    assert.ok(error instanceof JournalCorruption, String(error));
    return undefined;
  }
}

function recordsAfter(disk: FaultDisk, from: number): Buffer {
  const records = Array.from(readRecords(disk, directory, revision(from)), ({ buffer, at }) =>
    Buffer.from(buffer.subarray(at, at + buffer.readUInt32LE(at))),
  );
  return Buffer.concat(records);
}

/** The records after `from`, up to `to`. */
function written(log: Log, from: number, to: number): Buffer {
  const all = framesAfter(log, 0);
  const records: Buffer[] = [];
  for (let at = 0; at < all.length; at += all.readUInt32LE(at)) {
    const rev = all.readUIntLE(at + 4, 6);
    if (rev > from && rev <= to) records.push(all.subarray(at, at + all.readUInt32LE(at)));
  }
  return Buffer.concat(records);
}

const readersPerDamage = 4;

function read({ log, disk }: Damaged, random: SeededRandom, done: Salvaged): void {
  const durable = revision(log.last);
  const places = new Set<string>();
  const shared = new JournalDirectory(disk, directory, ({ file, offset }) => {
    assert.ok(!places.has(`${file}:${offset}`), 'a place is told of once');
    places.add(`${file}:${offset}`);
  });
  for (let reader = 0; reader < readersPerDamage; reader += 1) {
    done.readers += 1;
    let after = reader === 0 ? 0 : random.below(log.last);
    // A reader that is told to go on later does.
    for (let lives = 0; after < durable; lives += 1) {
      assert.ok(lives < 100, 'each life begins later');
      const tail = new FileJournalTail(shared, revision(after));
      const end = readToEnd(tail, log, after);
      tail.close();
      if (end === undefined) break;
      done.ended += 1;
      assert.ok(end.oldest - 1 > end.seen, 'it is told of a later place');
      after = end.oldest - 1;
    }
  }
}

/** Returns where it was told to go on; undefined: it has everything. */
function readToEnd(
  tail: FileJournalTail,
  log: Log,
  after: number,
): { readonly seen: number; readonly oldest: number } | undefined {
  const durable = revision(log.last);
  let seen = after;
  for (let steps = 0; ; steps += 1) {
    assert.ok(steps < 1000, 'it comes to an end');
    const step = tail.read(durable);
    switch (step.kind) {
      case 'idle':
        assert.equal(seen, durable, 'it has everything');
        return undefined;
      case 'seeking':
        continue;
      case 'records':
        assert.equal(step.chunk.first, seen + 1, 'without a gap');
        assert.ok(step.chunk.bytes.equals(written(log, seen, step.chunk.last)), 'as it was written');
        seen = step.chunk.last;
        continue;
      case 'compacted':
      case 'damaged':
        return { seen, oldest: step.oldest };
      case 'busy':
        assert.fail('no file is missing');
    }
  }
}
