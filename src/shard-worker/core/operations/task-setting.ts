/** What tasks of an account share: the secret that signs their requests, and flows. */
import { unreachable } from '../../../shared/assert.ts';
import { failure } from '../../../protocol/errors.ts';
import {
  flowEntryKey,
  type Flow,
  type FlowGet,
  type TaskSettingResult,
  type WebhookSecret,
} from '../../../protocol/operations/task-setting.ts';
import { kinds } from '../../../protocol/record.ts';
import { failureReply } from '../../../protocol/replies.ts';
import { oldSecretMs } from '../../../shared/task-limits.ts';
import { quoted } from '../../../shared/text.ts';
import type { RequestRef } from '../state/outbox.ts';
import { readRevision } from '../state/state.ts';
import type { Turn } from '../state/turn.ts';
import type { BatchEvaluation } from './batch-evaluation.ts';
import type { FormatBehaviour, SectionBehaviour } from './behaviour.ts';

export const taskSettingBehaviour: SectionBehaviour<'taskSetting'> = {
  evaluate(evaluation, setting) {
    const { writeSet } = evaluation;
    const { key } = setting;
    switch (setting.change) {
      case 'secret.get':
        return { secret: secretOf(evaluation, key) ?? putSecret(evaluation, key, { secret: setting.candidate }) };
      case 'secret.rotate': {
        const before = secretOf(evaluation, key);
        const old = before && { old: before.secret, oldTillMs: evaluation.now + oldSecretMs };
        return { secret: putSecret(evaluation, key, { secret: setting.candidate, ...old }) };
      }
      case 'flow.set':
        writeSet.put({ kind: kinds.taskSetting, key, till: 0, value: JSON.stringify(setting.flow) });
        return { flow: setting.flow };
      case 'flow.delete': {
        const deleted = valueOf(evaluation, key) !== undefined;
        if (deleted) writeSet.put({ kind: kinds.taskSetting, key, till: 0 });
        return { deleted };
      }
      default:
        return unreachable(setting);
    }
  },
};

function valueOf({ state, account }: BatchEvaluation, key: string): string | undefined {
  return state.entries.get(kinds.taskSetting, account, key)?.value;
}

/** The one before does not sign any more once its time is over, and is not shown then. */
function secretOf(evaluation: BatchEvaluation, key: string): WebhookSecret | undefined {
  const value = valueOf(evaluation, key);
  if (value === undefined) return undefined;
  const kept = JSON.parse(value) as WebhookSecret;
  return (kept.oldTillMs ?? 0) > evaluation.now ? kept : { secret: kept.secret };
}

function putSecret({ writeSet }: BatchEvaluation, key: string, secret: WebhookSecret): WebhookSecret {
  writeSet.put({ kind: kinds.taskSetting, key, till: 0, value: JSON.stringify(secret) });
  return secret;
}

export function getFlow({ state, out }: Turn, ref: RequestRef, { account, id }: FlowGet): void {
  const rev = readRevision(state);
  const entry = state.entries.get(kinds.taskSetting, account, flowEntryKey(id));
  if (entry === undefined) {
    const message = `There is no flow ${JSON.stringify(id)}.`;
    return out.reply(ref, failureReply(rev, failure('not_found', message, { Key: id })));
  }
  const body = `{"Key":${quoted(id)},${flowMembers(JSON.parse(entry.value) as Flow)}"Rev":${rev}}`;
  out.reply(ref, { rev, outcome: 'ok', body });
}

function flowMembers({ rate, perMs, parallel, paused }: Flow): string {
  const limits = [
    rate === undefined ? '' : `"Rate":${rate},"Per":${perMs / 1000},`,
    parallel === undefined ? '' : `"Parallel":${parallel},`,
  ];
  return `${limits.join('')}"Paused":${paused},`;
}

const secretFormat: FormatBehaviour = {
  members: ({ results }) => secretMembers(results.taskSetting!),
};

function secretMembers({ secret }: TaskSettingResult): string {
  const { secret: current, old, oldTillMs } = secret!;
  const before = old === undefined ? '' : `"Old":${quoted(old)},"OldTillMs":${oldTillMs},`;
  return `"Secret":${quoted(current)},${before}`;
}

/** The key of an entry of a flow begins with `flow:`. */
function nameOf(key: string): string {
  return quoted(key.slice(flowEntryKey('').length));
}

export const taskSettingFormats = {
  'secret.get': secretFormat,
  'secret.rotate': secretFormat,
  'flow.set': {
    members: ({ asked, results }) =>
      `"Key":${nameOf(asked.taskSetting!.key)},${flowMembers(results.taskSetting!.flow!)}`,
  },
  'flow.delete': {
    members: ({ asked, results }) =>
      `"Key":${nameOf(asked.taskSetting!.key)},"Deleted":${results.taskSetting!.deleted},`,
  },
} satisfies Record<string, FormatBehaviour>;
