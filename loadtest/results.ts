/**
 * What a load test comes to, as it stands in the JSON file. Everything that is shown, on the terminal, in HTML, Markdown
 * and the README's picture, is made from this and nothing else.
 */
import type { GeneratorUse, Latency } from './load/load-spec.ts';

export interface Report {
  /** Of this shape. */
  readonly format: 1;
  readonly startedAt: string;
  readonly seconds: number;
  readonly command: string;
  readonly machine: Readonly<Record<string, string>>;
  readonly disk: { readonly directory: string; readonly p50Ms: number; readonly p99Ms: number };
  readonly options: { readonly seconds: number; readonly repeats: number; readonly quick: boolean };
  /** Title → version and what durable means there; or how to install it. */
  readonly servers: readonly ServerNote[];
  readonly rows: readonly RowResult[];
}

export interface ServerNote {
  readonly title: string;
  readonly version?: string;
  readonly note: string;
}

export interface RowResult {
  readonly name: string;
  readonly title: string;
  readonly group: Group;
  readonly unit: string;
  /** What a better value is. */
  readonly better: 'more' | 'less';
  readonly note?: string;
  readonly contestants: readonly ContestantResult[];
  readonly goals: readonly GoalResult[];
  /** Of the machine's CPU, 0 to 1, taken by processes that are not the load test's while the row ran. */
  readonly takenByOthers: number;
  /** What could not be measured, or came back wrong: ours, then there are no contestants, or a peer's, then it is not among them. */
  readonly error?: string;
}

export const groups = {
  seed: 'The original table',
  goals: 'Against goals and peers',
  more: 'What else it does',
  latency: 'Latency at fixed arrival rates',
  size: 'Memory and start-up',
} as const;

export type Group = keyof typeof groups;

export interface ContestantResult {
  readonly title: string;
  /** Of all runs. */
  readonly median: number;
  /** Ours through theirs, run by run: the median, and all. Absent on ours, which stands first. */
  readonly ratio?: number;
  readonly ratios?: readonly number[];
  readonly runs: readonly Sample[];
}

/** One timed run. */
export interface Sample {
  /** In the row's unit; what ratios are taken of. */
  readonly value: number;
  readonly seconds: number;
  /** What was answered, all of it successes. */
  readonly requests: number;
  readonly units: number;
  readonly latency?: Latency;
  readonly generator?: GeneratorUse;
  readonly server?: ServerUse;
  readonly groupCommit?: GroupCommit;
  /** What else was seen, names with units. */
  readonly extra?: Readonly<Record<string, number>>;
}

export interface ServerUse {
  readonly cpuMicros: number;
  /** CPU seconds for each second. */
  readonly cores: number;
  /** Thread name → µs, busiest first. */
  readonly byThread: readonly (readonly [name: string, micros: number])[];
}

export interface GroupCommit {
  /** fdatasyncs, and the records that they carried. */
  readonly syncs: number;
  readonly records: number;
  readonly meanSyncMs: number;
  /** [records of one commit up to, how many commits] */
  readonly sizes: readonly (readonly [upTo: number, count: number])[];
}

export interface GoalResult {
  /** "≥ 3 × etcd"; empty: only a stretch. */
  readonly text: string;
  /** Undefined: could not be told here, see `measured`. */
  readonly met: boolean | undefined;
  readonly measured: string;
  readonly stretch?: { readonly text: string; readonly met: boolean | undefined };
}
