/** Lines of an export about tasks, and what they share (protocol/operations/account-tasks.ts). */
import type { HttpTarget, TaskState, TaskTarget } from '../../../protocol/operations/task-definition.ts';
import { flowEntryKey, secretKey, type Flow, type WebhookSecret } from '../../../protocol/operations/task-setting.ts';
import { quoted } from '../../../shared/text.ts';
import { contentOf, shownDefinition } from './task-looks.ts';
import { readStoredTask, readTaskState } from './task.ts';

/** An entry, or what a commit has made of it. */
export interface ExportedEntry {
  readonly key: string;
  /** Absent: it is deleted. */
  readonly value?: string;
  readonly till: number;
}

/** @param state of a task that has not ended */
export function taskLine(
  { key, value, till }: ExportedEntry,
  rev: number,
  state: Pick<ExportedEntry, 'value' | 'till'> | undefined,
): string | undefined {
  const head = `{"Kind":"task","Key":${quoted(key)}`;
  if (value === undefined) return `${head},"Deleted":true}`;
  const { definition, ended } = readStoredTask(value);
  // The definition of an account that is being deleted may outlive its state.
  if (ended === undefined && state?.value === undefined) return undefined;
  const { target } = definition;
  const { HeaderNames: _, ...shown } = { HeaderNames: [], ...shownDefinition(definition) };
  const body = JSON.stringify({ ...shown, ...headersOf(target) }).slice(0, -1) + contentOf(definition);
  const sends = target.kind === 'script' && target.sends === true ? ',"Sends":true' : '';
  const task = `${head},"Version":${rev},"Task":${body}}${sends}`;
  if (ended !== undefined) return `${task},"How":"${ended.how}","TillMs":${till},"State":${stateText(ended.state)}}`;
  return `${task},${movedMembers({ value: state!.value!, till: state!.till })}}`;
}

/** A task has moved on: what it is to do is as it was. */
export function runLine({ key, value, till }: ExportedEntry): string | undefined {
  return value === undefined ? undefined : `{"Kind":"run","Key":${quoted(key)},${movedMembers({ value, till })}}`;
}

export function settingLine({ key, value }: ExportedEntry): string {
  if (key === secretKey) {
    // Only a deletion of the account takes it away.
    if (value === undefined) return '{"Kind":"secret","Deleted":true}';
    const { secret, old, oldTillMs } = JSON.parse(value) as WebhookSecret;
    return JSON.stringify({ Kind: 'secret', Secret: secret, Old: old, OldTillMs: oldTillMs });
  }
  const Key = key.slice(flowEntryKey('').length);
  if (value === undefined) return JSON.stringify({ Kind: 'flow', Key, Deleted: true });
  const { rate, perMs, parallel, paused } = JSON.parse(value) as Flow;
  const times = rate === undefined ? {} : { Rate: rate, Per: perMs / 1000 };
  return JSON.stringify({ Kind: 'flow', Key, Flow: { ...times, Parallel: parallel, Paused: paused } });
}

function headersOf(target: TaskTarget): { readonly Headers?: HttpTarget['headers'] } {
  return target.kind === 'http' ? { Headers: target.headers } : {};
}

function movedMembers({ value, till }: { readonly value: string; readonly till: number }): string {
  return `${till === 0 ? '' : `"DueMs":${till},`}"State":${stateText(readTaskState(value))}`;
}

function stateText(state: TaskState): string {
  const { next, fromMs, paused, asked, attempts, runs, skipped, failed } = state;
  const { madeUp, lastStartMs, lastEndMs, lastError, lastStatus } = state;
  return JSON.stringify({
    NextMs: next,
    FromMs: fromMs,
    Paused: paused,
    Asked: asked,
    Attempts: attempts,
    Runs: runs,
    Skipped: skipped,
    Failed: failed,
    MadeUp: madeUp,
    LastStartMs: lastStartMs,
    LastEndMs: lastEndMs,
    LastError: lastError,
    LastStatus: lastStatus,
  });
}
