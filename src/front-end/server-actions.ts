/** What an administrator can have done to the server as a whole, and what comes of it. */
import type { LogLevel } from '../shared/log-levels.ts';

/** What a reload of the configuration has done, or why it has done nothing. */
export type ReloadReport =
  | {
      /** The keys that have another value now. */
      readonly changed: readonly string[];
      /** Keys that differ from what the server was started with, and need a restart. */
      readonly restart: readonly string[];
    }
  | { readonly problems: readonly string[] };

/** Who has asked for something that is done to the server. */
export interface AskedBy {
  /** The name of the token; empty without tokens, and of a signal. */
  readonly who: string;
  /** The client's address; `SIGHUP`. */
  readonly from: string;
}

export interface LogLevelChange {
  readonly level: LogLevel;
  /** After that the configured level holds again. */
  readonly forMs: number;
}

/** What the main thread does. Each is noted in the audit log of the server. */
export interface ServerActions {
  reload(by: AskedBy): ReloadReport;
  /** @returns the configured level, and when it holds again, in ms since 1970 */
  setLogLevel(change: LogLevelChange, by: AskedBy): { readonly configured: LogLevel; readonly untilMs: number };
  /** Begins to drain as SIGTERM does, a moment after it has returned. */
  drain(by: AskedBy): void;
}
