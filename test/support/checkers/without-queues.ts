/**
 * What the contract model says nothing of when it explains an answer after the fact: queues and tasks. A queue is one
 * thing to the model and many entries to the log, and its times would have to be exact; so would those of tasks. So checkers take queues out of an
 * operation, its answer and the log, compare the rest with the model, and give the queues to `queue-ledger.ts`. What is
 * only about locks that several hold is left out in the same way, for `share-ledger.ts`, and an account that is deleted and
 * loaded as a whole, for `account-ledger.ts`.
 */
import { kinds } from '../../../src/protocol/record.ts';
import type { Batch, Command } from '../../../src/protocol/operations/operations.ts';
import type { Body } from '../contract/expected.ts';
import { isOfSharedLocks, isSharedName } from '../generators/shared-lock.ts';
import { isOfWholeAccount, wholeAccount } from '../generators/whole-account.ts';
import type { LogRecord } from './commit-log.ts';
import type { Operation } from './history.ts';

const ofQueues = ['ack', 'nack', 'extend', 'dequeue', 'enqueue', 'queueChange'] as const;
const ofTasks = ['tasks', 'taskCancel', 'taskChange', 'taskSetting'] as const;
const members = ['Ack', 'Nack', 'Extend', 'Dequeue', 'Enqueue', 'TaskCancel', 'Tasks'] as const;

/** Whether it says anything of a queue, or of a task. */
export function isOfQueues(call: Command): boolean {
  if (call.kind !== 'batch') return /^(queue|task|flow)\./.test(call.kind);
  return [...ofQueues, ...ofTasks].some((part) => call[part] !== undefined);
}

/** Whether it says nothing of anything else. Of locks that several hold, and of an account that is deleted, too. */
export function isOnlyOfQueues(call: Command): boolean {
  if (isOfSharedLocks(call) || isOfWholeAccount(call)) return true;
  if (!isOfQueues(call)) return false;
  return call.kind !== 'batch' || Object.keys(rest(call)).length === emptyBatch;
}

const emptyBatch = ['kind', 'account', 'format'].length;

function rest(batch: Batch): Batch {
  const { ack: _a, nack: _n, extend: _e, dequeue: _d, enqueue: _q, queueChange: _c, ...others } = batch;
  const { tasks: _t, taskCancel: _tc, taskChange: _th, taskSetting: _ts, ...left } = others;
  return left;
}

/** The operation as if it had said nothing of queues. */
export function withoutQueues(operation: Operation): Operation {
  const { call, answer } = operation;
  if (call.kind === 'lock.list' && answer?.body['Locks'] !== undefined) {
    const locks = answer.body['Locks'] as readonly { readonly LockID: string }[];
    const Locks = locks.filter(({ LockID }) => !isSharedName(LockID));
    return { ...operation, answer: { ...answer, body: { ...answer.body, Locks } } };
  }
  // What was stored under an id may be the reply to something of queues.
  if (call.kind !== 'batch' || (!isOfQueues(call) && call.idempotency === undefined)) return operation;
  const stripped = { ...operation, call: rest(call) };
  return answer === undefined ? stripped : { ...stripped, answer: { ...answer, body: bodyWithoutQueues(answer.body) } };
}

/** A reply without its members of queues, and without their failures. */
export function bodyWithoutQueues(body: Body): Body {
  const left: Record<string, unknown> = { ...body };
  for (const member of members) delete left[member];
  // Only a grant has it otherwise.
  if (body['Dequeue'] !== undefined && body.Lock === undefined) delete left['Now'];
  const { Failed, Response } = body;
  if (Failed !== undefined) left['Failed'] = Failed.filter(({ Field }) => !isQueueField(String(Field)));
  if (Response !== undefined) left['Response'] = bodyWithoutQueues(Response);
  return left;
}

function isQueueField(field: string): boolean {
  return members.some((member) => field.startsWith(member));
}

/** A record without its effects on queues. */
export function recordWithoutQueues<Logged extends Pick<LogRecord, 'effects' | 'account'>>(record: Logged): Logged {
  if (record.account === wholeAccount) return { ...record, effects: [] };
  const effects = record.effects.filter(({ kind, key }) => {
    if (kind === kinds.task || kind === kinds.taskState || kind === kinds.taskSetting) return false;
    return kind !== kinds.queue && kind !== kinds.share && !(kind === kinds.lock && isSharedName(key));
  });
  return effects.length === record.effects.length ? record : { ...record, effects };
}
