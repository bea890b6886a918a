import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { frameHeaderBytesOf, frameMagic, type JournalVersion } from '../../../src/journal/file/frame.ts';
import { accountId } from '../../../src/protocol/ids.ts';
import { kinds, RecordWriter } from '../../../src/protocol/record.ts';
import { JournalCorruption } from '../../../src/journal/file/journal-corruption.ts';
import { readRecords } from '../../../src/journal/file/journal-reader.ts';
import { listSegments, segmentHeaderBytes, UnsupportedFormat } from '../../../src/journal/file/segment.ts';
import { FaultDisk, sectorBytes } from '../../support/fault-disk.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import {
  directory,
  enqueue,
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
import { rewriteAsVersion1 } from './version-1-log.ts';

const text = 't'.repeat(300);

/** A closed log of `groups` frames with three records each. */
async function logOf(groups: number, version: JournalVersion = 2): Promise<FaultDisk> {
  const disk = new FaultDisk(1);
  const journal = await open(disk, { keepBytes: Infinity });
  for (let group = 0; group < groups; group += 1) {
    write(journal, 3, text);
    await settle();
  }
  await journal.writer.close();
  if (version === 1) rewriteAsVersion1(disk);
  return disk.restart();
}

function forEachVersion(name: string, run: (version: JournalVersion) => Promise<void>): void {
  for (const version of [1, 2] as const) void test(`${name} (version ${version})`, () => run(version));
}

function framesOf(disk: FaultDisk, file: string): number[] {
  const bytes = disk.contents(file);
  const offsets: number[] = [];
  for (let at = segmentHeaderBytes; bytes.subarray(at, at + 4).equals(frameMagic); at += bytes.readUInt32LE(at + 8)) {
    offsets.push(at);
  }
  return offsets;
}

/** Checks that the start is refused and changes nothing. Returns the error, which names the place. */
async function refused(disk: FaultDisk, options: { from?: number } = {}): Promise<JournalCorruption> {
  const before = disk.snapshot();
  let found: unknown;
  await recover(disk, options).catch((error: unknown) => {
    found = error;
  });
  assert.ok(found instanceof JournalCorruption, `not refused: ${String(found)}`);
  assert.match(found.message, /npm run salvage/);
  assert.deepEqual(disk.snapshot(), before);
  return found;
}

test('recovery: a new directory becomes an empty log, and stays one', async () => {
  const disk = new FaultDisk(1);
  const first = await recover(disk);
  assert.deepEqual([first.last, first.oldest, first.position], [0, 1, segmentHeaderBytes]);
  assert.deepEqual(await recover(disk.powerCut(1)), first);
});

test('recovery: a new log may begin after any revision, as a restore needs it', async () => {
  const disk = new FaultDisk(1);
  const journal = await open(disk, { from: 5_000, createAfter: 1_000_005_000 });
  write(journal, 2);
  assert.deepEqual(revisionsOf(readAll(disk, 5_000)), [1_000_005_001, 1_000_005_002]);
  assert.equal((await recover(disk.powerCut(1), { from: 5_000 })).last, 1_000_005_002);
  await refused(disk.powerCut(1), { from: 4_999 });
});

forEachVersion('recovery: a last frame that is torn at any byte is dropped, and the log goes on', async (version) => {
  const disk = await logOf(4, version);
  const file = pathOf(disk, -1);
  const start = framesOf(disk, file).at(-1) ?? 0;
  const end = start + disk.contents(file).readUInt32LE(start + 8);
  for (let cut = start; cut < end; cut += 1) {
    const torn = disk.powerCut(1);
    torn.damage(file, (bytes) => bytes.fill(0, cut, end));
    const journal = await open(torn, { from: 9 });
    assert.equal(journal.recovered.last, 9, `cut at ${cut}`);
    if ((cut - start) % 100 === 0) {
      write(journal, 2, 'again');
      assert.deepEqual(revisionsOf(readAll(torn.powerCut(cut))), range(1, 11));
    }
  }
});

forEachVersion('recovery: a last frame that lacks any of its sectors is dropped', async (version) => {
  const disk = await logOf(4, version);
  const file = pathOf(disk, -1);
  const start = framesOf(disk, file).at(-1) ?? 0;
  const end = start + disk.contents(file).readUInt32LE(start + 8);
  for (let at = Math.ceil(start / sectorBytes) * sectorBytes; at < end; at += sectorBytes) {
    const torn = disk.powerCut(1);
    torn.damage(file, (bytes) => bytes.fill(0, at, Math.min(at + sectorBytes, end)));
    assert.equal((await recover(torn)).last, 9);
  }
});

forEachVersion(
  'recovery: a last frame that was written whole and has changed since is refused, bit by bit',
  async (version) => {
    const disk = await logOf(4, version);
    const file = pathOf(disk, -1);
    const start = framesOf(disk, file).at(-1) ?? 0;
    const end = start + disk.contents(file).readUInt32LE(start + 8);
    for (let bit = start * 8; bit < end * 8; bit += 1) {
      const damaged = disk.powerCut(1);
      damaged.damage(file, (bytes) => {
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      });
      const error = await refused(damaged);
      assert.equal(error.offset, start, `bit ${bit}`);
    }
  },
);

test('recovery: a last frame that ends with a single bit, and has lost it, is refused', async () => {
  const disk = new FaultDisk(1);
  const journal = await open(disk);
  const records = new RecordWriter();
  const gone = { kind: kinds.kv, key: 'me@', till: 0 };
  records.append({ rev: journal.revisions.next(), account: accountId('acme'), effects: [gone] });
  journal.writer.enqueue(records.take());
  assert.ok(journal.writer.flush());
  await journal.writer.close();
  disk.damage(pathOf(disk, -1), (bytes) => (bytes[bytes.lastIndexOf('@')] = 0));
  await refused(disk.restart());
});

forEachVersion(
  'recovery: a last frame whose beginning was overwritten is refused, whatever overwrote it',
  async (version) => {
    const disk = await logOf(4, version);
    const file = pathOf(disk, -1);
    const start = framesOf(disk, file).at(-1) ?? 0;
    for (let length = 1; length < 300; length += 7) {
      for (const byte of [0, 0x20]) {
        const damaged = disk.powerCut(1);
        damaged.damage(file, (bytes) => bytes.fill(byte, start, start + length));
        const sectorEnds = Math.ceil((start + 1) / sectorBytes) * sectorBytes;
        // A whole part of a sector that is zero may never have been written.
        if (byte === 0 && start + length >= sectorEnds) assert.equal((await recover(damaged)).last, 9);
        else assert.equal((await refused(damaged)).offset, start, `${length} times ${byte}`);
      }
    }
  },
);

forEachVersion(
  'recovery: a last segment that is shorter than it was made is refused, wherever it was cut',
  async (version) => {
    const disk = await logOf(4, version);
    const file = pathOf(disk, -1);
    const whole = disk.contents(file);
    for (const bytes of [...framesOf(disk, file), segmentHeaderBytes + 5, whole.length - 1, 100, 0]) {
      const cut = new FaultDisk(1);
      const { name } = listSegments(disk, directory).at(-1)!;
      cut.open(file, 'create').write(whole, 0, bytes, 0);
      assert.equal((await refused(cut)).file, name, `${bytes} bytes`);
    }
  },
);

forEachVersion('recovery: a flipped bit in any other frame is refused with its place', async (version) => {
  const disk = await logOf(40, version);
  assert.ok(listSegments(disk, directory).length >= 3);
  const random = seededRandom(11);
  for (const index of [0, 1, -1]) {
    const file = pathOf(disk, index);
    const frames = framesOf(disk, file);
    // The last frame of the last segment could be a torn tail.
    for (const start of index === -1 ? frames.slice(0, -1) : frames) {
      const length = disk.contents(file).readUInt32LE(start + 8);
      for (let round = 0; round < 12; round += 1) {
        const at = start + (round < 6 ? random.below(frameHeaderBytesOf(version)) : random.below(length));
        const damaged = disk.powerCut(1);
        damaged.damage(file, (bytes) => {
          bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
        });
        const error = await refused(damaged);
        assert.equal(`${directory}/${error.file}`, file);
        assert.equal(error.offset, start, `byte ${at}`);
      }
    }
  }
});

forEachVersion(
  'recovery: a flipped bit in a segment header is refused where a replay needs it, and is told of elsewhere',
  async (version) => {
    const disk = await logOf(40, version);
    const [, second, third] = listSegments(disk, directory);
    for (let at = 0; at < (version === 1 ? 48 : 52); at += 1) {
      const damaged = disk.powerCut(1);
      damaged.damage(pathOf(disk, 1), (bytes) => {
        bytes[at] = (bytes[at] ?? 0) ^ 4;
      });
      const needed = third!.first - 2;
      for (const from of [0, needed]) assert.equal((await refused(damaged, { from })).offset, 0, `byte ${at}`);
      const warned: object[] = [];
      for (const from of [third!.first - 1, 120]) {
        const { last } = await recover(damaged, {
          from,
          log: (_level, _message, details) => warned.push(details ?? {}),
        });
        assert.equal(last, 120, `byte ${at}`);
      }
      const history = { file: second!.name, offset: 0, first: second!.first, last: third!.first - 1 };
      assert.equal(warned.length, 2);
      assert.partialDeepStrictEqual(warned[0], history);
    }
  },
);

test('recovery: a header of a version that is not known, with its own checksum, is not taken for damage', async () => {
  const disk = await logOf(40);
  disk.damage(pathOf(disk, 1), (bytes) => {
    bytes.writeUInt32LE(3, 8);
    bytes.writeUInt32LE(crc32(bytes.subarray(8, 60)), 12);
  });
  await assert.rejects(recover(disk), UnsupportedFormat);
});

forEachVersion(
  'recovery: a frame below all watermarks may be damaged, and everything above them is served',
  async (version) => {
    const disk = await logOf(40, version);
    const file = pathOf(disk, 1);
    const frames = framesOf(disk, file);
    const lasts = frames.map((start) => disk.contents(file).readUIntLE(start + 30, 6));
    const random = seededRandom(5);
    for (const [number, start] of frames.slice(0, -2).entries()) {
      const length = disk.contents(file).readUInt32LE(start + 8);
      const damaged = disk.powerCut(1);
      const at = start + random.below(length);
      damaged.damage(file, (bytes) => (bytes[at]! ^= 1 << random.below(8)));
      const last = lasts[number]!;
      // The watermark stands at the end of the damaged frame: the lowest with which nobody needs it.
      const { last: end } = await recover(damaged.restart(), { from: last });
      assert.equal(end, 120);
      assert.deepEqual(revisionsOf(readAll(damaged, last)), range(last + 1, 120));
      assert.equal((await refused(damaged, { from: last - 1 })).offset, start);
    }
  },
);

test('recovery: a frame out of its place does not lead past damage to an end that loses what follows', async () => {
  const disk = new FaultDisk(1);
  const journal = await open(disk);
  write(journal, 1);
  await settle();
  write(journal, 1, text.repeat(3));
  await journal.writer.close();
  // The first frame is whole in the other sector, and the second, which follows it there, looks like one cut short.
  disk.damage(pathOf(disk, -1), (bytes) => {
    const sector = Buffer.from(bytes.subarray(sectorBytes, 2 * sectorBytes));
    bytes.copyWithin(sectorBytes, 2 * sectorBytes, 3 * sectorBytes);
    sector.copy(bytes, 2 * sectorBytes);
    assert.ok(bytes.subarray(2 * sectorBytes, 2 * sectorBytes + 4).equals(frameMagic));
  });
  await refused(disk.restart(), { from: 1 });
});

test('recovery: a sector that the disk cannot read is damage where a replay needs it, and never the end of the log', async () => {
  const disk = await logOf(40);
  const segments = listSegments(disk, directory);
  for (const [index, segment] of segments.entries()) {
    const bad = disk.restart();
    bad.inject = ({ operation, name }) => (operation === 'read' && name === segment.name ? 'EIO' : undefined);
    const needed = { from: Math.max(0, segment.first - 1) };
    await assert.rejects(
      recover(bad, needed),
      (error) => error instanceof JournalCorruption && /EIO/.test(error.message),
    );
    const next = segments[index + 1];
    if (next !== undefined) assert.equal((await recover(bad, { from: next.first - 1 })).last, 120);
    assert.ok(bad.injected > 0);
  }
});

forEachVersion('recovery: a zeroed hole is refused, wherever it is', async (version) => {
  const disk = await logOf(40, version);
  for (const index of [0, 1, -1]) {
    const file = pathOf(disk, index);
    const frames = framesOf(disk, file);
    for (const [number, start] of frames.entries()) {
      const end = frames[number + 1] ?? (index === -1 ? undefined : segmentBytes);
      if (end === undefined) continue;
      const damaged = disk.powerCut(1);
      damaged.damage(file, (bytes) => bytes.fill(0, start, end));
      const error = await refused(damaged);
      assert.equal(error.offset, start);
    }
  }
});

forEachVersion('recovery: a missing segment is refused', async (version) => {
  const disk = await logOf(40, version);
  const segments = listSegments(disk, directory);
  const first = disk.powerCut(1);
  first.unlink(pathOf(first, 0));
  assert.match((await refused(first)).reason, /begins with revision/);
  const middle = disk.powerCut(1);
  middle.unlink(pathOf(middle, 1));
  assert.match((await refused(middle)).reason, /are missing/);
  const last = disk.powerCut(1);
  last.unlink(pathOf(last, -1));
  assert.match((await refused(last, { from: 119 })).reason, /the log ends at revision/);
  const all = disk.powerCut(1);
  for (const { name } of segments) all.unlink(`${directory}/${name}`);
  assert.match((await refused(all, { from: 1 })).reason, /there is no journal/);
});

test('recovery: a segment or a frame of another log is refused', async () => {
  const disk = await logOf(40);
  const other = await logOf(40);
  for (const at of [1, 2]) {
    const mixed = disk.powerCut(1);
    mixed.damage(pathOf(disk, at), (bytes) => {
      other.contents(pathOf(other, at)).copy(bytes);
      bytes.writeUInt32LE(0, 36);
    });
    await refused(mixed);
  }
});

test('recovery: a watermark at the end of the log is fine, one after it is refused, one before it is replayed', async () => {
  const disk = await logOf(40);
  assert.equal((await recover(disk.powerCut(1), { from: 120 })).last, 120);
  await refused(disk.powerCut(1), { from: 121 });
  const recovered = await recover(disk, { from: 60 });
  assert.deepEqual([recovered.last, recovered.oldest], [120, 1]);
  assert.deepEqual(revisionsOf(readAll(disk, 60)), range(61, 120));
});

test('recovery: a journal that is gone is refused, when checkpoints tell that there was one', async () => {
  await refused(new FaultDisk(1), { from: 1 });
  await refused(new FaultDisk(1), { from: 5000 });
});

test('recovery: a log that was trimmed beyond the watermark is refused', async () => {
  const disk = await logOf(40);
  const second = listSegments(disk, directory)[1]?.first ?? 0;
  disk.unlink(pathOf(disk, 0));
  disk.syncDirectory(directory);
  assert.equal((await recover(disk.powerCut(1), { from: second - 1 })).oldest, second);
  await refused(disk.powerCut(1), { from: second - 2 });
});

test('recovery: stale bytes after the end are ignored and gone afterwards', async () => {
  for (const full of [false, true]) {
    const disk = await logOf(6);
    const file = pathOf(disk, -1);
    const frames = framesOf(disk, file);
    const end = (frames.at(-1) ?? 0) + disk.contents(file).readUInt32LE((frames.at(-1) ?? 0) + 8);
    disk.damage(file, (bytes) => {
      // Valid frames of this log, but old ones; then noise.
      bytes.copy(bytes, end + sectorBytes, frames[0], frames[3]);
      bytes.fill(0x5a, segmentBytes - 1000);
    });
    disk.unlink(`${directory}/spare.log`);
    if (full) disk.freeBytes = 100;
    assert.equal((await recover(disk)).last, 18);
    assert.equal(disk.injected > 0, full);
    const rest = disk.powerCut(1).contents(file).subarray(end);
    assert.ok(rest.every((byte) => byte === 0));
  }
});

test('recovery: doing it again changes nothing', async () => {
  const disk = await logOf(20);
  const first = await recover(disk);
  const after = disk.snapshot();
  assert.deepEqual(await recover(disk), first);
  assert.deepEqual(disk.snapshot(), after);
});

test('recovery: leftovers of preparations are removed', async () => {
  const disk = await logOf(3);
  for (const name of ['spare.tmp', 'urgent.tmp', 'spare.log', 'journal-0000000000000001.log.tmp']) {
    await disk.writeZeros(`${directory}/${name}`, 700);
  }
  await recover(disk);
  assert.deepEqual(disk.list(directory), ['journal-0000000000000001.log']);
});

test('recovery: what only the page cache held after a failed sync is on disk before it is believed', async () => {
  for (const full of [false, true]) {
    const disk = await logOf(3);
    const journal = await open(disk);
    await settle();
    disk.inject = (call) => (call.operation === 'datasync' ? 'EIO' : undefined);
    enqueue(journal, 1, 'cached');
    assert.throws(() => journal.writer.flush(), /EIO/);
    assert.equal(disk.injected, 1);
    // Only the process restarts: the cache still shows the frame.
    const restarted = disk.restart();
    if (full) {
      restarted.unlink(`${directory}/spare.log`);
      restarted.freeBytes = 100;
    }
    const { last } = await recover(restarted);
    assert.equal(last, 10);
    assert.equal(restarted.injected > 0, full);
    for (let seed = 1; seed <= 20; seed += 1) {
      assert.deepEqual(revisionsOf(readAll(restarted.powerCut(seed))), range(1, 10));
    }
  }
});

test('recovery: the time of the last frame is found, also when the active segment has no frame yet', async () => {
  const disk = new FaultDisk(1);
  let now = 1000;
  const journal = await open(disk, { keepBytes: Infinity, clock: { now: () => (now += 10) } });
  while (listSegments(disk, directory).length < 2) {
    write(journal, 3, text);
    await settle();
  }
  await journal.writer.close();
  const times = new Map(Array.from(readRecords(disk, directory, rev(0)), (record) => [record.rev, record.committedAt]));
  const whole = await recover(disk.restart(), { from: journal.revisions.durable() });
  assert.equal(whole.at, times.get(journal.revisions.durable()));

  // As a crash between the rotation and the write leaves it.
  const active = listSegments(disk, directory).at(-1)!.first;
  const empty = disk.restart();
  empty.damage(pathOf(disk, -1), (bytes) => bytes.fill(0, segmentHeaderBytes));
  for (const from of [0, active - 1]) {
    const recovered = await recover(empty.restart(), { from });
    assert.deepEqual([recovered.last, recovered.at], [active - 1, times.get(rev(active - 1))]);
  }
});
