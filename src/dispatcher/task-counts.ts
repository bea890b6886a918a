/** What is counted of runs, for metrics. */
export interface TaskCounts {
  /** A run has ended, or an instant was passed over. */
  ended(how: 'ok' | 'failed' | 'dead' | 'skipped'): void;
  /** A request begins so long after its instant. */
  late(ms: number): void;
  /** How many tasks stand in line or run, and how many requests are under way. */
  inLine(tasks: number, sending: number): void;
}
