/**
 * What follows of a task: whether the instant that is due is run or passed over, and the state after it. Pure: state and
 * time in, state out.
 *
 *   due ──► run ──ok──────────────► the next instant, or done
 *    │        └──failed──► the same instant after a backoff; behind all tries the next one, or dead
 *    └──► passed over ────────────► the next instant, or done
 *
 * A schedule never ends because one of its instants has failed: what failed for good is counted, and it goes on.
 */
import type { TaskDefinition, TaskState } from '../protocol/operations/task-definition.ts';
import { missedInstants, nextInstant } from '../protocol/task-times.ts';
import { madeUpMax, missedCountMax, misfireGraceMs, taskErrorBytesMax } from '../shared/task-limits.ts';

export interface MovedTask {
  readonly state: TaskState;
  /** When it falls due; 0: it is paused. Absent: it has ended. */
  readonly till?: number;
  readonly ended?: 'done' | 'dead';
}

/** What is due. `instant`: it is to be run; absent: it is passed over, and `moved` says what follows. */
export type DueMove = { readonly instant: number; readonly state: TaskState } | { readonly moved: MovedTask };

/** Decides about a task that is due. */
export function dueMove(definition: TaskDefinition, state: TaskState, now: number): DueMove {
  const { schedule, maxLateMs = Infinity, untilMs = Infinity } = definition;
  const isFirstTry = state.attempts === 0;
  if (schedule === undefined || !isFirstTry || state.next > now) {
    // A retry stays with its instant. One that is ahead of time was asked for.
    const isTooLate = isFirstTry && now - state.next > maxLateMs;
    return isTooLate ? { moved: passOver(definition, state, { instant: state.next, count: 1 }) } : runOf(state);
  }
  const makesUp = definition.misfire === 'all' && (state.madeUp ?? 0) < madeUpMax;
  const most = makesUp ? 1 : missedCountMax;
  const nowMs = Math.min(now, untilMs);
  const missed = missedInstants(schedule, { dueMs: state.next, nowMs, most }, state);
  if (makesUp) {
    if (now - state.next > maxLateMs) return { moved: passOver(definition, state, { instant: state.next, count: 1 }) };
    return runOf({ ...state, madeUp: missed.count === 0 ? 0 : (state.madeUp ?? 0) + 1 });
  }
  const { madeUp: _, ...rest } = state;
  const last = { ...rest, next: missed.last, skipped: state.skipped + missed.count };
  const lateMs = now - missed.last;
  const skips = definition.misfire === 'skip' && lateMs > misfireGraceMs;
  if (skips || lateMs > maxLateMs) return { moved: passOver(definition, last, { instant: missed.last, count: 1 }) };
  return runOf(last);
}

function runOf(state: TaskState): DueMove {
  return { instant: state.next, state };
}

function passOver(
  definition: TaskDefinition,
  state: TaskState,
  { instant, count }: { readonly instant: number; readonly count: number },
): MovedTask {
  return follow(definition, { ...state, skipped: state.skipped + count }, instant);
}

export interface EndedRun {
  /** When it began. */
  readonly startMs: number;
  readonly now: number;
}

export function succeeded(definition: TaskDefinition, state: TaskState, { startMs, now }: EndedRun): MovedTask {
  const { lastError: _, asked: _asked, ...rest } = state;
  const ran = { ...rest, attempts: 0, runs: state.runs + 1, lastStartMs: startMs, lastEndMs: now };
  return followRun(definition, ran, state, { startMs, now });
}

export interface FailedRun extends EndedRun {
  readonly error: string;
  /** It is not tried again before this time. */
  readonly notBeforeMs?: number;
  /** Spreads retries: any text of the task. */
  readonly salt: string;
}

export function failed(definition: TaskDefinition, state: TaskState, run: FailedRun): MovedTask {
  const { now, salt, notBeforeMs = 0 } = run;
  const { retry } = definition;
  const tried = triedOnce(state, run);
  const { attempts } = tried;
  if (attempts > retry.max) {
    const lost = { ...tried, failed: state.failed + 1 };
    return definition.schedule === undefined
      ? { state: lost, ended: 'dead' }
      : followRun(definition, { ...lost, attempts: 0 }, tried, run);
  }
  if (state.paused === true) return { state: tried, till: 0 };
  const plain = Math.min(retry.maxMs, retry.minMs * retry.factor ** (attempts - 1));
  // Tasks that failed together do not come again together: ± 10 %.
  const spread = 0.9 + 0.2 * fractionOf(`${salt}\0${attempts}`);
  return { state: tried, till: Math.max(now + Math.round(plain * spread), notBeforeMs) };
}

/** Whoever was asked says that the task is wanted no more. */
export function gone(state: TaskState, run: FailedRun): MovedTask {
  return { state: { ...triedOnce(state, run), failed: state.failed + 1 }, ended: 'dead' };
}

function triedOnce(state: TaskState, { startMs, now, error }: FailedRun): TaskState {
  const { asked: _, ...rest } = state;
  const lastError = Buffer.from(error)
    .subarray(0, taskErrorBytesMax)
    .toString()
    .replace(/\uFFFD+$/, '');
  return { ...rest, attempts: state.attempts + 1, lastStartMs: startMs, lastEndMs: now, lastError };
}

/**
 * Instants that passed while the run went on, or while an earlier one was tried again, are passed over; with Overlap "queue"
 * the latest of them has its run. Those that had passed before are up to Misfire.
 */
function followRun(
  definition: TaskDefinition,
  state: TaskState,
  { next: instant, attempts }: TaskState,
  { startMs, now }: EndedRun,
): MovedTask {
  const { schedule, misfire, overlap, untilMs = Infinity } = definition;
  if (schedule === undefined || overlap === 'queue' || misfire === 'all' || instant > now)
    return follow(definition, state, instant);
  // What the first try did not pass over came while the run went on, or between two tries.
  const from = attempts === 0 ? startMs : instant;
  const next = nextInstant(schedule, instant, state);
  if (next === undefined || next > now || (attempts === 0 && next <= from)) return moveTo(definition, state, next);
  const nowMs = Math.min(now, untilMs);
  const missed = missedInstants(schedule, { dueMs: instant, nowMs, most: missedCountMax }, state);
  return moveTo(definition, { ...state, skipped: state.skipped + missed.count }, missed.next);
}

function follow(definition: TaskDefinition, state: TaskState, instant: number): MovedTask {
  const { schedule } = definition;
  return moveTo(definition, state, schedule && nextInstant(schedule, instant, state));
}

function moveTo({ untilMs = Infinity }: TaskDefinition, state: TaskState, next: number | undefined): MovedTask {
  if (next === undefined || next > untilMs) return { state, ended: 'done' };
  return { state: { ...state, next }, till: state.paused === true ? 0 : next };
}

/** FNV-1a, as a fraction of one. */
function fractionOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193) >>> 0;
  return hash / 2 ** 32;
}
