/** Where requests of tasks go. The dispatcher knows no network: tests and the simulator have sinks of their own. */
export interface TaskRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Absent: it has none. */
  readonly body?: string;
  readonly deadlineMs: number;
}

export type TaskAnswer =
  | {
      readonly status: number;
      /** Its beginning. */
      readonly body: string;
      /** The header. */
      readonly retryAfter?: string;
    }
  /** There was no answer, and why. */
  | { readonly error: string };

export interface HttpSink {
  /** Sends a request. `done` is called once, at the deadline at the latest. */
  send(request: TaskRequest, done: (answer: TaskAnswer) => void): void;
  /** Ends everything that is under way. */
  close(): void;
}
