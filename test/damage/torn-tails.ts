/**
 * A log that ends anywhere: for each of the last bytes of a log, the log as it was if the machine lost power when that
 * byte was to be written. The byte and all later ones are zeros (a segment is zero-filled before it is used), and later
 * segments do not exist yet. The start must find every earlier frame, byte for byte, and nothing else, and go on from
 * there.
 *
 * For every eighth byte, its frame has also lost some of its sectors at random.
 */
import assert from 'node:assert/strict';
import type { JournalVersion } from '../../src/journal/file/frame.ts';
import { segmentHeaderBytes } from '../../src/journal/file/segment.ts';
import { open, readAll, recover, write } from '../journal/file/journal-fixture.ts';
import { sectorBytes } from '../support/fault-disk.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { damaged, diskOf, makeLog, segmentBytes, type Files, type Frame, type Log, type Segment } from './logs.ts';

export interface TornTails {
  /** Bytes at which a log was cut. */
  tails: number;
  /** Cuts within a frame, which is lost with them. */
  withinFrames: number;
  lostSectors: number;
  wentOn: number;
}

export async function tearTails(random: SeededRandom, lastBytes: number, version: JournalVersion): Promise<TornTails> {
  const log = await makeLog(random, lastBytes + segmentBytes, version);
  const done: TornTails = { tails: 0, withinFrames: 0, lostSectors: 0, wentOn: 0 };
  for (let index = log.segments.length - 1; done.tails < lastBytes; index -= 1) {
    assert.ok(index > 0, 'the log is long enough');
    await tearSegment({ log, index, lastBytes, random }, done);
  }
  return done;
}

interface SegmentToTear {
  readonly log: Log;
  readonly index: number;
  readonly lastBytes: number;
  readonly random: SeededRandom;
}

/** Cuts a segment from its end towards its beginning: one more byte is zero each time. */
async function tearSegment({ log, index, lastBytes, random }: SegmentToTear, done: TornTails): Promise<void> {
  const segment = log.segments[index]!;
  const bytes = Buffer.from(segment.bytes);
  const files = [...log.segments.slice(0, index), { file: segment.file, bytes }];
  let left = segment.frames.length;
  for (let cut = segment.end - 1; cut >= segmentHeaderBytes && done.tails < lastBytes; cut -= 1) {
    bytes[cut] = 0;
    while (left > 0 && segment.frames[left - 1]!.end > cut) left -= 1;
    const torn = segment.frames[left]!;
    try {
      await tearAt(cut, { files, bytes, segment, torn, whole: left }, random, done);
    } catch (error) {
      throw damaged(`${segment.file}, cut at byte ${cut}`, files, error);
    }
  }
}

interface Torn {
  readonly files: Files;
  /** The content of the last segment. */
  readonly bytes: Buffer;
  readonly segment: Segment;
  readonly torn: Frame;
  /** Frames before the torn one. */
  readonly whole: number;
}

async function tearAt(cut: number, tear: Torn, random: SeededRandom, done: TornTails): Promise<void> {
  const { files, bytes, segment, torn, whole } = tear;
  done.tails += 1;
  if (cut > torn.start) done.withinFrames += 1;
  await startsBefore(tear);
  if (cut % 8 === 0) {
    const before = Buffer.from(bytes.subarray(torn.start, torn.end));
    if (loseSectors(bytes, segment, torn, random)) {
      await startsBefore(tear);
      done.lostSectors += 1;
    }
    before.copy(bytes, torn.start);
  }
  if (cut % 64 === 0) {
    await goesOn(files, whole === 0 ? segment.after : segment.frames[whole - 1]!.last, cut);
    done.wentOn += 1;
  }
}

/** Checks that the log ends where the torn frame begins, and that its last segment is as it was then. */
async function startsBefore({ files, segment, torn, whole }: Torn): Promise<void> {
  const disk = diskOf(files);
  const recovered = await recover(disk, { from: segment.after, segmentBytes });
  assert.equal(recovered.last, whole === 0 ? segment.after : segment.frames[whole - 1]!.last, 'the last revision');
  assert.equal(recovered.position, torn.start, 'where the log ends');
  const renewed = disk.contents(segment.file);
  assert.equal(renewed.length, segment.bytes.length, 'the size');
  assert.ok(renewed.compare(segment.bytes, 0, torn.start, 0, torn.start) === 0, 'the bytes before it');
  assert.ok(renewed.compare(zeros, 0, renewed.length - torn.start, torn.start) === 0, 'only zeros after it');
}

const zeros = Buffer.alloc(segmentBytes);

/** Zeros some sectors of a frame. @returns false when nothing changes, as with a frame of one sector */
function loseSectors(bytes: Buffer, { bytes: whole }: Segment, { start, end }: Frame, random: SeededRandom): boolean {
  whole.copy(bytes, start, start, end);
  const first = Math.floor(start / sectorBytes);
  const count = Math.ceil(end / sectorBytes) - first;
  if (count < 2) return false;
  const certain = random.below(count);
  let changed = false;
  for (let sector = 0; sector < count; sector += 1) {
    if (sector !== certain && random.below(2) === 0) continue;
    const from = Math.max(start, (first + sector) * sectorBytes);
    const to = Math.min(end, (first + sector + 1) * sectorBytes);
    changed ||= bytes.subarray(from, to).some((byte) => byte !== 0);
    bytes.fill(0, from, to);
  }
  return changed;
}

/** Checks that new records follow the recovered ones, over a power cut too. */
async function goesOn(files: Files, last: number, seed: number): Promise<void> {
  const disk = diskOf(files);
  const journal = await open(disk, { from: 0, segmentBytes, keepBytes: Infinity });
  write(journal, 2, 'more');
  await journal.writer.close();
  const after = disk.powerCut(seed);
  assert.equal((await recover(after, { segmentBytes })).last, last + 2);
  const more = readAll(after, last);
  assert.deepEqual(
    more.map(({ rev, text }) => [rev, text]),
    [
      [last + 1, 'more'],
      [last + 2, 'more'],
    ],
  );
}
