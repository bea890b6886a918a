/** What the server says of a task. */
/** `done` and `dead`: it has ended, and is remembered for an hour, or for two weeks. */
export type TaskState = 'scheduled' | 'running' | 'paused' | 'done' | 'dead';

/** A task, and how its runs went. Times are milliseconds since the epoch, by the server's clock. */
export interface TaskInfo {
  /** Its name. */
  readonly id: string;
  /** Changes when it is replaced, and when it ends. */
  readonly version: number;
  /** What will become of it. */
  readonly state: TaskState;
  /** Its next instant; absent: it has ended. */
  readonly next?: number;
  /** Tries of this instant that have failed. */
  readonly attempts: number;
  /** Instants that have succeeded. */
  readonly runs: number;
  /** Instants that were passed over. */
  readonly skipped: number;
  /** Instants that have failed for good. */
  readonly failed: number;
  /** Why the last try failed; absent: it did not. */
  readonly lastError?: string;
  /** When the last run began. */
  readonly lastStart?: number;
  /** When the last run ended. */
  readonly lastEnd?: number;
  /** The status of the last answer. */
  readonly lastStatus?: number;
  /** Where it puts a message. */
  readonly queue?: string;
  /** The group of the message. */
  readonly group?: string;
  /** The script that it calls. */
  readonly script?: string;
  /** Where it sends a request. */
  readonly url?: string;
  /** The method of the request. */
  readonly method?: string;
  /** The names of its headers. */
  readonly headerNames?: readonly string[];
  /** Milliseconds that a run may take. */
  readonly deadline?: number;
  /** The queue that gets what came of each run. */
  readonly resultQueue?: string;
  /** The flow that limits it. */
  readonly flowKey?: string;
  /** The pattern of its instants. */
  readonly cron?: string;
  /** The zone of the pattern. */
  readonly tz?: string;
  /** Milliseconds between two instants. */
  readonly every?: number;
  /** Of a message. Absent in lists. */
  readonly data?: unknown;
  /** Of a call. Absent in lists. */
  readonly args?: unknown;
  /** Of a request. Absent in lists. */
  readonly body?: unknown;
}

/** A task as the HTTP API shows it. */
interface WireTask {
  readonly ID: string;
  readonly Version: number;
  readonly State: TaskState;
  readonly NextMs?: number;
  readonly Attempts: number;
  readonly Runs: number;
  readonly Skipped: number;
  readonly Failed: number;
  readonly LastError?: string;
  readonly LastStartMs?: number;
  readonly LastEndMs?: number;
  readonly LastStatus?: number;
  readonly Queue?: string;
  readonly Group?: string;
  readonly Script?: string;
  readonly URL?: string;
  readonly Method?: string;
  readonly HeaderNames?: readonly string[];
  readonly Deadline?: number;
  readonly ResultQueue?: string;
  readonly FlowKey?: string;
  readonly Body?: unknown;
  readonly Cron?: string;
  readonly TZ?: string;
  readonly Every?: number;
  readonly Data?: unknown;
  readonly Args?: unknown;
}

export function infoOf(body: object): TaskInfo {
  const wire = body as WireTask;
  const { NextMs, LastError, LastStatus, LastStartMs, LastEndMs, Cron, TZ, Every } = wire;
  return {
    id: wire.ID,
    version: wire.Version,
    state: wire.State,
    ...(NextMs !== undefined && { next: NextMs }),
    attempts: wire.Attempts,
    runs: wire.Runs,
    skipped: wire.Skipped,
    failed: wire.Failed,
    ...(LastError !== undefined && { lastError: LastError }),
    ...(LastStartMs !== undefined && { lastStart: LastStartMs }),
    ...(LastEndMs !== undefined && { lastEnd: LastEndMs }),
    ...(LastStatus !== undefined && { lastStatus: LastStatus }),
    ...targetOf(wire),
    ...(wire.FlowKey !== undefined && { flowKey: wire.FlowKey }),
    ...(Cron !== undefined && { cron: Cron }),
    ...(TZ !== undefined && { tz: TZ }),
    ...(Every !== undefined && { every: Every * 1000 }),
    ...('Data' in wire && { data: wire.Data }),
    ...('Args' in wire && { args: wire.Args }),
    ...('Body' in wire && { body: wire.Body }),
  };
}

function targetOf({
  Script,
  Queue,
  Group,
  URL,
  Method,
  HeaderNames,
  Deadline,
  ResultQueue,
}: WireTask): Partial<TaskInfo> {
  if (Script !== undefined) return { script: Script };
  if (URL === undefined)
    return { ...(Queue !== undefined && { queue: Queue }), ...(Group !== undefined && { group: Group }) };
  return {
    url: URL,
    ...(Method !== undefined && { method: Method }),
    ...(HeaderNames !== undefined && { headerNames: HeaderNames }),
    ...(Deadline !== undefined && { deadline: Deadline * 1000 }),
    ...(ResultQueue !== undefined && { resultQueue: ResultQueue }),
  };
}
