/**
 * Starts on a journal whose directory was tampered with. There are two outcomes, whatever the damage:
 *
 *   recovered   the found records are a prefix of the acknowledged ones, byte for byte, and the journal can go on
 *   refused     JournalCorruption or UnsupportedFormat, which name the file and the place; nothing was changed
 *
 * A prefix that lacks acknowledged revisions is a silent loss. It is allowed only where nothing on the disk
 * distinguishes it from the end of a log: where the first lost frame looks as if a part of it had never been written
 * (see `src/journal/file/torn-tail.ts`), or where the files of it and of everything after it are missing. Both need
 * damage to more than one bit; after the flip of a single bit any loss is a failure.
 */
import assert from 'node:assert/strict';
import { frameHeaderBytes } from '../../src/journal/file/frame.ts';
import { JournalCorruption } from '../../src/journal/file/journal-corruption.ts';
import { readRecords } from '../../src/journal/file/journal-reader.ts';
import { headerOrFault } from '../../src/journal/file/log-heads.ts';
import {
  decodeSegmentHeader,
  encodeSegmentHeader,
  listSegments,
  segmentHeaderBytes,
  UnsupportedFormat,
} from '../../src/journal/file/segment.ts';
import { accountId, revision } from '../../src/protocol/ids.ts';
import { kinds, RecordWriter, type CommitRecord } from '../../src/protocol/record.ts';
import { FaultDisk, sectorBytes } from '../support/fault-disk.ts';
import { keepFiles } from '../support/keep-files.ts';
import { seededRandom, type SeededRandom } from '../support/seeded-random.ts';
import { countChanges, diskOf } from '../damage/logs.ts';
import {
  directory,
  open,
  recover,
  segmentBytes,
  settle,
  write,
  type OpenJournal,
} from '../journal/file/journal-fixture.ts';
import { chance, fuzzEach, pick, type Fuzz, type Tally } from './fuzz.ts';
import { mutated, randomBytes } from './mutate-bytes.ts';

interface Frame {
  readonly file: string;
  readonly start: number;
  readonly end: number;
  readonly first: number;
  readonly last: number;
}

interface Journal {
  readonly files: ReadonlyMap<string, Buffer>;
  /** The same directory at some earlier moment. */
  readonly earlier: ReadonlyMap<string, Buffer>;
  /** The bytes of each record, by revision. */
  readonly records: ReadonlyMap<number, Buffer>;
  readonly frames: readonly Frame[];
  readonly last: number;
}

/** The kind of damage: single flips are judged more strictly. */
interface Damage {
  readonly name: string;
  /** Where a single bit was flipped. */
  readonly flipped?: string;
}

/** Consecutive inputs that damage the same journal, because making one costs more than a recovery. */
const inputsPerJournal = 64;

export const fuzzRecovery: Fuzz = (seed, count, onProgress) => {
  let made: { readonly number: number; readonly journal: Journal } | undefined;
  return fuzzEach({ target: 'recovery', seed, count, onProgress }, async (random, tally, own) => {
    const number = Math.floor(own / inputsPerJournal);
    if (made?.number !== number) made = { number, journal: await aJournal(seededRandom(~number)) };
    const { journal } = made;
    const files = new Files(journal.files);
    const damage = tamper(random, files, journal);
    const from = chance(random, 0.7) ? 0 : random.below(journal.last + 1);
    try {
      await judge({ journal, files, damage, from }, random, tally);
    } catch (error) {
      const what = `${damage.name} ${damage.flipped ?? ''}, checkpoints up to ${from}`;
      const kept = keepFiles('fuzz-recovery', files);
      throw new Error(`${what}: ${String(error)}\nkept for a look: ${kept}`, { cause: error });
    }
  });
};

/** The files of a directory, by name. They share the journal's bytes until `toChange` copies them. */
class Files extends Map<string, Buffer> {
  toChange(name: string): Buffer {
    const copy = Buffer.from(this.get(name)!);
    this.set(name, copy);
    return copy;
  }
}

interface DamagedJournal {
  readonly journal: Journal;
  readonly files: ReadonlyMap<string, Buffer>;
  readonly damage: Damage;
  /** The revision up to which there are checkpoints. */
  readonly from: number;
}

async function judge(damaged: DamagedJournal, random: SeededRandom, tally: Tally): Promise<void> {
  const { journal, files, damage, from } = damaged;
  const disk = diskWith(files);
  const changes = countChanges(disk);
  let opened: OpenJournal;
  try {
    opened = await open(disk, { from });
  } catch (error) {
    assertRefusal(error, files);
    assert.equal(changes(), 0, 'a start that is refused changes nothing');
    return tally.note(`refused: ${damage.name}`);
  }
  disk.inject = undefined;
  const { last } = opened.recovered;
  assert.ok(last >= from, `recovered up to ${last}, and checkpoints hold ${from}`);
  if (forged(journal, files, from)) return tally.note(`begins with a forged segment: ${damage.name}`);
  assert.ok(last <= journal.last, `recovered up to ${last} of ${journal.last}`);
  assertPrefix(disk, journal, from, last);
  if (last < journal.last) {
    const lost = journal.frames.find((frame) => frame.last > last);
    assert.ok(lost !== undefined);
    const excuse = damage.flipped === undefined ? looksLikeTheEnd(lost, files) : aloneInItsSector(lost, files);
    assert.ok(excuse !== undefined, `silently lost revisions ${last + 1} to ${journal.last}`);
    tally.note(`lost, ${excuse}: ${damage.name}`);
  } else tally.note(`recovered: ${damage.name}`);
  // The journal goes on from there, and after a power cut everything is still as it was found.
  const more = 1 + random.below(3);
  write(opened, more, 'more');
  await opened.writer.close();
  const again = disk.powerCut(random.below(2 ** 31));
  assert.equal((await recover(again, { from })).last, last + more, 'the records written after it are there');
  assertPrefix(again, journal, from, last);
}

function assertRefusal(error: unknown, files: ReadonlyMap<string, Buffer>): void {
  if (error instanceof UnsupportedFormat) {
    assert.ok(
      [...files.keys()].some((name) => error.message.includes(name)),
      `names no file: ${error.message}`,
    );
    return;
  }
  assert.ok(error instanceof JournalCorruption, `expected JournalCorruption, got ${String(error)}`);
  const size = error.file === directory ? 0 : files.get(error.file)?.length;
  assert.ok(size !== undefined, `names ${error.file}, which is not there`);
  assert.ok(error.offset >= 0 && error.offset <= size, `names byte ${error.offset} of ${error.file}, of ${size}`);
  assert.ok(error.reason.length > 0);
}

function assertPrefix(disk: FaultDisk, journal: Journal, from: number, to: number): void {
  let next = from + 1;
  for (const { buffer, at, rev } of readRecords(disk, directory, revision(from))) {
    if (rev > to) break;
    assert.equal(rev, next, 'what is found is dense');
    const bytes = buffer.subarray(at, at + buffer.readUInt32LE(at));
    assert.ok(journal.records.get(rev)?.equals(bytes), `revision ${rev} has other content than was acknowledged`);
    next += 1;
  }
  assert.equal(next, to + 1, 'everything up to the end is found');
}

/**
 * Returns why nothing on the disk shows that this frame and all later ones ever existed; undefined if something does.
 */
function looksLikeTheEnd(frame: Frame, files: ReadonlyMap<string, Buffer>): string | undefined {
  const bytes = files.get(frame.file);
  if (bytes === undefined) return 'files missing';
  for (let at = frame.start; at < frame.end; ) {
    const end = Math.min(frame.end, at + sectorBytes - (at % sectorBytes));
    if (bytes.subarray(at, end).every((byte) => byte === 0)) return 'a sector unwritten';
    at = end;
  }
  return bytes[frame.end - 1] === 0 ? 'end unwritten' : undefined;
}

/**
 * Whether the replay begins with a valid segment that the log never had: recovery does not read the segments before it.
 * No damage makes one; a person must copy segments between two copies of one data directory.
 */
function forged(journal: Journal, files: ReadonlyMap<string, Buffer>, from: number): boolean {
  const first = listSegments(diskWith(files), directory).findLast(({ name }) => {
    const header = headerOrFault(() => decodeSegmentHeader(files.get(name)!, name));
    return typeof header === 'object' && 'after' in header && header.after <= from;
  });
  return first !== undefined && !journal.files.has(first.name);
}

/**
 * A frame whose last byte is the first of a sector and has a single bit (the end of a deleted key, `@` or a space).
 * Without that bit the frame looks like an unfinished write. One frame in a hundred thousand is like this.
 */
function aloneInItsSector({ file, end }: Frame, files: ReadonlyMap<string, Buffer>): string | undefined {
  const last = end - 1;
  return last % sectorBytes === 0 && files.get(file)?.[last] === 0 ? 'a sector of one byte unwritten' : undefined;
}

function diskWith(files: ReadonlyMap<string, Buffer>): FaultDisk {
  return diskOf(Array.from(files, ([name, bytes]) => ({ file: `${directory}/${name}`, bytes })));
}

/** Makes some frames of some records, in one or several segments; everything in it is acknowledged. */
async function aJournal(random: SeededRandom): Promise<Journal> {
  const disk = new FaultDisk(1);
  const journal = await open(disk, { keepBytes: chance(random, 0.8) ? Infinity : segmentBytes });
  const writer = new RecordWriter();
  const records = new Map<number, Buffer>();
  const groups = 1 + random.below(chance(random, 0.5) ? 6 : 40);
  const moment = random.below(groups);
  let earlier = filesOf(disk);
  for (let group = 0; group < groups; group += 1) {
    if (group === moment) earlier = filesOf(disk);
    for (let count = 1 + random.below(3); count > 0; count -= 1) {
      const rev = journal.revisions.next();
      writer.append(aRecord(random, rev));
      const taken = writer.take();
      records.set(rev, Buffer.from(taken.bytes));
      journal.writer.enqueue(taken);
    }
    while (journal.writer.flush());
    await settle();
  }
  await journal.writer.close();
  const files = filesOf(disk);
  return { files, earlier, records, frames: framesOf(files), last: journal.revisions.durable() };
}

function aRecord(random: SeededRandom, rev: number): CommitRecord {
  // `@` and the space have a single bit: where a frame ends with one, a flip leaves a zero.
  const key = pick(random, ['k', 'a@', 'b ', 'key/'.repeat(1 + random.below(20))]);
  const gone = chance(random, 0.25);
  const value = JSON.stringify('v'.repeat(random.below(random.below(6) === 0 ? 3000 : 500)));
  const effect = { kind: kinds.kv, key, till: 0, ...(!gone && { value }) };
  return { rev: revision(rev), account: accountId('acme'), effects: [effect] };
}

function filesOf(disk: FaultDisk): Map<string, Buffer> {
  return new Map(Array.from(disk.snapshot(), ([file, bytes]) => [file.slice(directory.length + 1), bytes]));
}

function framesOf(files: ReadonlyMap<string, Buffer>): Frame[] {
  const disk = diskWith(files);
  return listSegments(disk, directory).flatMap(({ name }) => {
    const bytes = files.get(name)!;
    const frames: Frame[] = [];
    for (let start = segmentHeaderBytes; start + frameHeaderBytes <= bytes.length; ) {
      const length = bytes.readUInt32LE(start + 8);
      if (bytes.readUInt32LE(start) === 0) break;
      const [first, last] = [bytes.readUIntLE(start + 24, 6), bytes.readUIntLE(start + 30, 6)];
      frames.push({ file: name, start, end: start + length, first, last });
      start += length;
    }
    return frames;
  });
}

/** Changes `files`. */
function tamper(random: SeededRandom, files: Files, journal: Journal): Damage {
  const segments = [...files.keys()].filter((name) => name.startsWith('journal-')).toSorted();
  const name = chance(random, 0.5) ? segments.at(-1)! : pick(random, segments);
  const frame = pick(random, journal.frames);
  const target = chance(random, 0.7) ? frame : journal.frames.at(-1)!;
  /** Of the frame that is damaged, and of any file; changed in place. */
  const inFrame = (): Buffer => files.toChange(target.file);
  const inFile = (): Buffer => files.toChange(name);
  const bytes = files.get(name)!;
  switch (random.below(16)) {
    case 0:
      return { name: 'a bit of a frame', flipped: flip(random, inFrame(), within(random, target)) };
    case 1: {
      // At the ends of frames a flip can look like an unfinished write.
      const end = chance(random, 0.5) ? target.end - 1 : target.start + random.below(frameHeaderBytes);
      return { name: "a bit of a frame's ends", flipped: flip(random, inFrame(), end) };
    }
    case 2:
      return { name: 'a bit anywhere', flipped: flip(random, inFile(), random.below(bytes.length)) };
    case 3: {
      const changed = inFrame();
      for (let times = 2 + random.below(6); times > 0; times -= 1) changed[within(random, target)] = random.below(256);
      return { name: 'bytes of a frame' };
    }
    case 4: {
      const here = sector(within(random, target));
      const there = sector(within(random, frame));
      const changed = inFrame();
      const other = frame.file === target.file ? changed : files.toChange(frame.file);
      const kept = Buffer.from(changed.subarray(here, here + sectorBytes));
      other.copy(changed, here, there, there + sectorBytes);
      kept.copy(other, there);
      return { name: 'two sectors swapped' };
    }
    case 5: {
      const at = random.below(bytes.length / sectorBytes) * sectorBytes;
      const old = journal.earlier.get(name);
      if (old === undefined) return { name: 'nothing' };
      const length = sectorBytes * (1 + random.below(8));
      old.copy(inFile(), at, at, Math.min(at + length, bytes.length));
      return { name: 'sectors as they were before' };
    }
    case 6: {
      const from = random.below(bytes.length);
      inFile().fill(0, from, Math.min(bytes.length, from + 1 + random.below(2000)));
      return { name: 'a zeroed range' };
    }
    case 7:
      files.set(name, Buffer.from(bytes.subarray(0, random.below(bytes.length))));
      return { name: 'a file cut short' };
    case 8:
      files.set(name, Buffer.concat([bytes, randomBytes(random, random.below(2000))]));
      return { name: 'a longer file' };
    case 9:
      files.delete(name);
      return { name: 'a missing segment' };
    case 10: {
      files.delete(name);
      const first = chance(random, 0.5) ? random.below(200) : Number(name.slice(8, 24)) + random.below(3) - 1;
      files.set(segmentFile(first), bytes);
      return { name: 'a renamed segment' };
    }
    case 11:
      files.set(segmentFile(journal.last + 1 + random.below(10)), Buffer.from(bytes));
      return { name: 'a segment copied after the end' };
    case 12: {
      const first = chance(random, 0.5) ? journal.last + 1 : random.below(200);
      const logId = chance(random, 0.5) ? 7n : 0x0707070707070707n;
      const after = Math.max(0, first - 1 - random.below(2));
      const header = {
        logId,
        first: revision(first),
        after: revision(after),
        chain: random.below(2 ** 31),
        at: random.below(2 ** 31),
        bytes: 2512,
      };
      files.set(segmentFile(first), Buffer.concat([encodeSegmentHeader(header), Buffer.alloc(2000)]));
      return { name: 'an empty segment of the same or another log' };
    }
    case 13:
      files.set(
        pick(random, ['spare.log', 'x.tmp', 'journal-1.log', 'notes.txt', segmentFile(1), name]),
        randomBytes(random, random.below(3000)),
      );
      return { name: 'a file of noise' };
    case 14: {
      const other = pick(random, segments);
      files.set(name, files.get(other)!);
      files.set(other, bytes);
      return { name: 'two files swapped' };
    }
    default:
      files.set(name, mutated(random, bytes));
      return { name: 'bytes inserted, removed or repeated' };
  }
}

function within(random: SeededRandom, { start, end }: Frame): number {
  return start + random.below(end - start);
}

function sector(at: number): number {
  return at - (at % sectorBytes);
}

function flip(random: SeededRandom, bytes: Buffer, at: number): string {
  const before = bytes[at]!;
  bytes[at] = before ^ (1 << random.below(8));
  return `(byte ${at}: ${before} to ${bytes[at]})`;
}

function segmentFile(first: number): string {
  return `journal-${String(first).padStart(16, '0')}.log`;
}
