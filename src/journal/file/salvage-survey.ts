/** What the files of a log prove to have been given out, in whatever state they are, those set aside before included. */
import { joinPath, type Disk } from '../../shared/disk.ts';
import { revision } from '../../protocol/ids.ts';
import { bootKey } from '../../protocol/epochs.ts';
import { decodeRecord, kinds, recordHeaderBytes } from '../../protocol/record.ts';
import type { Frame } from './frame.ts';
import type { GivenOut } from './leap.ts';
import { segmentHeaderBytes } from './segment.ts';
import { SegmentWindow } from './segment-window.ts';

const segmentFile = /^journal-(\d{16})\.log(\.damaged.*)?$/;

/** @param known what is known from elsewhere */
export function surveyGivenOut(disk: Disk, directory: string, logId: bigint, known: GivenOut): GivenOut {
  let seen = known;
  for (const name of disk.list(directory)) {
    const digits = segmentFile.exec(name)?.[1];
    if (digits === undefined) continue;
    seen = higher(seen, { ...seen, revision: revision(Math.max(0, Number(digits) - 1)) });
    const file = disk.open(joinPath(directory, name), 'read');
    try {
      for (const frame of framesIn(new SegmentWindow(file, { logId, version: 2 }))) seen = higher(seen, frame);
    } finally {
      file.close();
    }
  }
  return seen;
}

function higher(a: GivenOut, b: GivenOut): GivenOut {
  return {
    revision: revision(Math.max(a.revision, b.revision)),
    epoch: Math.max(a.epoch, b.epoch),
    committedAt: Math.max(a.committedAt, b.committedAt),
  };
}

/** All valid frames of the log in a segment, wherever they stand. */
function* framesIn(window: SegmentWindow): Generator<GivenOut> {
  for (let at = segmentHeaderBytes; ; ) {
    const found = window.findLater(at, 0);
    if (found === undefined) return;
    const { frame, offset } = found;
    at = offset + frame.length;
    const records = recordsAt(window, frame);
    yield {
      revision: frame.last,
      epoch: records === undefined ? 0 : highestEpoch(window.buffer, records, window.at + frame.length),
      // In version 1 records stand where version 2 has the time.
      committedAt: records === window.at + frame.headerBytes ? frame.at : 0,
    };
  }
}

/** Where the records of a frame begin: the header of version 1 is shorter. */
function recordsAt({ buffer, at }: SegmentWindow, frame: Frame): number | undefined {
  return [56, 48].map((header) => at + header).find((place) => buffer.readUIntLE(place + 4, 6) === frame.first);
}

function highestEpoch(buffer: Buffer, start: number, end: number): number {
  let highest = 0;
  for (let at = start; at + recordHeaderBytes <= end; ) {
    const length = buffer.readUInt32LE(at);
    if (length < recordHeaderBytes || at + length > end) break;
    // Only the server's own records have no account.
    if (buffer[at + recordHeaderBytes - 1] === 0) {
      for (const { kind, key, value } of decodeRecord(buffer, at).effects) {
        if (kind === kinds.boot && key === bootKey) highest = Math.max(highest, Number(value ?? 0));
      }
    }
    at += length;
  }
  return highest;
}
