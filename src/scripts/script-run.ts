/** One run of a script: a pure function from what was read to a result and operations. It can be stopped and repeated at will. */
export interface ScriptRun {
  /** Names the compiled code: same id, same source (account, NUL, hash of the source). */
  readonly sourceID: string;
  readonly source: string;
  readonly account: string;
  /** JSON text. */
  readonly args: string;
  /** Milliseconds since the epoch: Date.now() and tx.now. */
  readonly now: number;
  /** 32 bits: Math.random() and tx.uuid(). */
  readonly seed: number;
  /** Milliseconds of the thread's CPU time. */
  readonly cpuMs: number;
  readonly reads: ScriptReads;
}
/** What has been read, at one moment. A key that is missing in the store is null; one that nobody read is absent. */
export interface ScriptReads {
  readonly entries: Readonly<
    Record<string, { readonly value: string /* JSON text */; readonly version: number } | null>
  >;
  readonly counters: Readonly<Record<string, number>>;
  readonly lists: readonly ScriptList[];
}
export interface ScriptList {
  readonly prefix: string;
  readonly after: string;
  readonly limit: number;
  readonly entries: readonly { readonly key: string; readonly value: string; readonly version: number }[];
  readonly more: boolean;
}
export interface ScriptNeeds {
  readonly keys: readonly string[];
  readonly counters: readonly string[];
  readonly lists: readonly { readonly prefix: string; readonly after: string; readonly limit: number }[];
}
export type ScriptOutcome =
  /** `operations` is a batch as clients send it (KVSet, KVDelete, Add, Enqueue, Ack, …, Guard), without checks; `reads` names what the run looked at. */
  | {
      readonly kind: 'done';
      readonly result: string;
      readonly operations: Readonly<Record<string, unknown>>;
      readonly reads: ScriptNeeds;
      readonly log: readonly string[];
      readonly cpuMs: number;
    }
  | { readonly kind: 'needs'; readonly needs: ScriptNeeds; readonly cpuMs: number }
  | {
      readonly kind: 'refused';
      readonly reason: string;
      readonly details: string | undefined;
      readonly reads: ScriptNeeds;
      readonly log: readonly string[];
      readonly cpuMs: number;
    }
  | { readonly kind: 'failed'; readonly error: ScriptFault; readonly log: readonly string[]; readonly cpuMs: number }
  | { readonly kind: 'timeout'; readonly log: readonly string[]; readonly cpuMs: number }
  /** The thread was killed: its handler was not called for too long. */
  | { readonly kind: 'killed'; readonly cpuMs: number };
export interface ScriptFault {
  readonly name: string;
  readonly message: string;
  readonly line?: number;
  readonly column?: number;
}
export interface CheckedScript {
  /** Where the source is wrong. */
  readonly fault: ScriptFault | undefined;
  readonly cpuMs: number;
  /** The thread was killed. */
  readonly killed: boolean;
}
/** The fault of a module without a default export: it is no script at all, while others are broken ones. */
export const noDefaultExport = 'The script has no default export; expected export default (tx, args) => …';
export interface ScriptPool {
  /** Compiles, without running it. */
  check(source: string, account: string): Promise<CheckedScript>;
  /**
   * Has a thread run them one after the other.
   *
   * @param runs of one account
   * @returns an outcome for each; undefined: it was not begun, or lost with a thread that another run had killed
   */
  run(runs: readonly ScriptRun[]): Promise<readonly (ScriptOutcome | undefined)[]>;
  close(): Promise<void>;
}
