/**
 * Logs of format version 1, which no server begins any more: a real one, as a server of that time left it, and any log
 * rewritten in that format.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { decodeFrame, frameHeaderBytesOf, sealFrame } from '../../../src/journal/file/frame.ts';
import { decodeSegmentHeader, listSegments, segmentHeaderBytes } from '../../../src/journal/file/segment.ts';
import { FaultDisk } from '../../support/fault-disk.ts';
import { directory } from './journal-fixture.ts';

const fixtures = path.join(import.meta.dirname, 'fixtures/version-1');

/** Revisions 1 to 17: eight frames in two segments of 2 KiB. The files are hex, without the zeros at the end. */
export function version1Disk(): FaultDisk {
  const files = fs.readdirSync(fixtures).map((file) => {
    const hex = fs.readFileSync(path.join(fixtures, file), 'latin1').replaceAll('\n', '');
    const written = Buffer.from(hex, 'hex');
    const bytes = Buffer.alloc(written.readUIntLE(40, 6));
    written.copy(bytes);
    const inode = { cache: bytes, medium: Buffer.from(bytes), dirty: new Set<number>() };
    return [`${directory}/${path.basename(file, '.hex')}`, inode] as const;
  });
  return new FaultDisk(1, new Map(files));
}

/** Rewrites every segment as version 1: the same records in as many frames, which are shorter. */
export function rewriteAsVersion1(disk: FaultDisk): void {
  let chain = 0;
  for (const { name } of listSegments(disk, directory)) {
    const file = `${directory}/${name}`;
    const old = Buffer.from(disk.contents(file));
    const header = decodeSegmentHeader(old, name);
    assert.ok(typeof header !== 'string', 'expected a segment');
    const bytes = Buffer.alloc(old.length);
    old.copy(bytes, 0, 0, 46);
    bytes.writeUInt32LE(1, 8);
    bytes.writeUInt32LE(chain, 36);
    bytes.writeUInt32LE(crc32(bytes.subarray(16, 48)), 12);
    let end = segmentHeaderBytes;
    for (let start = segmentHeaderBytes; ; ) {
      const frame = decodeFrame(old, start, header);
      if (typeof frame === 'string') break;
      const records = old.subarray(start + frame.headerBytes, start + frame.length);
      const rewritten = Buffer.concat([Buffer.alloc(frameHeaderBytesOf(1)), records]);
      chain = sealFrame(rewritten, { ...frame, version: 1, previous: chain });
      rewritten.copy(bytes, end);
      end += rewritten.length;
      start += frame.length;
    }
    disk.damage(file, (content) => bytes.copy(content));
  }
}
