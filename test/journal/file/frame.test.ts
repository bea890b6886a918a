import assert from 'node:assert/strict';
import { test } from 'node:test';
import { revision } from '../../../src/protocol/ids.ts';
import {
  decodeFrame,
  follows,
  frameHeaderBytesOf,
  sealFrame,
  type Frame,
  type JournalVersion,
} from '../../../src/journal/file/frame.ts';
import { chunkOf } from './journal-fixture.ts';

const logId = 0xfedc_ba98_7654_3210n;

const versions = [1, 2] as const;

function sealed(first: number, count: number, previous: number, version: JournalVersion = 2): Buffer {
  const { bytes } = chunkOf(Array.from({ length: count }, (_, index) => ({ rev: first + index, text: 'ü' })));
  const buffer = Buffer.concat([Buffer.alloc(frameHeaderBytesOf(version)), bytes]);
  sealFrame(buffer, {
    version,
    previous,
    logId,
    first: revision(first),
    last: revision(first + count - 1),
    durable: revision(first - 1),
    count,
    at: 1_700_000_000_000,
  });
  return buffer;
}

function decoded(buffer: Buffer, version: JournalVersion = 2): Frame {
  const frame = decodeFrame(buffer, 0, { logId, version });
  assert.ok(typeof frame !== 'string', 'the frame is valid');
  return frame;
}

test('frame: what was sealed is decoded', () => {
  const big = 2 ** 47;
  for (const version of versions) {
    const frame = decoded(sealed(big, 3, 77, version), version);
    assert.deepEqual([frame.first, frame.last, frame.durable, frame.count], [big, big + 2, big - 1, 3]);
    assert.equal(frame.previous, 77);
    assert.equal(frame.at, version === 1 ? 0 : 1_700_000_000_000);
  }
});

test('frame: a change of any single bit is found', () => {
  for (const version of versions) {
    const buffer = sealed(5, 2, 1, version);
    for (let bit = 0; bit < buffer.length * 8; bit += 1) {
      const copy = Buffer.from(buffer);
      copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.equal(typeof decodeFrame(copy, 0, { logId, version }), 'string', `bit ${bit}`);
    }
  }
});

test('frame: a frame that is cut off anywhere is not valid', () => {
  for (const version of versions) {
    const buffer = sealed(5, 2, 1, version);
    for (let length = 0; length < buffer.length; length += 1) {
      assert.equal(decodeFrame(buffer.subarray(0, length), 0, { logId, version }), 'cut-off');
      const zeroed = Buffer.alloc(buffer.length);
      buffer.copy(zeroed, 0, 0, length);
      // The last byte may be a zero anyway; every other cut is seen.
      if (!zeroed.equals(buffer)) assert.equal(typeof decodeFrame(zeroed, 0, { logId, version }), 'string');
    }
  }
});

test('frame: a frame of another log is refused, and one that follows another frame is out of the chain', () => {
  const buffer = sealed(5, 2, 1);
  assert.equal(decodeFrame(buffer, 0, { logId: logId + 1n, version: 2 }), 'other-log');
  const frame = decoded(buffer);
  assert.equal(follows(frame, 1, revision(4)), undefined);
  assert.equal(follows(frame, 2, revision(4)), 'chain');
  assert.equal(follows(frame, 1, revision(3)), 'revisions');
});
