/** Reads the journal of a simulated disk whole, or damages it. */
import { readRecords } from '../../src/journal/file/journal-reader.ts';
import { revision } from '../../src/protocol/ids.ts';
import { decodeRecord, type CommitRecord } from '../../src/protocol/record.ts';
import type { FaultDisk } from '../support/fault-disk.ts';
import type { SeededRandom } from '../support/seeded-random.ts';

export const journalDirectory = '/data/journal';

/** Returns every record that can still be read. The checker reads, so no fault is armed and no call counts. */
export function readLog(disk: FaultDisk): CommitRecord[] {
  const { crashAt, calls } = disk;
  disk.crashAt = Infinity;
  disk.inject = undefined;
  const oldest = Math.min(...segmentsOf(disk).map((name) => Number(name.slice(8, 24))));
  const records = readRecords(disk, journalDirectory, revision(oldest - 1));
  const log = Array.from(records, ({ buffer, at }) => decodeRecord(buffer, at));
  disk.crashAt = crashAt;
  disk.calls = calls;
  return log;
}

/**
 * Flips a bit of a frame that a replay needs and that a durable one follows.
 * @returns where; undefined: there is no such frame
 */
export function damage(disk: FaultDisk, watermark: number, synced: number, random: SeededRandom): string | undefined {
  const frames = [...framesOf(disk, watermark, synced)];
  const frame = frames[random.below(frames.length || 1)];
  if (frame === undefined) return undefined;
  const bit = random.below(frame.bytes * 8);
  disk.damage(frame.file, (bytes) => (bytes[frame.at + (bit >> 3)]! ^= 1 << (bit & 7)));
  return `damage in ${frame.file} at ${frame.at + (bit >> 3)}`;
}

function segmentsOf(disk: FaultDisk): string[] {
  return disk.list(journalDirectory).filter((name) => /^journal-\d+\.log$/.test(name));
}

/** Finds the frames by their lengths; a header that lacks a sector is the end. */
function* framesOf(
  disk: FaultDisk,
  watermark: number,
  synced: number,
): Generator<{ file: string; at: number; bytes: number }> {
  for (const name of segmentsOf(disk)) {
    const file = `${journalDirectory}/${name}`;
    const bytes = disk.contents(file);
    for (let at = 512; at + 48 < bytes.length; ) {
      const length = bytes.readUInt32LE(at + 8);
      const last = bytes.readUIntLE(at + 30, 6);
      if (bytes.readUInt32LE(at) === 0 || length === 0 || last >= synced) break;
      if (last > watermark) yield { file, at, bytes: length };
      at += length;
    }
  }
}
