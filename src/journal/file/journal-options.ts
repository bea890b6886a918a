import { segmentBytesDefault, segmentHeaderBytes } from './segment.ts';
import type { JournalSpace } from '../../protocol/journal.ts';
import type { Clock } from '../../shared/clock.ts';

export type JournalLog = (level: 'info' | 'warn' | 'error', message: string, details?: object) => void;

/** The part of the options that is plain data and can be sent to a thread. */
export interface JournalSettings {
  /** How many shards report checkpoints. Segments go only when all of them have passed. */
  readonly shards: number;
  /** Size of new segments. A record that is larger than a segment cannot be written: see `recordBytesMax`. */
  readonly segmentBytes?: number;
  /** Of one frame, at most what a segment holds. Only a single record that is larger makes a larger frame. */
  readonly frameBytesMax?: number;
  /** Without a spare and with less than this left in the active segment, `space` is `reserve`. */
  readonly reserveBytes?: number;
  /** Without a spare and with less than this left, `space` is `full`: twice the largest frame of a small commit. */
  readonly fullBytes?: number;
  /** One BigInt64: segments with anything after this revision stay for the backup. Absent: none do. */
  readonly hold?: SharedArrayBuffer;
  /** Of finished segments that stay for readers although every shard has checkpointed them. */
  readonly keepBytes?: number;
  /** Between two attempts to prepare a spare on a full disk. */
  readonly retryMs?: number;
}

/** The part of the options that is injected. */
interface JournalHooks {
  readonly log: JournalLog;
  /** The time that each frame holds. */
  readonly clock: Clock;
  /** Calls `run` after `ms` milliseconds, without keeping the process alive for it. */
  readonly schedule?: (run: () => void, ms: number) => void;
  /** A monotonic clock in milliseconds, with fractions, that measures syncs. */
  readonly elapsedMs?: () => number;
  /** `space` has changed. */
  readonly onSpace?: (space: JournalSpace) => void;
  /** Something failed outside of any call. This must take the process down; by default the error is thrown uncaught. */
  readonly onFailure?: (error: unknown) => void;
}

export interface JournalOptions extends JournalSettings, JournalHooks {}

/** All options, with the memory of the hold as a function. */
export type CompleteOptions = Required<Omit<JournalOptions, 'hold'>> & { readonly held: () => number };

export function completeOptions(options: JournalOptions): CompleteOptions {
  const segmentBytes = options.segmentBytes ?? segmentBytesDefault;
  const hold = options.hold === undefined ? undefined : new BigInt64Array(options.hold);
  return {
    shards: options.shards,
    held: hold === undefined ? () => Infinity : () => Number(Atomics.load(hold, 0)),
    segmentBytes,
    frameBytesMax: Math.min(options.frameBytesMax ?? 8 * 1024 * 1024, segmentBytes - segmentHeaderBytes),
    reserveBytes: options.reserveBytes ?? segmentBytes / 4,
    fullBytes: options.fullBytes ?? 256 * 1024,
    keepBytes: options.keepBytes ?? 256 * 1024 * 1024,
    retryMs: options.retryMs ?? 1000,
    log: options.log,
    clock: options.clock,
    schedule: options.schedule ?? ((run, ms) => void setTimeout(run, ms).unref()),
    elapsedMs: options.elapsedMs ?? (() => performance.now()),
    onSpace: options.onSpace ?? (() => undefined),
    onFailure:
      options.onFailure ??
      ((error) =>
        queueMicrotask(() => {
          throw error;
        })),
  };
}
