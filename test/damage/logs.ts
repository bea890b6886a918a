/**
 * Logs to damage: a few segments of frames of all sizes, with records of all kinds, closed cleanly. All attempts share
 * their bytes: each makes a disk of them at almost no cost, because recovery never changes a segment in place unless
 * the disk is full.
 */
import { frameHeaderBytesOf, type JournalVersion } from '../../src/journal/file/frame.ts';
import { segmentHeaderBytes } from '../../src/journal/file/segment.ts';
import { accountId, revision } from '../../src/protocol/ids.ts';
import { kinds, RecordWriter, type Effect } from '../../src/protocol/record.ts';
import { directory, open, settle } from '../journal/file/journal-fixture.ts';
import { rewriteAsVersion1 } from '../journal/file/version-1-log.ts';
import { FaultDisk, type DiskOperation } from '../support/fault-disk.ts';
import { keepFiles } from '../support/keep-files.ts';
import type { SeededRandom } from '../support/seeded-random.ts';

export const segmentBytes = 48 * 1024;

export interface Frame {
  readonly start: number;
  readonly end: number;
  readonly last: number;
}

export interface Segment {
  readonly file: string;
  readonly bytes: Buffer;
  /** The last revision before it. */
  readonly after: number;
  readonly frames: readonly Frame[];
  /** After the last frame. */
  readonly end: number;
}

export interface Log {
  /** Of every segment. */
  readonly version: JournalVersion;
  readonly segments: readonly Segment[];
  readonly last: number;
}

/** With at least so many bytes in frames. */
export async function makeLog(random: SeededRandom, bytes: number, version: JournalVersion): Promise<Log> {
  const disk = new FaultDisk(1);
  const journal = await open(disk, { segmentBytes, keepBytes: Infinity, frameBytesMax: 8 * 1024 });
  const writer = new RecordWriter();
  for (let written = 0; written < bytes; ) {
    // Most frames are of one or two small records; some fill many sectors.
    for (let count = 1 + random.below(random.below(4) === 0 ? 12 : 2); count > 0; count -= 1) {
      writer.append({ rev: journal.revisions.next(), account: accountId('acme'), effects: effects(random) });
    }
    const chunk = writer.take();
    written += chunk.bytes.length;
    journal.writer.enqueue(chunk);
    while (journal.writer.flush());
    await settle();
  }
  await journal.writer.close();
  if (version === 1) rewriteAsVersion1(disk);
  const files = [...disk.snapshot()].filter(([file]) => file.endsWith('.log') && file.includes('/journal-'));
  const segments = files.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([file, content]) => segmentOf(file, content));
  return { version, segments, last: journal.revisions.durable() };
}

/** No record ends with a character of a single bit; see "The fuzzers" in docs/testing.md. */
function effects(random: SeededRandom): Effect[] {
  return Array.from({ length: 1 + random.below(3) }, () => {
    const kind = [kinds.kv, kinds.counter, kinds.sequence, kinds.lock][random.below(4)]!;
    const key = `${'key/'.repeat(random.below(8))}k${random.below(1000)}`;
    if (random.below(5) === 0) return { kind, key, till: 0, ...(random.below(2) === 0 && { expired: true as const }) };
    const value = JSON.stringify('v'.repeat(random.below(random.below(10) === 0 ? 2000 : 150)));
    return { kind, key, till: random.below(2) * random.below(2 ** 31), value };
  });
}

function segmentOf(file: string, bytes: Buffer): Segment {
  const frames: Frame[] = [];
  let start = segmentHeaderBytes;
  while (start + 12 <= bytes.length && bytes.readUInt32LE(start) !== 0) {
    const end = start + bytes.readUInt32LE(start + 8);
    frames.push({ start, end, last: bytes.readUIntLE(start + 30, 6) });
    start = end;
  }
  return { file, bytes, after: bytes.readUIntLE(30, 6), frames, end: start };
}

export type Files = readonly { readonly file: string; readonly bytes: Buffer }[];

/** Keeps the files as they are. @returns an error that says where */
export function damaged(what: string, files: Files, cause: unknown): Error {
  const kept = keepFiles(
    'damage',
    files.map(({ file, bytes }) => [file, bytes]),
  );
  return new Error(`${what}: ${String(cause)}\nkept for a look: ${kept}`, { cause });
}

/** Makes a disk with these files; it shares their bytes. */
export function diskOf(files: Files): FaultDisk {
  const inodes = files.map(({ file, bytes }) => [file, { cache: bytes, medium: bytes, dirty: new Set<number>() }]);
  return new FaultDisk(1, new Map(inodes as [string, never][]));
}

const changing = new Set<DiskOperation>(['rename', 'unlink', 'writeZeros', 'write']);

/** Counts, from now on, the calls that change something. */
export function countChanges(disk: FaultDisk): () => number {
  let changes = 0;
  disk.inject = ({ operation }) => {
    if (changing.has(operation)) changes += 1;
    return undefined;
  };
  return () => changes;
}

export function nameOf({ file }: Segment): string {
  return file.slice(directory.length + 1);
}

/** Records behind `from`, up to `to`, as they stand in the log: one piece for each segment. */
export function framesAfter(log: Log, from: number): Buffer {
  const headerBytes = frameHeaderBytesOf(log.version);
  return Buffer.concat(
    log.segments.flatMap(({ bytes, frames }) =>
      frames.filter(({ last }) => last > from).map(({ start, end }) => bytes.subarray(start + headerBytes, end)),
    ),
  );
}

export const nothing = revision(0);
