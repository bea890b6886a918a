/**
 * The frames of a cell: those of the journal (`journal/file/frame.ts`), of which the engine keeps one a row, and a mirror
 * one after the other. Each cell has a log id of its own, made of the cluster's: no frame passes for one of another cell.
 */
import { createHash } from 'node:crypto';
import { decodeFrame, frameFaults, journalVersion, type Frame } from '../journal/file/frame.ts';
import { frameOf } from '../journal/file/leap.ts';
import type { RecordChunk } from '../protocol/record.ts';
import type { Cell, LogFrame, LogPlace } from './engine.ts';

/** Where a frame goes. */
export interface CellFrameContext {
  readonly logId: bigint;
  readonly epoch: number;
  /** The frame before it. */
  readonly previous: LogPlace;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
}

export function logIdOf(clusterId: string, cell: Cell): bigint {
  return createHash('sha256').update(`${clusterId}/${cell}`).digest().readBigUInt64LE(0);
}

/** One frame of all records of the chunk, whose revisions are dense. The bytes are a copy. */
export function cellFrame(chunk: RecordChunk, { logId, epoch, previous, at }: CellFrameContext): LogFrame {
  const { bytes, last, crc } = frameOf(chunk, { logId, chain: previous.chain, at });
  return { first: chunk.first, last, chain: crc, previous: previous.chain, epoch, bytes };
}

/** Reads what the engine has given out. @returns what is wrong with it, if it is not the frame that its row names */
export function readCellFrame(frame: LogFrame, logId: bigint): Frame | string {
  const { first, last, chain, previous, bytes } = frame;
  const read = decodeFrame(bytes, 0, { logId, version: journalVersion });
  if (typeof read === 'string') return `the frame at ${first} is damaged: ${frameFaults[read]}`;
  const isNamed = read.first === first && read.last === last && read.crc === chain && read.previous === previous;
  if (isNamed && read.length === bytes.length) return read;
  return `the frame at ${first} is damaged: its row names revisions ${first} to ${last}, it has ${read.first} to ${read.last}`;
}
