/**
 * Decodes frames, segment headers and records from arbitrary bytes: there must be a verdict every time. A decoder
 * throws only the documented exception, reads nothing outside of its bytes, and gives the same result at any offset.
 */
import assert from 'node:assert/strict';
import {
  decodeFrame,
  frameFaults,
  frameHeaderBytesOf,
  sealFrame,
  type JournalVersion,
} from '../../src/journal/file/frame.ts';
import { SegmentWindow } from '../../src/journal/file/segment-window.ts';
import { decodeSegmentHeader, encodeSegmentHeader, UnsupportedFormat } from '../../src/journal/file/segment.ts';
import { wasWrittenWhole } from '../../src/journal/file/torn-tail.ts';
import { accountId, revision } from '../../src/protocol/ids.ts';
import { decodeRecord, kinds, RecordWriter, type CommitRecord, type Effect } from '../../src/protocol/record.ts';
import { InvariantError } from '../../src/shared/assert.ts';
import { NewerData } from '../../src/shared/newer-data.ts';
import type { DiskFile } from '../../src/shared/disk.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { chance, fuzzEach, pick, type Fuzz, type Tally } from './fuzz.ts';
import { mutated, randomBytes } from './mutate-bytes.ts';

const logId = 0x1234_5678_9abc_def0n;

export const fuzzDecoders: Fuzz = (seed, count, onProgress) =>
  fuzzEach({ target: 'decoders', seed, count, onProgress }, (random, tally) =>
    pick(random, [fuzzFrame, fuzzWindow, fuzzHeader, fuzzRecord])(random, tally),
  );

function fuzzFrame(random: SeededRandom, tally: Tally): void {
  const version = aVersion(random);
  const whole = aFrame(random, version);
  const bytes = damaged(random, whole);
  const at = chance(random, 0.8) ? 0 : random.below(bytes.length + 1);
  const verdict = decodeFrame(bytes, at, { logId, version });
  if (typeof verdict === 'string') {
    assert.ok(verdict in frameFaults, verdict);
    return tally.note(`frame ${verdict}`);
  }
  assert.ok(
    verdict.length > verdict.headerBytes && at + verdict.length <= bytes.length,
    'a frame lies within its bytes',
  );
  assert.equal(verdict.count, verdict.last - verdict.first + 1);
  // A frame that passes the checksum is the sealed one, as far as 32 bits can tell.
  assert.ok(bytes.subarray(at, at + verdict.length).equals(whole), 'only what was sealed is valid');
  tally.note('frame valid');
}

function fuzzWindow(random: SeededRandom, tally: Tally): void {
  const version = aVersion(random);
  const frames = Array.from({ length: 1 + random.below(4) }, () => aFrame(random, version));
  const parts = [Buffer.alloc(random.below(600)), ...frames, Buffer.alloc(600)];
  const starts = parts.map((_, i) => Buffer.concat(parts.slice(0, i)).length);
  const bytes = damaged(random, Buffer.concat(parts));
  const window = new SegmentWindow(strictFile(bytes), { logId, version }, Buffer.alloc(64 + random.below(900)));
  for (let step = 0; step < 4; step += 1) {
    const offset = chance(random, 0.5) ? pick(random, starts) : random.below(bytes.length + 100);
    const frame = window.frameAt(offset);
    tally.note(`window ${typeof frame === 'string' ? frame : 'valid'}`);
    const later = window.findLater(offset, random.below(3));
    if (later !== undefined) assert.ok(later.offset >= offset, 'what is found stands behind the place');
    wasWrittenWhole(window, offset);
  }
}

function fuzzHeader(random: SeededRandom, tally: Tally): void {
  const header = encodeSegmentHeader({
    logId,
    first: revision(random.below(2 ** 31) + 1),
    after: revision(random.below(2 ** 31)),
    chain: random.below(2 ** 31),
    at: random.below(2 ** 31),
    bytes: random.below(2 ** 31),
  });
  const bytes = damaged(random, header);
  try {
    const verdict = decodeSegmentHeader(bytes, 'journal-1.log');
    tally.note(typeof verdict === 'string' ? 'header refused' : 'header valid');
    if (typeof verdict !== 'string') assert.ok(bytes.subarray(0, 52).equals(header.subarray(0, 52)));
  } catch (error) {
    assert.ok(error instanceof UnsupportedFormat, String(error));
    tally.note('header of another format');
  }
}

/** Decodes twice, among different bytes: a decoder that reads beyond its record gives two results. */
function fuzzRecord(random: SeededRandom, tally: Tally): void {
  const bytes = damaged(random, encoded([aRecord(random, 1 + random.below(2 ** 31))]));
  const claimed = bytes.length < 4 ? Infinity : bytes.readUInt32LE(0);
  if (claimed > bytes.length) {
    assert.equal(recordVerdict(bytes, 0), 'refused', 'a record that is longer than what there is');
    return tally.note('record cut off');
  }
  const before = random.below(40);
  const verdicts = [0xaa, 0x01].map((filler) => {
    const padding = Buffer.alloc(300, filler);
    return recordVerdict(Buffer.concat([padding.subarray(0, before), bytes.subarray(0, claimed), padding]), before);
  });
  assert.deepEqual(verdicts[0], verdicts[1], 'a record is what its own bytes say');
  tally.note(`record ${verdicts[0] === 'refused' ? 'refused' : 'valid'}`);
}

function recordVerdict(bytes: Buffer, at: number): CommitRecord | 'refused' {
  try {
    return decodeRecord(bytes, at);
  } catch (error) {
    const isTold = error instanceof InvariantError || error instanceof NewerData;
    assert.ok(isTold, `expected InvariantError or NewerData, got ${String(error)}`);
    return 'refused';
  }
}

/** One in eight as it is, one in eight all noise. */
function damaged(random: SeededRandom, bytes: Buffer): Buffer {
  const way = random.below(8);
  if (way === 0) return bytes;
  return way === 1 ? randomBytes(random, random.below(700)) : mutated(random, bytes);
}

function aVersion(random: SeededRandom): JournalVersion {
  return chance(random, 0.3) ? 1 : 2;
}

function aFrame(random: SeededRandom, version: JournalVersion): Buffer {
  const first = 1 + random.below(1000);
  const count = 1 + random.below(4);
  const records = encoded(Array.from({ length: count }, (_, i) => aRecord(random, first + i)));
  const frame = Buffer.concat([Buffer.alloc(frameHeaderBytesOf(version)), records]);
  sealFrame(frame, {
    version,
    previous: random.below(2 ** 31),
    logId,
    first: revision(first),
    last: revision(first + count - 1),
    durable: revision(first - 1),
    count,
    at: random.below(2 ** 31),
  });
  return frame;
}

function encoded(records: readonly CommitRecord[]): Buffer {
  const writer = new RecordWriter();
  for (const record of records) writer.append(record);
  return Buffer.from(writer.take().bytes);
}

function aRecord(random: SeededRandom, rev: number): CommitRecord {
  const effects = Array.from({ length: 1 + random.below(3) }, (): Effect => {
    const kind = pick(random, Object.values(kinds));
    const key = pick(random, ['k', 'a@', '€', 'key '.repeat(1 + random.below(30))]);
    if (chance(random, 0.3)) return { kind, key, till: 0, ...(chance(random, 0.5) && { expired: true }) };
    return { kind, key, till: random.below(2 ** 31), value: JSON.stringify('v'.repeat(random.below(300))) };
  });
  return { rev: revision(rev), account: accountId('a'.repeat(1 + random.below(64))), effects };
}

function refuse(): never {
  return assert.fail('a decoder only reads');
}

/** A file that is read only within its bounds, into a buffer that has the room. */
function strictFile(bytes: Buffer): DiskFile {
  return {
    size: () => bytes.length,
    read(buffer, offset, length, position) {
      assert.ok(offset >= 0 && length >= 0 && offset + length <= buffer.length, 'a read fits into its buffer');
      assert.ok(position >= 0 && position <= bytes.length, 'a read begins within the file');
      return bytes.copy(buffer, offset, position, Math.min(position + length, bytes.length));
    },
    write: refuse,
    datasync: refuse,
    sync: refuse,
    close: () => undefined,
  };
}
