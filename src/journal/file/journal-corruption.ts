import type { Revision } from '../../protocol/ids.ts';

/** Everything before the damage, which a salvage keeps. */
export interface IntactPart {
  /** How many of the log's segments are whole or begin with valid frames, counted from the oldest. */
  readonly segments: number;
  readonly logId: bigint;
  readonly last: Revision;
  readonly chain: number;
  /** The time of its last frame; 0: unknown. */
  readonly at: number;
}

/** A part of the log that was durable is damaged or missing. The server must not start; the reader changed nothing. */
export class JournalCorruption extends Error {
  override name = 'JournalCorruption';
  readonly file: string;
  readonly offset: number;
  readonly reason: string;
  /** Absent if no part of what a replay needs is intact. */
  readonly intact: IntactPart | undefined;

  /** File, byte and reason, in words. */
  get where(): string {
    return `${this.file} at byte ${this.offset}: ${this.reason}`;
  }

  constructor(file: string, offset: number, reason: string, intact?: IntactPart) {
    super(
      `The journal is damaged in ${file} at byte ${offset}: ${reason}. Nothing was changed. Restore a backup, or ` +
        'keep what stands before the damage with: npm run salvage -- --data-dir DIR (with --dry-run it only says what ' +
        'would be lost)',
    );
    this.file = file;
    this.offset = offset;
    this.reason = reason;
    this.intact = intact;
  }
}
