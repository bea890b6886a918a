/** What a task is, and what is said of it: the types that front ends, shards and the dispatcher share. */
import type { TaskSchedule } from '../task-times.ts';

/** Puts a message into a queue, in the commit that moves the task on: exactly once. */
export interface QueueTarget {
  readonly kind: 'queue';
  readonly queue: string;
  /** JSON text. */
  readonly data: string;
  readonly group?: string;
}

/** Sends a request: at least once, since nobody knows what became of one without an answer. */
export interface HttpTarget {
  readonly kind: 'http';
  readonly url: string;
  readonly method: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** JSON text; absent: the request has no body. */
  readonly body?: string;
  /** What it takes longer is given up. */
  readonly deadlineMs: number;
}

/** Calls a script. What it does is committed with the end of the run: exactly once. */
export interface ScriptTarget {
  readonly kind: 'script';
  /** Of a stored script; its current version runs. */
  readonly script: string;
  /** JSON text. */
  readonly args: string;
  /** Whoever made the task may have requests sent, and so its script may make tasks that send some. */
  readonly sends?: true;
}

export type TaskTarget = QueueTarget | HttpTarget | ScriptTarget;

export interface TaskRetry {
  /** Tries after the first one. */
  readonly max: number;
  readonly minMs: number;
  readonly maxMs: number;
  readonly factor: number;
}

/** What a task is to do. It does not change but by being replaced. */
export interface TaskDefinition {
  readonly target: TaskTarget;
  /** Absent: it runs once. */
  readonly schedule?: TaskSchedule;
  readonly retry: TaskRetry;
  readonly misfire: Misfire;
  /** Instants that pass while a run goes on: all are passed over, or the latest has its run behind it. */
  readonly overlap?: 'queue';
  readonly maxLateMs?: number;
  readonly untilMs?: number;
  /** What limits it together with others. */
  readonly flow?: string;
  /** A queue that gets what came of each run. */
  readonly resultQueue?: string;
}

export const overlaps = ['skip', 'queue'] as const;
export const misfires = ['latest', 'skip', 'all'] as const;
export type Misfire = (typeof misfires)[number];

/** In all operations `key` is the ID of the task. */
export interface TaskOperation {
  readonly key: string;
  readonly definition: TaskDefinition;
  /** The first run: this long from now, or at a time; of Cron, the first instant. Absent with Every. */
  readonly delayMs?: number;
  readonly atMs?: number;
  readonly replace: boolean;
  readonly version?: number;
}

export interface TaskResult {
  /** 0: the revision of this commit. */
  readonly version: number;
  readonly next: number;
}

export interface TaskCancelOperation {
  readonly key: string;
  readonly version?: number;
}

export interface TaskCancelResult {
  /** Of the task that was cancelled; 0: there was none. */
  readonly version: number;
}

/** What of a task changes. It is there as long as the task has not ended. */
export interface TaskState {
  /** The instant of the next run, or of the one that is tried again. */
  readonly next: number;
  /** Of Every: where it counts from. */
  readonly fromMs: number;
  readonly paused?: true;
  /** Somebody has asked for the run that is due: it passes the limits of its flow. */
  readonly asked?: true;
  /** Tries of this instant that have failed. */
  readonly attempts: number;
  /** Instants that succeeded, that were passed over, and that failed for good. */
  readonly runs: number;
  readonly skipped: number;
  readonly failed: number;
  /** Of Misfire "all": runs so far that make up for missed instants of one gap. */
  readonly madeUp?: number;
  readonly lastStartMs?: number;
  readonly lastEndMs?: number;
  readonly lastError?: string;
  /** Of an HTTP target; absent: there was no answer. */
  readonly lastStatus?: number;
}

/** What the dispatcher commits: a run has ended, or was put off. No member of a batch that clients send. */
export interface TaskEndOperation {
  readonly key: string;
  /** Of the state that the run began with. */
  readonly version: number;
  readonly state: TaskState;
  /** When it falls due; 0: it is paused. Absent: the task has ended. */
  readonly till?: number;
  readonly ended?: 'done' | 'dead';
  /**
   * The state that a run began with which has taken time: whoever has paused the task meanwhile, or asked for a run, does
   * not undo it.
   */
  readonly began?: string;
}

export type TaskChange = { readonly key: string; readonly change: 'pause' | 'resume' | 'run' };

export interface TaskChangeResult {
  readonly state: TaskStateName;
  readonly next: number;
}

export const taskStates = ['scheduled', 'running', 'paused', 'dead', 'done'] as const;
export type TaskStateName = (typeof taskStates)[number];

export const defaultRetry: TaskRetry = { max: 8, minMs: 5000, maxMs: 3_600_000, factor: 2 };
