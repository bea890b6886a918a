import type { Revision } from '../../protocol/ids.ts';

/** Everything in front of the damage: what a salvage keeps. */
export interface IntactPart {
  /** How many of the log's segments, counted from the oldest, are whole or at least begin well. */
  readonly segments: number;
  readonly last: Revision;
  readonly chain: number;
  /** The time of its last frame; 0: unknown. */
  readonly at: number;
}

/** A part of the log that was durable is damaged or missing. The server must not start; nothing was changed. */
export class JournalCorruption extends Error {
  override name = 'JournalCorruption';
  readonly file: string;
  readonly offset: number;
  readonly reason: string;
  /** Absent when the log was not read from its beginning. */
  readonly intact: IntactPart | undefined;

  constructor(file: string, offset: number, reason: string, intact?: IntactPart) {
    super(
      `The journal is damaged in ${file} at byte ${offset}: ${reason}. Nothing was changed. Restore a backup, or keep ` +
        'what stands before the damage and set the rest aside with: npm run salvage -- --data-dir DIR',
    );
    this.file = file;
    this.offset = offset;
    this.reason = reason;
    this.intact = intact;
  }
}
