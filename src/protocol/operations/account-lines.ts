/**
 * Lines of an export: each is a thing of an account as it was at some moment of the export. Later lines of the same thing
 * take the place of earlier ones, and a message whose `Generation` is not that of its queue in the end was purged. So
 * all lines together are the account as of one revision (docs/http.md has the table).
 */
import { Type } from 'typebox';
import { messageErrorBytesMax, priorityMax, type Limits } from '../../shared/limits.ts';
import { cronLinesMax } from '../../shared/task-limits.ts';
import { CountingLines, lineName } from '../../shared/export-lines.ts';
import { refuse, refuseField } from '../refusal.ts';
import {
  countField,
  memoryKinds,
  memoryMembers,
  momentField,
  readMemory,
  type LoadedMemory,
  type MemoryLine,
} from './account-memories.ts';
import { readTaskLine, taskKinds, taskLineMembers, type LoadedTask, type TaskLine } from './account-tasks.ts';
import { anyJson, closed, jsonText, listField, readInteger, readKey, readPrefix, yesOrNo } from './fields.ts';
import { readStoredScript, type StoredScript } from './script.ts';
import { completePolicy, queuePolicySchema, type QueuePolicy } from './queue-policy.ts';

export const lineKinds = [
  'kv',
  'counter',
  'sequence',
  'queue',
  'message',
  'script',
  ...memoryKinds,
  ...taskKinds,
] as const;
const text = Type.String({ expected: 'a string' });

const errorText = Type.String({
  maxLength: messageErrorBytesMax,
  expected: `a string of at most ${messageErrorBytesMax} characters`,
});

const deadPart = Type.Object(
  { Attempts: countField, AtMs: momentField, Error: Type.Optional(errorText) },
  { ...closed, expected: '{"Attempts","AtMs"}' },
);

export const exportLine = Type.Object(
  {
    Kind: Type.Enum(lineKinds, { expected: `one of ${lineKinds.join(', ')}` }),
    Key: Type.Optional(text),
    Value: Type.Optional(anyJson),
    Version: Type.Optional(countField),
    TillMs: Type.Optional(momentField),
    Deleted: Type.Optional(yesOrNo),
    Queue: Type.Optional(text),
    Policy: Type.Optional(queuePolicySchema),
    Paused: Type.Optional(yesOrNo),
    Generation: Type.Optional(countField),
    Deletions: Type.Optional(countField),
    ID: Type.Optional(text),
    Data: Type.Optional(anyJson),
    Group: Type.Optional(text),
    Priority: Type.Optional(
      Type.Integer({ minimum: 0, maximum: priorityMax, expected: `an integer from 0 to ${priorityMax}` }),
    ),
    AtMs: Type.Optional(momentField),
    DueMs: Type.Optional(momentField),
    Dead: Type.Optional(deadPart),
    DedupID: Type.Optional(text),
    ...memoryMembers,
    ...taskLineMembers,
  },
  { ...closed, expected: 'a line of an export: {"Kind"} with the members of its kind' },
);
export type ExportLine = Type.Static<typeof exportLine>;

/** A page of an export can be sent as it is; only its lines count. */
export const importBody = Type.Object(
  {
    Lines: listField(exportLine, 'a list of lines of an export', 1),
    More: Type.Optional(anyJson),
    After: Type.Optional(anyJson),
    Changes: Type.Optional(anyJson),
    Rev: Type.Optional(anyJson),
  },
  closed,
);
export type ImportBody = Type.Static<typeof importBody>;

/** One thing that an import puts; `value` absent: that it deletes. */
export type LoadOperation = { readonly key: string } & (
  | { readonly kind: 'kv' | 'counter'; readonly value?: string; readonly till: number }
  | { readonly kind: 'sequence'; readonly value: number }
  | { readonly kind: 'script'; readonly script?: StoredScript }
  | { readonly kind: 'queue'; readonly policy: QueuePolicy; readonly paused: boolean }
  | LoadedMessage
  | LoadedMemory
  | LoadedTask
  /** A message that is deleted, though this import has not put it. */
  | { readonly kind: 'gone' }
);

export interface LoadedMessage {
  readonly kind: 'message';
  readonly data: string;
  readonly group?: string;
  readonly priority: number;
  readonly at: number;
  /** 0: at once. */
  readonly due: number;
  /** 0: never. */
  readonly until: number;
  /** It counts while the message is in the queue. */
  readonly dedup?: string;
  readonly dead?: { readonly attempts: number; readonly at: number; readonly error?: string };
}

/** @throws Refusal */
export function readLines({ Lines }: ImportBody, limits: Limits): LoadOperation[] {
  if (Lines.length > limits.batch_operations_max) {
    const most = `${limits.batch_operations_max} (limits.batch_operations_max)`;
    return refuse('too_large', `Lines: ${Lines.length} lines; expected at most ${most}`);
  }
  if (Lines.filter(({ Task }) => Task?.Cron !== undefined).length > cronLinesMax)
    return refuse('too_large', `Lines: expected at most ${cronLinesMax} tasks with Cron in one body, got more`);
  const counting = new CountingLines();
  Lines.forEach((line, i) => counting.show(line, i));
  // What an earlier line of this body puts, a later one may delete.
  const put = new Set(Lines.filter(({ Deleted }) => Deleted !== true).map(lineName));
  return Lines.flatMap((line, i) => {
    const operation = readLine(line, `Lines[${i}]`, limits);
    if (!counting.counts(line, i) || (operation.kind === 'gone' && put.has(lineName(line)))) return [];
    return [operation];
  });
}

function readLine(line: ExportLine, path: string, limits: Limits): LoadOperation {
  if (isOf(line, memoryKinds)) return readMemory(line as MemoryLine, path, limits);
  return isOf(line, taskKinds) ? readTaskLine(line as TaskLine, path) : readThing(line as ThingLine, path, limits);
}

type OtherKind = MemoryLine['Kind'] | TaskLine['Kind'];
type ThingLine = ExportLine & { readonly Kind: Exclude<ExportLine['Kind'], OtherKind> };

function readThing(line: ThingLine, path: string, limits: Limits): LoadOperation {
  const { Kind } = line;
  const most = { bytes: limits.value_bytes_max, name: 'limits.value_bytes_max' };
  const need = <Value>(name: keyof ExportLine, value: Value | undefined): Value =>
    value === undefined ? refuseField(`${path}.${name}`, `missing in a line of kind ${Kind}`) : value;
  if (Kind === 'queue') {
    const key = readKey(need('Queue', line.Queue), `${path}.Queue`);
    return { kind: Kind, key, policy: completePolicy(need('Policy', line.Policy)), paused: line.Paused === true };
  }
  if (Kind === 'message') {
    const key = readKey(need('Queue', line.Queue), `${path}.Queue`);
    if (line.Deleted === true) return { kind: 'gone', key };
    const { Group, Priority = 0, AtMs = 0, DueMs = 0, TillMs = 0, Dead, DedupID } = line;
    if (Priority > 0 && Group !== undefined) return refuseField(`${path}.Priority`, 'given together with Group');
    return {
      kind: Kind,
      key,
      data: jsonText(need('Data', line.Data), `${path}.Data`, most),
      ...(Group !== undefined && { group: readPrefix(Group, `${path}.Group`) }),
      priority: readInteger(Priority),
      at: AtMs,
      due: DueMs,
      until: TillMs,
      ...(DedupID !== undefined && { dedup: readKey(DedupID, `${path}.DedupID`) }),
      ...(Dead !== undefined && { dead: readDead(Dead) }),
    };
  }
  const key = readKey(need('Key', line.Key), `${path}.Key`);
  if (Kind === 'script') {
    if (line.Deleted === true) return { kind: Kind, key };
    return { kind: Kind, key, script: readStoredScript(need('Value', line.Value), `${path}.Value`) };
  }
  if (Kind === 'kv') {
    if (line.Deleted === true) return { kind: Kind, key, till: 0 };
    return {
      kind: Kind,
      key,
      value: jsonText(need('Value', line.Value), `${path}.Value`, most),
      till: line.TillMs ?? 0,
    };
  }
  if (Kind === 'counter' && line.Deleted === true) return { kind: Kind, key, till: 0 };
  const number = line.Deleted === true ? 0 : need('Value', line.Value);
  if (!isCount(number)) return refuseField(`${path}.Value`, 'expected an integer within ±(2^53−1), got another value');
  if (Kind === 'counter') return { kind: Kind, key, value: String(readInteger(number)), till: line.TillMs ?? 0 };
  return { kind: Kind, key, value: Math.max(0, number) };
}

function isOf({ Kind }: ExportLine, these: readonly string[]): boolean {
  return these.includes(Kind);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function readDead({ Attempts, AtMs, Error: error }: NonNullable<ExportLine['Dead']>) {
  return { attempts: Attempts, at: AtMs, ...(error !== undefined && { error }) };
}
