/** The package `dragonlock`, name by name. */
import './check-node.ts';

export { DragonLock } from './dragon-lock.ts';
export type { DragonLockOptions } from './options.ts';
export type {
  AtomicOperation,
  Batch,
  BatchIdempotency,
  BatchLock,
  BatchLocks,
  BatchRange,
  CheckOperation,
  Guard,
  LimitOperation,
  SetOperation,
} from './batch.ts';
export type { BatchResult, CounterResult, Entry, Grant, LimitTaken, Recover, SetResult } from './batch-result.ts';
export type { CallOptions } from './store-calls.ts';
export type { Duration } from './checks.ts';
export type { DeleteOptions, DeletePrefixOptions, KeyValues, Page, PageOptions, SetOptions } from './kv.ts';
export type { CounterAddOptions, CounterEntry, Counters, CounterSetOptions } from './counters.ts';
export type { LimitOptions, LimitResult } from './limits.ts';
export { DuplicateTaskError, TargetForbiddenError } from './task-error.ts';
export type { Flow, FlowLimits, Flows } from './flow.ts';
export { CopyInProgressError } from './backup-errors.ts';
export { ConflictError, ScriptFailedError, ScriptRefusedError, ScriptTimeoutError } from './script-errors.ts';
export { QuotaExceededError } from './quota-error.ts';
export type { Usage, UsageLimits } from './usage.ts';
export type {
  Accounts,
  DeleteAccountOptions,
  ExportLine,
  ExportOptions,
  ExportPage,
  ImportOptions,
  ImportProgress,
  PageOfLines,
} from './account.ts';
export type { Block, Sequences } from './sequences.ts';
export type {
  Delivery,
  DequeueOperation,
  EnqueueOperation,
  ExtendOperation,
  MessageReceipt,
  NackOperation,
  SendOptions,
  SendResult,
} from './queue-batch.ts';
export type {
  ScriptCallOptions,
  ScriptChangeOptions,
  ScriptEvalOptions,
  ScriptGetOptions,
  ScriptInfo,
  ScriptResult,
  Scripts,
  StoredScript,
} from './scripts.ts';
export type { Queue, Queues } from './queue.ts';
export type {
  PeekedMessage,
  PeekOptions,
  QueueBackoff,
  QueuePolicyOptions,
  QueueStats,
  RedriveOptions,
  TakeOptions,
} from './queue-options.ts';
export type { MessageBatchOptions, NackOptions, QueueMessage } from './queue-message.ts';
export type { ConsumeOptions, Handler, QueueWorker } from './queue-worker.ts';
export type {
  CronOptions,
  MakeTaskOptions,
  TaskChanged,
  TaskListOptions,
  Tasks,
  WebhookSecret,
} from './task.ts';
export type { TaskInfo, TaskState } from './task-info.ts';
export type {
  Moment,
  TaskCancelOperation,
  TaskMade,
  TaskOperation,
  TaskOptions,
  TaskTarget,
  QueueTaskTarget,
  HttpTaskTarget,
} from './task-batch.ts';
export type { ElectOptions, Leader } from './elections.ts';
export type { ForceOptions, LockInfo, LockPage, Locks } from './locks.ts';
export type { HeldLock, Lock, LockBatchOptions, LockOptions, LockSet, Mutex } from './lock.ts';
export type { LeaseState } from './lease.ts';
export type {
  Change,
  KeyState,
  LockState,
  PrefixEvent,
  WatchKeyOptions,
  WatchOptions,
  WatchPrefixOptions,
} from './watch-events.ts';
export type { Watches } from './watches.ts';
export {
  ClosedError,
  AccountDeletingError,
  CompactedError,
  DiskFullError,
  DragonLockError,
  DrainingError,
  DuplicateRequestError,
  ForbiddenError,
  IdempotencyMismatchError,
  InternalError,
  InvalidError,
  LimitedError,
  LeaseUnknownError,
  LockLostError,
  NotDragonLockError,
  NotFoundError,
  NotLockedError,
  OutcomeUnknownError,
  OutOfBoundsError,
  OverflowError,
  OverloadedError,
  PreconditionFailedError,
  RateLimitedError,
  ReceiptExpiredError,
  ReleasedError,
  RequestInProgressError,
  ServerTooOldError,
  TooLargeError,
  TooManyWaitersError,
  UnauthorizedError,
  UnreachableError,
  MethodNotAllowedError,
  UnsupportedMediaTypeError,
  VersionMismatchError,
  type ClientErrorCode,
  type LockHolder,
} from './errors.ts';
export { MovedError } from './moved-error.ts';
export { LimitMismatchError } from './lock-errors.ts';
export type { ErrorCode } from '../protocol/errors.ts';
