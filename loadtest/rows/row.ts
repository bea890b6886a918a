/**
 * A row of the load test: one measurement, on our server and on the peers that can do the same. Each contestant runs
 * alone in its turns, A B A B A B, and ratios compare neighbouring runs. This folder has a file for each list of rows.
 */
import type { LoadClock, LoadSpec, LoadResult } from '../load/load-spec.ts';
import type { Group, Sample } from '../results.ts';
import type { ServerSettings } from '../servers/dragon-lock.ts';
import type { LoadedServer, OnSpawn } from '../servers/loaded-server.ts';
import type { QueuePackage } from '../servers/queue-packages.ts';
import type { PeerKind } from '../servers/peers.ts';

export interface Row {
  /** Name for `--only`. */
  readonly name: string;
  readonly title: string;
  readonly group: Group;
  readonly unit: string;
  readonly better: 'more' | 'less';
  readonly note?: string;
  readonly goals?: readonly Goal[];
  /** Ours comes first. */
  readonly contestants: readonly Contestant[];
  /** Timed runs of each contestant; by default as the options say. */
  readonly repeats?: number;
  /** Each timed run takes so long at least; not with `--quick`. */
  readonly secondsMin?: number;
  /** Part of `--quick`. */
  readonly quick?: boolean;
  /** Left out with `--target`: the row starts the server in its own way, or reads its process. */
  readonly local?: boolean;
}

export type ServerSpec =
  | { readonly kind: 'dragonlock'; readonly settings: ServerSettings }
  | { readonly kind: PeerKind };

/** A contestant with a server for the whole row, or one that starts servers itself in each run. */
export type Contestant = ServerContestant | StandaloneContestant;

export interface ServerContestant {
  readonly title: string;
  /** Contestants with the same object share the server. */
  readonly server: ServerSpec;
  /** A package that the load test has not itself: it is looked for in `--queue-peers`. */
  readonly needs?: QueuePackage;
  /** Called once, before the first run. */
  prepare?(run: Run, server: LoadedServer): Promise<void>;
  /** Does one timed run. */
  measure(run: Run, server: LoadedServer): Promise<Sample>;
}

export interface StandaloneContestant {
  readonly title: string;
  /** The server that it starts, so that the load test can check that it is installed. */
  readonly starts: ServerSpec;
  measure(run: Run): Promise<Sample>;
}

/** The tools of a contestant in a run. The load test ends everything that the contestant starts, on any exit. */
export interface Run {
  /** Length of this timed run; shorter in a warm-up. */
  readonly seconds: number;
  readonly quick: boolean;
  /** Keeps the keys of one run apart from another's. */
  readonly id: string;
  /** Threads or processes that a generator may have. */
  readonly generators: number;
  /** Loads with wrk if it is installed and can send the workload, otherwise with the built-in generator. */
  load(server: LoadedServer, spec: Omit<LoadSpec, 'target'>, generator?: 'built-in'): Promise<Sample>;
  /** Measures the server while another generator loads it. */
  observe(server: LoadedServer, generate: (clock: LoadClock) => Promise<LoadResult>): Promise<Sample>;
  /** Where packages of peers may be installed. */
  readonly queuePeers: string;
  start(spec: ServerSpec, directory?: string): Promise<LoadedServer>;
  newDirectory(): string;
  remove(directory: string): void;
  onSpawn: OnSpawn;
  progress(line: string): void;
}

/** A bound on the median, or on the ratio to a peer. */
export interface Goal {
  readonly bound: 'at least' | 'at most';
  readonly value: number;
  /** A second, harder bound. */
  readonly stretch?: number;
  /** Title of the contestant for the ratio; absent: the bound is on the value itself. */
  readonly against?: string;
  /** The number of ours to judge, if not the row's value: its name in `extra`, and its unit for the text. */
  readonly of?: { readonly name: string; readonly unit: string };
  /** Only a stretch goal: missing it is no failure. */
  readonly stretchOnly?: boolean;
}
