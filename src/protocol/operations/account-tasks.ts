/**
 * Lines of an export about tasks, and what tasks of an account share:
 *
 *   task    `Task`: as it was made, but for its time; `State`: how its runs went; `DueMs`: when the next falls due, absent
 *           if it is paused. Of one that has ended `How`, and `TillMs`: so long it is remembered
 *   run     `State`, `DueMs`: the task of an earlier line has moved on
 *   flow    `Flow`
 *   secret  `Secret` of webhooks; `Old`, the one before, which signs until `OldTillMs`
 */
import { Type } from 'typebox';
import { unreachable } from '../../shared/assert.ts';
import { taskErrorBytesMax } from '../../shared/task-limits.ts';
import { refuseField } from '../refusal.ts';
import { countField, momentField } from './account-memories.ts';
import { closed, readKey, yesOrNo } from './fields.ts';
import { definitionSchema, readDefinition } from './task-body.ts';
import type { TaskDefinition, TaskState } from './task-definition.ts';
import {
  flowEntryKey,
  flowSchema,
  readFlow,
  readFlowKey,
  secretKey,
  type Flow,
  type WebhookSecret,
} from './task-setting.ts';

const endings = ['done', 'dead'] as const;
const optionalMoment = Type.Optional(momentField);

const stateSchema = Type.Object(
  {
    NextMs: momentField,
    FromMs: momentField,
    Paused: Type.Optional(yesOrNo),
    Asked: Type.Optional(yesOrNo),
    Attempts: countField,
    Runs: countField,
    Skipped: countField,
    Failed: countField,
    MadeUp: Type.Optional(countField),
    LastStartMs: optionalMoment,
    LastEndMs: optionalMoment,
    LastError: Type.Optional(
      Type.String({ maxLength: taskErrorBytesMax, expected: `a string of at most ${taskErrorBytesMax} characters` }),
    ),
    LastStatus: Type.Optional(
      Type.Integer({ minimum: 100, maximum: 999, expected: 'a status of HTTP: an integer from 100 to 999' }),
    ),
  },
  { ...closed, expected: '{"NextMs","FromMs","Attempts","Runs","Skipped","Failed"}' },
);

const secretField = Type.String({
  pattern: '^whsec_[A-Za-z0-9+/]{16,88}={0,2}$',
  expected: 'a secret of webhooks: "whsec_" and base64',
});

export const taskKinds = ['task', 'run', 'flow', 'secret'] as const;
export const taskLineMembers = {
  Task: Type.Optional(definitionSchema),
  Sends: Type.Optional(yesOrNo),
  State: Type.Optional(stateSchema),
  How: Type.Optional(Type.Enum(endings, { expected: `one of ${endings.join(', ')}` })),
  Flow: Type.Optional(flowSchema),
  Secret: Type.Optional(secretField),
  Old: Type.Optional(secretField),
  OldTillMs: optionalMoment,
};

export interface TaskLine {
  readonly Kind: (typeof taskKinds)[number];
  readonly Key?: string;
  readonly Deleted?: boolean;
  readonly DueMs?: number;
  readonly TillMs?: number;
  readonly Task?: Type.Static<typeof definitionSchema>;
  readonly Sends?: boolean;
  readonly State?: Type.Static<typeof stateSchema>;
  readonly How?: (typeof endings)[number];
  readonly Flow?: Type.Static<typeof flowSchema>;
  readonly Secret?: string;
  readonly Old?: string;
  readonly OldTillMs?: number;
}

/** What an import puts of it. */
export type LoadedTask =
  | { readonly kind: 'task'; readonly task?: LoadedDefinition }
  | { readonly kind: 'run'; readonly state: TaskState; readonly due: number }
  | { readonly kind: 'flow'; readonly flow?: Flow }
  | { readonly kind: 'secret'; readonly secret?: WebhookSecret };

export interface LoadedDefinition {
  readonly definition: TaskDefinition;
  readonly state: TaskState;
  /** 0: not at all. */
  readonly due: number;
  readonly ended?: { readonly how: 'done' | 'dead'; readonly till: number };
}

/** @throws Refusal */
export function readTaskLine(line: TaskLine, path: string): LoadedTask & { readonly key: string } {
  const { Kind, Deleted, DueMs = 0, TillMs = 0 } = line;
  const need = <Value>(name: string, value: Value | undefined): Value =>
    value === undefined ? refuseField(`${path}.${name}`, `missing in a line of kind ${Kind}`) : value;
  if (Kind === 'secret') {
    if (Deleted === true) return { kind: Kind, key: secretKey };
    const { Old, OldTillMs = 0 } = line;
    const old = Old === undefined ? {} : { old: Old, oldTillMs: OldTillMs };
    return { kind: Kind, key: secretKey, secret: { secret: need('Secret', line.Secret), ...old } };
  }
  const key = need('Key', line.Key);
  switch (Kind) {
    case 'flow': {
      const entry = flowEntryKey(readFlowKey(key, `${path}.Key`));
      return { kind: Kind, key: entry, ...(Deleted !== true && { flow: readFlow(need('Flow', line.Flow)) }) };
    }
    case 'run':
      return { kind: Kind, key: readKey(key, `${path}.Key`), state: readState(need('State', line.State)), due: DueMs };
    case 'task': {
      readKey(key, `${path}.Key`);
      if (Deleted === true) return { kind: Kind, key };
      const definition = sending(readDefinition(need('Task', line.Task), `${path}.Task.`), line.Sends);
      const task = { definition, state: readState(need('State', line.State)), due: DueMs };
      return {
        kind: Kind,
        key,
        task: line.How === undefined ? task : { ...task, ended: { how: line.How, till: TillMs } },
      };
    }
    default:
      return unreachable(Kind);
  }
}

function sending(definition: TaskDefinition, sends: boolean | undefined): TaskDefinition {
  const { target } = definition;
  return sends === true && target.kind === 'script' ? { ...definition, target: { ...target, sends } } : definition;
}

function readState(given: Type.Static<typeof stateSchema>): TaskState {
  const { NextMs, FromMs, Paused, Asked, Attempts, Runs, Skipped, Failed, MadeUp } = given;
  const { LastStartMs, LastEndMs, LastError, LastStatus } = given;
  return {
    next: NextMs,
    fromMs: FromMs,
    ...(Paused === true && { paused: true }),
    ...(Asked === true && { asked: true }),
    attempts: Attempts,
    runs: Runs,
    skipped: Skipped,
    failed: Failed,
    ...(MadeUp !== undefined && { madeUp: MadeUp }),
    ...(LastStartMs !== undefined && { lastStartMs: LastStartMs }),
    ...(LastEndMs !== undefined && { lastEndMs: LastEndMs }),
    ...(LastError !== undefined && { lastError: LastError }),
    ...(LastStatus !== undefined && { lastStatus: LastStatus }),
  };
}
