/**
 * Everything that a shard can do, in three tables: sections of a batch, other commands, REST calls. The order of
 * `sections` is the order in which a batch is evaluated and its failures are listed.
 *
 * A new kind needs a file beside this one, a line in a table here, and a behaviour in
 * `shard-worker/core/operations/operations.ts`, which does not compile without it.
 */
import type { AccountId } from '../ids.ts';
import { accountCalls, accountExport, loadSection, wipeSection, type AccountExport } from './account.ts';
import { accountList, lockLine, lockLongest, type AccountList, type LockLine, type LockLongest } from './admin.ts';
import { auditList, auditSection, type AuditList } from './audit.ts';
import type { CallSpec, QueryParameters } from './call.ts';
import type { CommandSpec } from './command.ts';
import { counterCalls, counterList, counterSection, type CounterList } from './counter.ts';
import type { IdempotencyRequest } from './idempotency.ts';
import { clearSection, rangeSection, kvList, type KvList } from './kv-pages.ts';
import { checkSection, getSection, kvCalls, setSection } from './kv.ts';
import { limitCalls, limitSection } from './limit.ts';
import {
  guardSection,
  lockCalls,
  lockInspect,
  lockList,
  lockSection,
  unlockSection,
  type LockInspect,
  type LockList,
} from './lock.ts';
import { locksSection, unlocksSection } from './lock-sets.ts';
import { mutexCalls, mutexLock, mutexUnlock, type MutexLock, type MutexUnlock } from './mutex.ts';
import {
  queueCalls,
  queueList,
  queuePeek,
  queueStat,
  type QueueList,
  type QueuePeek,
  type QueueStat,
} from './queue-calls.ts';
import { dequeueSection, enqueueSection } from './queue.ts';
import { ackSection, extendSection, nackSection } from './queue-receipts.ts';
import { queueChangeSection } from './queue-change.ts';
import type { ListSection, SingleSection } from './section.ts';
import { sequenceCalls, sequenceSection } from './sequence.ts';
import { answerSection, sameSection, scriptCalls, scriptGet, scriptList, scriptSection } from './script.ts';
import type { ScriptGet, ScriptsList } from './script.ts';
import { opsSection } from './string-op.ts';
import { taskCancelSection, taskChangeSection, taskEndSection, tasksSection } from './task.ts';
import {
  taskBegin,
  taskCalls,
  taskDue,
  taskGet,
  taskList,
  type TaskBegin,
  type TaskDue,
  type TaskGet,
  type TaskList,
} from './task-calls.ts';
import { flowGet, taskSettingCalls, taskSettingSection, type FlowGet } from './task-setting.ts';
import { accountUsage, usageCalls, type AccountUsage } from './usage.ts';
import { watchKeyCommand, watchLockCommand, type WatchKey, type WatchLock } from './watch.ts';

export const sections = {
  guard: guardSection,
  unlock: unlockSection,
  unlocks: unlocksSection,
  lock: lockSection,
  locks: locksSection,
  check: checkSection,
  same: sameSection,
  ack: ackSection,
  nack: nackSection,
  extend: extendSection,
  limit: limitSection,
  counter: counterSection,
  sequence: sequenceSection,
  get: getSection,
  range: rangeSection,
  set: setSection,
  ops: opsSection,
  clear: clearSection,
  dequeue: dequeueSection,
  enqueue: enqueueSection,
  queueChange: queueChangeSection,
  taskEnd: taskEndSection,
  taskCancel: taskCancelSection,
  tasks: tasksSection,
  taskChange: taskChangeSection,
  taskSetting: taskSettingSection,
  audit: auditSection,
  wipe: wipeSection,
  load: loadSection,
  script: scriptSection,
  answer: answerSection,
} as const;

export type Sections = typeof sections;
export type SectionName = keyof Sections;
export const sectionNames = Object.keys(sections) as readonly SectionName[];

export type OperationOf<Name extends SectionName> =
  Sections[Name] extends ListSection<infer Operation, infer _Result>
    ? Operation
    : Sections[Name] extends SingleSection<infer Operation, infer _Result>
      ? Operation
      : never;
export type ResultOf<Name extends SectionName> = NonNullable<Sections[Name]['result']>;

type MembersOf<Name extends SectionName> = Sections[Name]['list'] extends true
  ? readonly OperationOf<Name>[]
  : OperationOf<Name>;
type BatchSections = { readonly [Name in SectionName]?: MembersOf<Name> };

/** Every write and most reads are one batch. A REST call is a batch of one operation with another reply `format`. */
export interface Batch extends BatchSections {
  readonly kind: 'batch';
  readonly account: AccountId;
  readonly format: ReplyFormat;
  /** Limits the values in the reply. Absent: `replyBytesMax`; less for each batch of an array body. */
  readonly replyBytesMax?: number;
  readonly idempotency?: IdempotencyRequest;
}

/** Sections whose operations have results. */
export type ResultName = { [Name in SectionName]: ResultOf<Name> extends never ? never : Name }[SectionName];

/** Lists are parallel to the batch's; `null` where another shard owns the item. */
export type Results = {
  readonly [Name in ResultName]?: Sections[Name]['list'] extends true
    ? readonly (ResultOf<Name> | null)[]
    : ResultOf<Name>;
};

/** Returns the operations of one section of a batch, as a list. */
export function operationsOf<Name extends SectionName>(batch: BatchSections, name: Name): readonly OperationOf<Name>[] {
  const members = batch[name];
  if (members === undefined) return [];
  return (sections[name].list ? members : [members]) as readonly OperationOf<Name>[];
}

/** One bit for each section that a batch has. Written out, because a look at each member by its name is the fastest. */
export function sectionsIn(batch: { readonly [Name in SectionName]?: unknown }): number {
  const { guard, unlock, lock, check, counter, sequence, get, set, limit, ops, clear, range } = batch;
  const { ack, nack, extend, dequeue, enqueue, queueChange, audit, locks, unlocks, wipe, load } = batch;
  const { tasks, taskCancel, taskChange, taskEnd, taskSetting } = batch;
  const { same, script, answer } = batch;
  let bits = 0;
  if (guard !== undefined) bits |= 1;
  if (unlock !== undefined) bits |= 2;
  if (lock !== undefined) bits |= 4;
  if (check !== undefined) bits |= 8;
  if (counter !== undefined) bits |= 16;
  if (sequence !== undefined) bits |= 32;
  if (get !== undefined) bits |= 64;
  if (set !== undefined) bits |= 128;
  if (limit !== undefined) bits |= 256;
  if (ops !== undefined) bits |= 512;
  if (clear !== undefined) bits |= 1024;
  if (range !== undefined) bits |= 2048;
  if (enqueue !== undefined) bits |= 4096;
  if (dequeue !== undefined) bits |= 8192;
  if (ack !== undefined) bits |= 16384;
  if (nack !== undefined) bits |= 32768;
  if (extend !== undefined) bits |= 65536;
  if (queueChange !== undefined) bits |= 131072;
  if (audit !== undefined) bits |= 262144;
  if (locks !== undefined) bits |= 524288;
  if (unlocks !== undefined) bits |= 1048576;
  if (wipe !== undefined) bits |= 2097152;
  if (load !== undefined) bits |= 4194304;
  if (tasks !== undefined) bits |= 8388608;
  if (taskCancel !== undefined) bits |= 16777216;
  if (taskChange !== undefined) bits |= 33554432;
  if (taskEnd !== undefined) bits |= 67108864;
  if (same !== undefined) bits |= 134217728;
  if (script !== undefined) bits |= 268435456;
  if (answer !== undefined) bits |= 536870912;
  if (taskSetting !== undefined) bits |= 1073741824;
  return bits;
}

/** A command that lists entries below a prefix, over all shards. */
export type PageCommand =
  | KvList
  | CounterList
  | LockList
  | QueueList
  | TaskList
  | ScriptsList
  | AccountList
  | LockLongest;
/** Those, and what else is put together from all shards as of one moment. */
export type ListCommand = PageCommand | AccountUsage | AccountExport;
/** Commands that keys decide about. */
type KeyCommand =
  | QueueStat
  | QueuePeek
  | TaskGet
  | TaskDue
  | TaskBegin
  | FlowGet
  | ScriptGet
  | LockInspect
  | LockLine
  | AuditList
  | MutexLock
  | MutexUnlock
  | WatchKey
  | WatchLock;
export type Command = Batch | ListCommand | KeyCommand;
/** What the server asks itself. */
export type OwnCommand = TaskDue | TaskBegin;
/** What only administrators may ask. */
export type AdminCommand = AccountList | LockLongest | LockLine | AuditList;
export type CommandKind = Exclude<Command['kind'], 'batch'>;

export const commands = {
  'kv.list': kvList,
  'counter.list': counterList,
  'lock.list': lockList,
  'lock.inspect': lockInspect,
  'mutex.lock': mutexLock,
  'mutex.unlock': mutexUnlock,
  'queue.list': queueList,
  'queue.stat': queueStat,
  'queue.peek': queuePeek,
  'task.list': taskList,
  'task.get': taskGet,
  'task.due': taskDue,
  'task.begin': taskBegin,
  'flow.get': flowGet,
  'script.list': scriptList,
  'script.get': scriptGet,
  'watch.key': watchKeyCommand,
  'watch.lock': watchLockCommand,
  'account.usage': accountUsage,
  'account.export': accountExport,
  'account.list': accountList,
  'lock.longest': lockLongest,
  'lock.line': lockLine,
  'audit.list': auditList,
} as const satisfies { readonly [Kind in CommandKind]: CommandSpec<Extract<Command, { kind: Kind }>> };

export const calls = {
  ...kvCalls,
  ...counterCalls,
  ...sequenceCalls,
  ...lockCalls,
  ...mutexCalls,
  ...limitCalls,
  ...queueCalls,
  ...taskCalls,
  ...taskSettingCalls,
  ...scriptCalls,
  ...usageCalls,
  ...accountCalls,
} as const;
export type CallName = keyof typeof calls;

/**
 * The format of a reply: `batch` is that of `POST /db/:acc`; `ops` has the results of `ops` alone, as flat text (see
 * `opsBody`); `script.read` is what a script reads, `script.call` its commit; each other format belongs to one call.
 */
export type ReplyFormat =
  | 'batch'
  | 'ops'
  | 'script.call'
  | 'script.read'
  | { [Name in CallName]: MadeBy<Name> extends { kind: 'batch' } ? Name : never }[CallName];
type MadeBy<Name extends CallName> = ReturnType<(typeof calls)[Name]['command']>;

/** Returns the declaration of a command. */
export function specOf(command: Exclude<Command, Batch>): CommandSpec<never> {
  return commands[command.kind];
}

/** All calls, each with the command that it makes. */
export const callList = Object.entries(calls) as unknown as readonly [CallName, CallSpec<QueryParameters, Command>][];

/** Returns whether the reply may be long in coming: the command waits for a lock, messages, or its rate limit. */
export function mayWait(command: Command): boolean {
  if (command.kind === 'batch') {
    const { lock, locks, limit, dequeue } = command;
    if ((lock !== undefined && lock.waitMs > 0) || (dequeue !== undefined && dequeue.waitMs > 0)) return true;
    if (locks !== undefined) return locks[0]!.waitMs > 0;
    return limit?.some(({ waitMs }) => waitMs > 0) === true;
  }
  return specOf(command).waits?.(command as never) ?? false;
}
