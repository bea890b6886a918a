/**
 * What a scenario is: it measures something on a server of its own and reports figures. One file each in scenarios/,
 * listed in bench.ts; a load test with other servers beside ours is one more list of scenarios over the same load/.
 */
import type { DiskProbe } from './disk-probe.ts';
import type { ServerSettings, ServerUnderLoad } from './server-under-load.ts';

export interface Scenario {
  /** For `--only`. */
  readonly name: string;
  readonly about: string;
  run(bench: Bench): Promise<readonly Figure[]>;
}

export interface Figure {
  readonly name: string;
  /** Absent: measured for information. */
  readonly goal?: string;
  /** As it is shown, with its unit. */
  readonly measured: string;
  readonly met?: boolean;
  /** Lines below the table: where the time goes, how the runs differ. */
  readonly notes?: readonly string[];
  /** For `--json`: names with units, plain numbers. */
  readonly values: Readonly<Record<string, number>>;
}

/** What a scenario may use. Everything that it starts is ended by the bench, however the scenario ends. */
export interface Bench {
  readonly options: BenchOptions;
  /** Resolves when it is ready. On an empty data directory, unless one is given. */
  startServer(settings?: ServerSettings, directory?: string): Promise<ServerUnderLoad>;
  /** An empty one on the disk under test; removed at the end, or with `remove`. */
  newDirectory(): string;
  remove(directory: string): void;
  /** The disk's own fdatasync, right now. */
  probeDisk(): DiskProbe;
  progress(line: string): void;
}

export interface BenchOptions {
  /** Of one timed run. */
  readonly seconds: number;
  /** Timed runs of a figure; the median is shown. */
  readonly repeats: number;
  readonly quick: boolean;
}
