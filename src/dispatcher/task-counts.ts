/** What is counted of runs, for metrics. */
export interface TaskCounts {
  /** A try has ended. */
  ended(how: 'ok' | 'failed' | 'dead'): void;
  /** So many instants were passed over. */
  skipped(instants: number): void;
  /** A run begins so long after its instant. */
  late(ms: number): void;
  /** How many tasks stand in line or run, and how many requests are under way. */
  inLine(tasks: number, sending: number): void;
}
