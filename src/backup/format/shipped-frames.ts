/** The frames in an object, checked as recovery checks them: checksum, log, density, chain. */
import { decodeFrame, follows, frameFaults, type Frame } from '../../journal/file/frame.ts';
import { revision } from '../../protocol/ids.ts';
import { ObjectDamaged } from './backup-object.ts';
import type { FramesHeader } from './headers.ts';

interface ShippedFrame {
  readonly frame: Frame;
  /** Where it starts in the payload. */
  readonly start: number;
}

/** @throws ObjectDamaged */
export function* framesIn(key: string, header: FramesHeader, raw: Buffer): Generator<ShippedFrame, void> {
  const context = { logId: BigInt(`0x${header.logId}`), version: header.frames };
  let { chain } = header;
  let last = revision(header.first - 1);
  for (let start = 0; start < raw.length; ) {
    const frame = decodeFrame(raw, start, context);
    const fault = typeof frame === 'string' ? frame : follows(frame, chain, last);
    if (typeof frame === 'string' || fault !== undefined)
      throw new ObjectDamaged(key, `at byte ${start} of its frames: ${frameFaults[fault ?? 'no-frame']}`);
    yield { frame, start };
    ({ crc: chain, last } = frame);
    start += frame.length;
  }
  if (last !== header.last || chain !== header.crc)
    throw new ObjectDamaged(key, `its frames end with revision ${last}; expected ${header.last}`);
}
