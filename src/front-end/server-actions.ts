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

export type ReloadCall = (by: AskedBy) => ReloadReport;
