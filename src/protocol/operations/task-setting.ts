/**
 * What tasks of an account share: the secret that signs their requests, and flows, which limit those that name them. Each
 * is an entry of its own (kind w): `secret`, and `flow:` with the key of a flow.
 */
import { Type } from 'typebox';
import { flowKeyBytesMax, flowParallelMax, flowPerMsMax, flowRateMax } from '../../shared/task-limits.ts';
import type { AccountId } from '../ids.ts';
import { refuseField } from '../refusal.ts';
import { call } from './call.ts';
import type { CommandSpec } from './command.ts';
import { closed, readKey, secondsField, secondsToMs, yesOrNo } from './fields.ts';
import { singleSection } from './section.ts';

/** Of what has the same `FlowKey`. Rate and Parallel hold together. */
export interface Flow {
  /** So many runs begin within `perMs`, evenly; absent: any number. */
  readonly rate?: number;
  readonly perMs: number;
  /** So many run at once; absent: any number. */
  readonly parallel?: number;
  readonly paused: boolean;
}

export interface WebhookSecret {
  readonly secret: string;
  /** The one before, and until when both sign. */
  readonly old?: string;
  readonly oldTillMs?: number;
}

/** `candidate` becomes the secret, of `secret.get` only if there is none. */
export type TaskSetting = { readonly key: string } & (
  | { readonly change: 'secret.get' | 'secret.rotate'; readonly candidate: string }
  | { readonly change: 'flow.set'; readonly flow: Flow }
  | { readonly change: 'flow.delete' }
);

export interface TaskSettingResult {
  readonly secret?: WebhookSecret;
  readonly flow?: Flow;
  /** There was such a flow. */
  readonly deleted?: boolean;
}

export interface FlowGet {
  readonly kind: 'flow.get';
  readonly account: AccountId;
  readonly id: string;
}

export const secretKey = 'secret';

export function flowEntryKey(flow: string): string {
  return `flow:${flow}`;
}

export const taskSettingSection = singleSection<TaskSetting, TaskSettingResult>({
  // Names what fails of a change.
  body: 'setting',
  schema: {},
  key: ({ key }) => key,
  effect: ({ change }) => (change === 'flow.set' || change === 'secret.rotate' ? 'write' : 'free'),
  scope: () => 'admin',
  read: () => undefined,
});

export const flowGet = {
  scope: () => 'admin',
  keys: ({ id }) => [flowEntryKey(id)],
} as const satisfies CommandSpec<FlowGet>;

export const flowSchema = Type.Object(
  {
    Rate: Type.Optional(
      Type.Number({ minimum: 0.001, maximum: flowRateMax, expected: `a number from 0.001 to ${flowRateMax}` }),
    ),
    Per: Type.Optional(secondsField('zero', flowPerMsMax)),
    Parallel: Type.Optional(
      Type.Integer({ minimum: 1, maximum: flowParallelMax, expected: `an integer from 1 to ${flowParallelMax}` }),
    ),
    Paused: Type.Optional(yesOrNo),
  },
  { ...closed, expected: 'a flow: {"Rate","Per","Parallel","Paused"}' },
);

/** @throws Refusal */
export function readFlow({ Rate, Per, Parallel, Paused = false }: Type.Static<typeof flowSchema>): Flow {
  if (Per !== undefined && Rate === undefined) refuseField('Per', 'only with Rate; expected it absent');
  return {
    ...(Rate !== undefined && { rate: Rate }),
    perMs: secondsToMs(Per ?? 1),
    ...(Parallel !== undefined && { parallel: Parallel }),
    paused: Paused,
  };
}

/** @param path its place, for messages @throws Refusal */
export function readFlowKey(text: string, path: string): string {
  readKey(text, path);
  const bytes = Buffer.byteLength(text);
  if (bytes > flowKeyBytesMax)
    refuseField(path, `expected a string of 1 to ${flowKeyBytesMax} bytes, got ${bytes} bytes`);
  return text;
}

export const taskSettingCalls = {
  'flow.get': call({
    method: 'GET',
    path: 'flow/*',
    summary: 'See the limits of a flow of tasks',
    query: {},
    command: ({ account, id }) => ({ kind: 'flow.get', account, id: readFlowKey(id, 'flow') }) as const,
  }),
  'flow.set': call({
    method: 'PUT',
    path: 'flow/*',
    summary: 'Limit the tasks that have this FlowKey',
    query: {},
    body: 'flow',
    command: ({ account, id, value }) => {
      const key = flowEntryKey(readFlowKey(id, 'flow'));
      const taskSetting = { key, change: 'flow.set', flow: JSON.parse(value) as Flow } as const;
      return { kind: 'batch', account, format: 'flow.set', taskSetting } as const;
    },
  }),
  'flow.delete': call({
    method: 'DELETE',
    path: 'flow/*',
    summary: 'Limit the tasks of a flow no longer',
    query: {},
    command: ({ account, id }) => {
      const taskSetting = { key: flowEntryKey(readFlowKey(id, 'flow')), change: 'flow.delete' } as const;
      return { kind: 'batch', account, format: 'flow.delete', taskSetting } as const;
    },
  }),
  'secret.get': call({
    method: 'GET',
    path: 'secret/webhook',
    summary: 'See the secret that signs requests of tasks; it is made when it is first asked for',
    query: {},
    command: ({ account, secret }) => {
      const taskSetting = { key: secretKey, change: 'secret.get', candidate: secret() } as const;
      return { kind: 'batch', account, format: 'secret.get', taskSetting } as const;
    },
  }),
  'secret.rotate': call({
    method: 'POST',
    path: 'secret/webhook',
    summary: 'Make another secret; for a day both sign',
    query: {},
    command: ({ account, secret }) => {
      const taskSetting = { key: secretKey, change: 'secret.rotate', candidate: secret() } as const;
      return { kind: 'batch', account, format: 'secret.rotate', taskSetting } as const;
    },
  }),
} as const;
