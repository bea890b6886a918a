/** Frames of tests: each names the one before it. */
import { crc32 } from 'node:zlib';
import type { LogFrame, LogPlace } from '../../src/cluster/engine.ts';
import { revision } from '../../src/protocol/ids.ts';

export function frameBehind(previous: LogPlace, epoch: number, text: string, records = 1): LogFrame {
  const bytes = Buffer.from(text);
  const first = previous.last + 1;
  return {
    first: revision(first),
    last: revision(first + records - 1),
    epoch,
    chain: crc32(bytes, (previous.chain ^ first) >>> 0),
    previous: previous.chain,
    bytes,
  };
}
