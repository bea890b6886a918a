/**
 * The result of a load test, as the JSON file holds it. The terminal's table, HTML, Markdown and the README's picture
 * are made from this and nothing else.
 */
import type { GeneratorUse, Latency } from './load/load-spec.ts';

export interface Report {
  /** Version of this format. */
  readonly format: 1;
  readonly startedAt: string;
  readonly seconds: number;
  readonly command: string;
  readonly machine: Readonly<Record<string, string>>;
  readonly disk: { readonly directory: string; readonly p50Ms: number; readonly p99Ms: number };
  readonly options: { readonly seconds: number; readonly repeats: number; readonly quick: boolean };
  /** Each peer with its version and what durable means there, or how to install it. */
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
  /** Whether more or less is better. */
  readonly better: 'more' | 'less';
  readonly note?: string;
  readonly contestants: readonly ContestantResult[];
  readonly goals: readonly GoalResult[];
  /** Share of the machine's CPU, 0 to 1, that other processes took while the row ran. */
  readonly takenByOthers: number;
  /** If ours failed there are no contestants; a peer that failed is not among them. */
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
  /** Median of all runs. */
  readonly median: number;
  /** Ours divided by theirs, run by run: the median, and all. Absent on ours, which comes first. */
  readonly ratio?: number;
  readonly ratios?: readonly number[];
  readonly runs: readonly Sample[];
}

/** One timed run. */
export interface Sample {
  /** In the row's unit; ratios compare this. */
  readonly value: number;
  readonly seconds: number;
  /** Requests answered, all with success. */
  readonly requests: number;
  readonly units: number;
  readonly latency?: Latency;
  readonly generator?: GeneratorUse;
  readonly server?: ServerUse;
  readonly groupCommit?: GroupCommit;
  /** Further measurements; their names include the unit. */
  readonly extra?: Readonly<Record<string, number>>;
}

export interface ServerUse {
  readonly cpuMicros: number;
  /** CPU seconds per second. */
  readonly cores: number;
  /** Thread name → µs, busiest first. */
  readonly byThread: readonly (readonly [name: string, micros: number])[];
}

export interface GroupCommit {
  /** Number of fdatasyncs, and of records in them. */
  readonly syncs: number;
  readonly records: number;
  readonly meanSyncMs: number;
  /** [upper bound of records in a commit, number of commits] */
  readonly sizes: readonly (readonly [upTo: number, count: number])[];
}

export interface GoalResult {
  /** "≥ 3 × etcd"; empty if there is only a stretch goal. */
  readonly text: string;
  /** Undefined if it was not measured. */
  readonly met: boolean | undefined;
  readonly measured: string;
  readonly stretch?: { readonly text: string; readonly met: boolean | undefined };
}
