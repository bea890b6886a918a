import { segmentBytesDefault } from './segment.ts';
import type { JournalSpace } from '../../protocol/journal.ts';
import type { Clock } from '../../shared/clock.ts';

export type JournalLog = (level: 'info' | 'warn' | 'error', message: string, details?: object) => void;

/** What can be set; all of it can cross to a thread. */
export interface JournalSettings {
  /** How many shards report checkpoints. Segments go only when all of them have passed. */
  readonly shards: number;
  /** Size of new segments. A record larger than a segment cannot be written: see `assertLimits`. */
  readonly segmentBytes?: number;
  /** One frame; only a single record that is larger makes a larger frame. */
  readonly frameBytesMax?: number;
  /** Without a spare and with less than this left in the active segment, `room` is `reserve`. */
  readonly reserveBytes?: number;
  /** Without a spare and with less than this left, `room` is `full`: twice the largest frame of a small commit. */
  readonly fullBytes?: number;
  /** Finished segments that are kept for readers although every shard has checkpointed them. */
  readonly keepBytes?: number;
  /** Between two attempts to prepare a spare on a full disk. */
  readonly retryMs?: number;
}

/** What is injected. */
export interface JournalHooks {
  readonly log: JournalLog;
  /** For the time in each frame. */
  readonly clock: Clock;
  /** Runs something later without keeping the process alive for it. */
  readonly schedule?: (run: () => void, ms: number) => void;
  /** Milliseconds that only grow, with fractions: for the duration of a sync. */
  readonly elapsedMs?: () => number;
  /** `room` has changed. */
  readonly onSpace?: (room: JournalSpace) => void;
  /** Something failed outside of any call. It must take the process down; by default it is thrown uncaught. */
  readonly onFailure?: (error: unknown) => void;
}

export type JournalOptions = JournalSettings & JournalHooks;

export function completeOptions(options: JournalOptions): Required<JournalOptions> {
  const segmentBytes = options.segmentBytes ?? segmentBytesDefault;
  return {
    shards: options.shards,
    segmentBytes,
    frameBytesMax: options.frameBytesMax ?? 8 * 1024 * 1024,
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
