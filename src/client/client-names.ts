/**
 * Messages of the server name the fields of the HTTP API. Users of the client have written other names, so its errors
 * say those: `ttl`, not `KVSet[0].TTL`. `details` of an error stay as the server sent them.
 */
import { DragonLockError } from './errors.ts';

const fields: Readonly<Record<string, string>> = {
  Guard: 'guard',
  Check: 'check',
  Limit: 'limit',
  Atomic: 'atomic',
  KVGet: 'get',
  KVSet: 'set',
  LockID: 'lock.id',
  LockDur: 'lock.ttl',
  LockWait: 'lock.wait',
  LockOwner: 'lock.owner',
  LockMeta: 'lock.meta',
  Ack: 'ack',
  Nack: 'nack',
  Extend: 'extend',
  Dequeue: 'dequeue',
  Enqueue: 'enqueue',
  Tasks: 'tasks',
  TaskCancel: 'cancelTasks',
  UnlockID: 'unlock.id',
  Unlock: 'unlock.fence',
  UnlockReason: 'unlock.reason',
  IdempotencyIDs: 'idempotency.ids',
  IdempotencyTTL: 'idempotency.ttl',
  IdempotencyMode: 'idempotency.mode',
};

const members: Readonly<Record<string, string>> = {
  Key: 'key',
  Value: 'value',
  Version: 'version',
  Exists: 'exists',
  Equals: 'equals',
  Counter: 'counter',
  Merge: 'merge',
  Delete: 'delete',
  TTL: 'ttl',
  Add: 'add',
  Max: 'max',
  Min: 'min',
  Set: 'set',
  Floor: 'floor',
  Ceil: 'ceil',
  IfEq: 'ifEq',
  Rate: 'rate',
  Per: 'per',
  Burst: 'burst',
  Cost: 'cost',
  Wait: 'wait',
  LockID: 'id',
  Lock: 'fence',
  Cron: 'cron',
  TZ: 'tz',
  Every: 'every',
  URL: 'url',
  Method: 'method',
  Headers: 'headers',
  Body: 'body',
  Deadline: 'deadline',
  FlowKey: 'flowKey',
  ResultQueue: 'resultQueue',
  Overlap: 'overlap',
  Parallel: 'parallel',
  Paused: 'paused',
  Until: 'until',
  Misfire: 'misfire',
};

/** A text in quotes, which stays; or a field of the HTTP API, perhaps with a member of one of its items. */
const pattern = new RegExp(
  `"(?:[^"\\\\]|\\\\.)*"|\\b(${Object.keys(fields).join('|')})\\b(\\[\\d+\\])?(?:\\.(${Object.keys(members).join('|')})\\b)?`,
  'g',
);
/** Members that messages name by themselves: `given together with Delete`. None of them begins a sentence. */
const bareMember = /"(?:[^"\\]|\\.)*"|(?<![\w.])(Delete|Exists|Equals|Merge|Counter|TTL|IfEq|Floor|Ceil)\b/g;

/** How a call of one operation names what the batch that it is sent as calls otherwise: `{ 'set[0].': '' }`. */
export type Renaming = Readonly<Record<string, string>>;

/** Changes the message of an error of the client, and returns the error. */
export function inClientNames(error: unknown, renaming: Renaming = {}): unknown {
  if (!(error instanceof DragonLockError)) return error;
  let message = error.message
    .replace(/^\[\d+\]\./, '')
    .replaceAll(pattern, (text, field?: string, index = '', member?: string) =>
      field === undefined ? text : `${fields[field]}${index}${member === undefined ? '' : `.${members[member]}`}`,
    );
  if (error.code === 'invalid') {
    message = message.replaceAll(bareMember, (text, member?: string) =>
      member === undefined ? text : members[member]!,
    );
  }
  for (const [from, to] of Object.entries(renaming)) {
    if (!message.startsWith(from)) continue;
    message = to + message.slice(from.length);
    break;
  }
  // The stack of an error begins with its message, and is written at the first look.
  if (message !== error.message) error.message = message;
  return error;
}
