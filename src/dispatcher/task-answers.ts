/** What follows of an answer to the request of a run. */
import type { TaskDefinition, TaskState } from '../protocol/operations/task-definition.ts';
import { parseHttpDate } from '../shared/clock.ts';
import { retryAfterMsMax } from '../shared/task-limits.ts';
import type { TaskAnswer } from './http/http-sink.ts';
import { failed, gone, succeeded, type MovedTask } from './task-moves.ts';

export interface AnsweredRun {
  readonly startMs: number;
  readonly now: number;
  readonly salt: string;
}

/**
 * 2xx is success; 410 ends the task, also a schedule; everything else is tried again, later if 429 or 503 say so.
 */
export function answered(
  definition: TaskDefinition,
  state: TaskState,
  answer: TaskAnswer,
  run: AnsweredRun,
): { readonly moved: MovedTask; readonly how: 'ok' | 'failed' | 'dead' } {
  if ('error' in answer) return outcome(failed(definition, withoutStatus(state), { ...run, error: answer.error }));
  const { status, body, retryAfter } = answer;
  const seen = { ...state, lastStatus: status };
  if (status >= 200 && status < 300) return { moved: succeeded(definition, seen, run), how: 'ok' };
  const error = `status ${status}${body === '' ? '' : `: ${body}`}`;
  if (status === 410) return outcome(gone(seen, { ...run, error }));
  const asks = (status === 429 || status === 503) && retryAfter !== undefined;
  const notBefore = asks ? { notBeforeMs: run.now + retryAfterMs(retryAfter, run.now) } : {};
  return outcome(failed(definition, seen, { ...run, error, ...notBefore }));
}

function outcome(moved: MovedTask): { readonly moved: MovedTask; readonly how: 'failed' | 'dead' } {
  return { moved, how: moved.ended === 'dead' ? 'dead' : 'failed' };
}

function withoutStatus(state: TaskState): TaskState {
  const { lastStatus: _, ...rest } = state;
  return rest;
}

/** `Retry-After` is a number of seconds or a date. */
export function retryAfterMs(text: string, now: number): number {
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : parseHttpDate(text) - now;
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(0, ms), retryAfterMsMax);
}
