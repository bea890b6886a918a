/** Behaviours: the compiler demands one for each declaration in `protocol/operations/operations.ts`. */
import type { AccountId } from '../../../protocol/ids.ts';
import type { CommandKind, ListCommand, SectionName } from '../../../protocol/operations/operations.ts';
import { listReply } from '../../../protocol/page.ts';
import type { LockView } from '../state/lease.ts';
import type { RequestRef } from '../state/outbox.ts';
import { readRevision, type ShardState } from '../state/state.ts';
import type { Turn } from '../state/turn.ts';
import type { ResourceKind } from '../state/wait-queue.ts';
import type { CallFormat, CommandBehaviour, FormatBehaviour, ListBehaviour, SectionBehaviour } from './behaviour.ts';
import { loadBehaviour } from './account-load.ts';
import { accountFormats, wipeBehaviour } from './account.ts';
import { listAccounts, listLongest, lookAtLine } from './admin.ts';
import { auditBehaviour, listAudit } from './audit.ts';
import { counterBehaviour, counterFormats, listCounters } from './counter.ts';
import {
  checkBehaviour,
  clearBehaviour,
  getBehaviour,
  rangeBehaviour,
  kvFormats,
  listKeys,
  setBehaviour,
  watchKey,
} from './kv.ts';
import { exportAccount } from './export-lines.ts';
import { limitBehaviour, limitFormats } from './limit.ts';
import {
  guardBehaviour,
  inspectLock,
  listLocks,
  lockBehaviour,
  lockFormats,
  locksBehaviour,
  unlockBehaviour,
  unlocksBehaviour,
  viewDurableLock,
} from './lock.ts';
import { lockMutex, unlockMutex, viewMutex } from './mutex.ts';
import { queueChangeBehaviour, queueChangeFormats } from './queue-changes.ts';
import { listQueues, statQueue } from './queue-looks.ts';
import { peekQueue } from './queue-peek.ts';
import {
  ackBehaviour,
  dequeueBehaviour,
  enqueueBehaviour,
  extendBehaviour,
  nackBehaviour,
  queueFormats,
} from './queue.ts';
import type { NamedLease } from './shared-locks.ts';
import { sequenceBehaviour, sequenceFormats } from './sequence.ts';
import { taskCancelBehaviour, taskChangeBehaviour, taskEndBehaviour, taskFormats, tasksBehaviour } from './task.ts';
import { beginTask, watchDueTasks } from './task-due.ts';
import { getTask, listTasks } from './task-looks.ts';
import { getFlow, taskSettingBehaviour, taskSettingFormats } from './task-setting.ts';
import { answerBehaviour, getScript, listScripts, sameBehaviour, scriptBehaviour, scriptFormats } from './script.ts';
import { watchLock } from './watch-lock.ts';
import { opsBehaviour } from './string-op.ts';
import { countAccount } from './usage.ts';

export const sectionBehaviours: { readonly [Name in SectionName]: SectionBehaviour<Name> } = {
  guard: guardBehaviour,
  unlock: unlockBehaviour,
  unlocks: unlocksBehaviour,
  lock: lockBehaviour,
  locks: locksBehaviour,
  check: checkBehaviour,
  same: sameBehaviour,
  ack: ackBehaviour,
  nack: nackBehaviour,
  extend: extendBehaviour,
  limit: limitBehaviour,
  counter: counterBehaviour,
  sequence: sequenceBehaviour,
  get: getBehaviour,
  range: rangeBehaviour,
  set: setBehaviour,
  ops: opsBehaviour,
  clear: clearBehaviour,
  dequeue: dequeueBehaviour,
  enqueue: enqueueBehaviour,
  queueChange: queueChangeBehaviour,
  taskEnd: taskEndBehaviour,
  taskCancel: taskCancelBehaviour,
  tasks: tasksBehaviour,
  taskChange: taskChangeBehaviour,
  taskSetting: taskSettingBehaviour,
  audit: auditBehaviour,
  wipe: wipeBehaviour,
  load: loadBehaviour,
  script: scriptBehaviour,
  answer: answerBehaviour,
};

export const formatBehaviours: { readonly [Format in CallFormat]: FormatBehaviour } = {
  ...kvFormats,
  ...counterFormats,
  ...sequenceFormats,
  ...lockFormats,
  ...limitFormats,
  ...queueFormats,
  ...queueChangeFormats,
  ...taskFormats,
  ...taskSettingFormats,
  ...scriptFormats,
  ...accountFormats,
};

export const listBehaviours: { readonly [Kind in ListCommand['kind']]: ListBehaviour<Kind> } = {
  'kv.list': listKeys,
  'counter.list': listCounters,
  'lock.list': listLocks,
  'queue.list': listQueues,
  'task.list': listTasks,
  'script.list': listScripts,
  'account.usage': countAccount,
  'account.export': exportAccount,
  'account.list': listAccounts,
  'lock.longest': listLongest,
};

export const commandBehaviours: { readonly [Kind in CommandKind]: CommandBehaviour<Kind> } = {
  'kv.list': replyPage,
  'counter.list': replyPage,
  'lock.list': replyPage,
  'lock.inspect': inspectLock,
  'mutex.lock': lockMutex,
  'mutex.unlock': unlockMutex,
  'queue.list': replyPage,
  'queue.stat': statQueue,
  'queue.peek': peekQueue,
  'task.list': replyPage,
  'task.get': getTask,
  'task.due': watchDueTasks,
  'task.begin': beginTask,
  'flow.get': getFlow,
  'script.list': replyPage,
  'script.get': getScript,
  'watch.key': watchKey,
  'watch.lock': watchLock,
  'account.usage': replyPage,
  'account.export': replyPage,
  'account.list': replyPage,
  'lock.longest': replyPage,
  'lock.line': lookAtLine,
  'audit.list': listAudit,
};

/** Everything that can be waited for and is held, and how its state is read. */
export const resources: {
  readonly [Kind in Exclude<ResourceKind, 'queue'>]: {
    view(state: ShardState, account: AccountId, named: NamedLease, now: number): LockView;
  };
} = {
  lock: { view: viewDurableLock },
  mutex: { view: viewMutex },
};

function replyPage(turn: Turn, ref: RequestRef, command: ListCommand): void {
  turn.out.reply(ref, listReply(command, [listPage(turn, command)], readRevision(turn.state)));
}

export function listPage(turn: Turn, command: ListCommand): ReturnType<ListBehaviour<ListCommand['kind']>> {
  const list = listBehaviours[command.kind] as (turn: Turn, command: ListCommand) => ReturnType<typeof listPage>;
  return list(turn, command);
}
