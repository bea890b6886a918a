/**
 * One bit of a log flips, anywhere: in a frame, in a segment's header, behind the end. The start is refused, with the
 * file and the place and without a change to anything; or it finds everything that was acknowledged, because the bit is
 * one that nobody reads. Anything else is a silent loss. In the sectors where the next frame's header would stand, a
 * bit may pass for what is left of a frame: there, both are right.
 */
import assert from 'node:assert/strict';
import { JournalCorruption } from '../../src/journal/file/journal-corruption.ts';
import { readRecords } from '../../src/journal/file/journal-reader.ts';
import { frameHeaderBytesOf, type JournalVersion } from '../../src/journal/file/frame.ts';
import { segmentHeaderBytes, UnsupportedFormat } from '../../src/journal/file/segment.ts';
import { directory, recover } from '../journal/file/journal-fixture.ts';
import { sectorBytes } from '../support/fault-disk.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import {
  countChanges,
  damaged,
  diskOf,
  framesAfter,
  makeLog,
  nameOf,
  nothing,
  segmentBytes,
  type Log,
} from './logs.ts';

export interface BitFlips {
  flips: number;
  refused: number;
  /** Everything was found. */
  harmless: number;
}

const logBytes = 150 * 1024;

export async function flipBits(random: SeededRandom, count: number, version: JournalVersion): Promise<BitFlips> {
  const log = await makeLog(random, logBytes, version);
  const acknowledged = framesAfter(log, 0);
  const done: BitFlips = { flips: 0, refused: 0, harmless: 0 };
  for (; done.flips < count; done.flips += 1) {
    // Now and then where nothing is written yet, otherwise within the written bytes.
    const afterEnd = random.below(20) === 0;
    const sizes = log.segments.map(({ bytes, end }) => (afterEnd ? bytes.length : end));
    let byte = random.below(sizes.reduce((sum, size) => sum + size, 0));
    let index = 0;
    while (byte >= sizes[index]!) byte -= sizes[index++]!;
    const { bytes } = log.segments[index]!;
    const bit = 1 << random.below(8);
    bytes[byte]! ^= bit;
    try {
      await judge({ log, index, byte, acknowledged }, done);
    } catch (error) {
      throw damaged(`bit ${bit} of byte ${byte} of ${log.segments[index]!.file} flipped`, log.segments, error);
    }
    bytes[byte]! ^= bit;
  }
  return done;
}

/** What a segment's header says; nobody reads the rest of its sector. */
const headerReadBytes = { 1: 48, 2: 52 };

interface Flip {
  readonly log: Log;
  readonly index: number;
  readonly byte: number;
  readonly acknowledged: Buffer;
}

async function judge({ log, index, byte, acknowledged }: Flip, done: BitFlips): Promise<void> {
  const segment = log.segments[index]!;
  const read = byte < segmentHeaderBytes ? byte < headerReadBytes[log.version] : byte < segment.end;
  const nextHeader = Math.ceil((segment.end + frameHeaderBytesOf(log.version)) / sectorBytes) * sectorBytes;
  const atTheEnd = byte >= segment.end && byte < nextHeader;
  const disk = diskOf(log.segments);
  const changes = countChanges(disk);
  let recovered;
  try {
    recovered = await recover(disk, { segmentBytes });
  } catch (error) {
    assert.ok(read || atTheEnd, `a bit that recovery does not read stops the start: ${String(error)}`);
    assert.equal(changes(), 0, 'a start that is refused changes nothing');
    if (!(error instanceof UnsupportedFormat)) {
      assert.ok(error instanceof JournalCorruption, String(error));
      const frame = segment.frames.find(({ start, end }) => byte >= start && byte < end);
      assert.equal(error.file, nameOf(segment), 'the file is named');
      assert.equal(error.offset, atTheEnd ? segment.end : (frame?.start ?? 0), 'the place is named');
    }
    done.refused += 1;
    return;
  }
  assert.equal(recovered.last, log.last, 'a silent loss');
  disk.inject = undefined;
  const found = Array.from(readRecords(disk, directory, nothing), ({ buffer, at }) =>
    Buffer.from(buffer.subarray(at, at + buffer.readUInt32LE(at))),
  );
  assert.ok(Buffer.concat(found).equals(acknowledged), 'a silent change');
  assert.ok(!read, 'a bit of a frame or of a header was overlooked');
  done.harmless += 1;
}
