/** What a backup agent is given: everything that it cannot make itself, so that a test can. */
import type { Revision } from '../protocol/ids.ts';
import type { FrameSource } from '../protocol/journal.ts';
import type { After } from '../shared/clock.ts';
import type { BackupCells, JournalHold } from './backup-cells.ts';
import type { BackupSettings } from './backup-settings.ts';
import type { Claimant } from './repository/claims.ts';
import type { RowSource } from './ship/copier.ts';
import type { BackupStorage } from './storage/storage.ts';

export type BackupLog = (level: 'info' | 'warn' | 'error', message: string, details?: object) => void;

export interface BackupAgentOptions {
  readonly settings: BackupSettings;
  readonly openStorage: () => Promise<BackupStorage>;
  readonly source: FrameSource;
  readonly rows: RowSource;
  readonly durable: () => Revision;
  readonly journal: {
    /** Bytes of segments that hold something after a revision. */
    bytesAfter(revision: number): number;
    /** It has space for all that clients write. */
    hasSpace(): boolean;
  };
  /** 16 hex digits. */
  readonly logId: string;
  readonly boot: string;
  /** How this directory came from a repository. */
  readonly restored: () => ({ readonly repository: string } & NonNullable<Claimant['restored']>) | undefined;
  /** Notes that this server takes its place from now on. */
  readonly adopted: () => void;
  readonly cells: BackupCells;
  readonly hold: JournalHold;
  /** Wall-clock milliseconds. */
  readonly wall: () => number;
  readonly elapsedMs: () => number;
  readonly after: After;
  readonly random: () => number;
  readonly randomBytes: (count: number) => Uint8Array;
  readonly log: BackupLog;
}
