/**
 * A row of the load test: something is measured, on our server and on those that can do the same. Each side has its turns
 * alone, A B A B A B, and ratios are taken of neighbours. Lists of rows are in this folder, one file each.
 */
import type { LoadClock, LoadOrder, LoadResult } from '../load/load-spec.ts';
import type { Group, Sample } from '../results.ts';
import type { ServerSettings } from '../servers/dragon-lock.ts';
import type { LoadedServer, OnSpawn } from '../servers/loaded-server.ts';
import type { PeerKind } from '../servers/peers.ts';

export interface Row {
  /** For `--only`. */
  readonly name: string;
  readonly title: string;
  readonly group: Group;
  readonly unit: string;
  readonly better: 'more' | 'less';
  readonly note?: string;
  readonly goals?: readonly Goal[];
  /** Ours is the first. */
  readonly contestants: readonly Contestant[];
  /** How many timed runs of each; absent: as the options say. */
  readonly repeats?: number;
  /** Is part of `--quick`. */
  readonly quick?: boolean;
  /** Not with `--target`: it starts the server in its own way, or looks into its process. */
  readonly local?: boolean;
}

export type ServerSpec =
  | { readonly kind: 'dragonlock'; readonly settings: ServerSettings }
  | { readonly kind: PeerKind };

/** One that has a server for the whole row, or one that starts servers itself, in each run. */
export type Contestant = OnServer | OnItsOwn;

export interface OnServer {
  readonly title: string;
  /** Contestants with the same object share the server. */
  readonly server: ServerSpec;
  /** Once, before the first run. */
  prepare?(run: Run, server: LoadedServer): Promise<void>;
  /** One timed run. */
  measure(run: Run, server: LoadedServer): Promise<Sample>;
}

export interface OnItsOwn {
  readonly title: string;
  /** What it is going to start, so that it is known what is needed. */
  readonly starts: ServerSpec;
  measure(run: Run): Promise<Sample>;
}

/** What a contestant may use. Everything that it starts is ended for it, however this ends. */
export interface Run {
  /** Of this timed run; shorter in a warm-up. */
  readonly seconds: number;
  readonly quick: boolean;
  /** Keeps the keys of one run apart from another's. */
  readonly id: string;
  /** How many threads or processes a generator may have. */
  readonly generators: number;
  /** With wrk where it is installed and can send it, else with the own generator. */
  load(server: LoadedServer, order: Omit<LoadOrder, 'target'>, generator?: 'own'): Promise<Sample>;
  /** The same around a generator of another's. */
  observe(server: LoadedServer, generate: (clock: LoadClock) => Promise<LoadResult>): Promise<Sample>;
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
  /** Reaching it too would be better still. */
  readonly stretch?: number;
  /** The title of the contestant that ours is compared with; absent: the value itself. */
  readonly against?: string;
  /** Which number of ours, if it is not the row's own: a name in `extra`, its unit in the text. */
  readonly of?: { readonly name: string; readonly unit: string };
  /** Nothing that has to be reached. */
  readonly stretchOnly?: boolean;
}
