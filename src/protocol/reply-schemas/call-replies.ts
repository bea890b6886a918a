/**
 * What each REST call answers: a reply for each declaration of `protocol/operations`. The document of the API is made of
 * them, and tests check every reply against its schema. `failures` are codes that a call has besides those of the
 * sections that it uses (`sectionReplies`) and of its scope.
 */
import { Type } from 'typebox';
import type { ErrorCode } from '../errors.ts';
import { exportLine } from '../operations/account-lines.ts';
import type { CallName } from '../operations/operations.ts';
import { usageLimits, usageMembers } from '../operations/usage.ts';
import {
  anyMember,
  changedTask,
  nextPart,
  taskPart,
  taskRow,
  countMember,
  counterRow,
  delivered,
  flagMember,
  flowPart,
  holderPart,
  sharedPart,
  integerMember,
  keyPart,
  keyRow,
  leasePart,
  limitPart,
  listMember,
  messagePart,
  nowPart,
  optionalMember,
  pagePart,
  peeked,
  policyPart,
  queueStatPart,
  revPart,
  secretPart,
  textMember,
  tillPart,
  versionPart,
  waitersPart,
  yesMember,
} from './parts.ts';

export interface CallReply {
  /** Of status 200. */
  readonly reply: Type.TObject;
  /** 204 says that nothing came. */
  readonly mayBeEmpty?: true;
  readonly failures?: readonly ErrorCode[];
}

const onlyRev = Type.Object(revPart);
const counter = Type.Object({ ...counterRow.properties, ...revPart });
const leased = Type.Object({ ...leasePart, ...nowPart, ...revPart });
const sequence = { ...keyPart, Value: integerMember('The last number that was given out; 0: none.') };
const receipt = Type.Object({ ...messagePart, ...revPart });
const paused = Type.Object({ Paused: flagMember('Nothing is delivered.'), ...revPart });
const purged = Type.Object({ Purged: countMember('Messages that are gone.'), ...revPart });
const listedKey = Type.Object({
  ...keyRow.properties,
  Value: optionalMember(keyRow.properties.Value),
  Bytes: optionalMember(countMember('With `values=false`: the size of the value.')),
});
const lockRow = Type.Object({
  LockID: keyPart.Key,
  Meta: holderPart.Meta,
  Till: optionalMember(holderPart.Till),
  TillMs: optionalMember(holderPart.TillMs),
  Since: optionalMember(holderPart.Since),
  ...sharedPart,
  ...waitersPart,
});
const scriptPart = {
  Name: textMember('The name of the script.'),
  Version: countMember('The revision of the commit that stored it.'),
};
const listedScript = Type.Object({
  ...scriptPart,
  AtMs: countMember('When it was stored, in milliseconds since the epoch.'),
  Bytes: countMember('Of its source.'),
});
const busy: readonly ErrorCode[] = ['not_locked', 'lock_lost', 'too_many_waiters'];

/** An object with a number under each of these names. */
function countsOf(names: object, description: string): Type.TObject {
  const members = Object.fromEntries(Object.keys(names).map((name) => [name, Type.Integer({ minimum: 0 })]));
  return Type.Object(members, { description });
}
const madeTask = {
  reply: Type.Object({ ...taskPart, ...versionPart, ...nextPart, ...revPart }),
  failures: ['target_forbidden'],
} as const satisfies CallReply;

export const callReplies: Readonly<Record<CallName, CallReply>> = {
  'account.delete': { reply: Type.Object({ Entries: countMember('Entries that are being deleted.'), ...revPart }) },
  'account.export': {
    reply: Type.Object({
      Lines: listMember(exportLine, 'Things of the account; later lines of a thing take the place of earlier ones.'),
      ...pagePart,
      Changes: optionalMember(yesMember('The lines are what has changed since the first page.')),
      ...revPart,
    }),
    failures: ['compacted', 'too_many_waiters'],
  },
  'account.import': {
    reply: Type.Object({
      Loaded: countMember('Lines that were put.'),
      Ended: countMember('Lines whose time was over.'),
      Unmatched: countMember('Deleted messages that no line before puts, and runs of tasks that are not there.'),
      ...revPart,
    }),
    failures: ['too_large', 'target_forbidden'],
  },
  'kv.list': {
    reply: Type.Object({
      KV: listMember(listedKey, 'Keys in byte order.'),
      Folders: optionalMember(listMember(Type.String(), 'With `delimiter`: what keys below begin with, up to it.')),
      ...pagePart,
      ...revPart,
    }),
  },
  'kv.get': { reply: Type.Object({ ...keyRow.properties, ...revPart }), failures: ['not_found'] },
  'kv.set': { reply: Type.Object({ ...keyPart, ...versionPart, ...revPart }) },
  'kv.clear': { reply: Type.Object({ Deleted: countMember('Keys that are gone.'), ...pagePart, ...revPart }) },
  'kv.delete': { reply: Type.Object({ ...keyPart, Deleted: flagMember('There was such a key.'), ...revPart }) },
  'counter.list': {
    reply: Type.Object({ Counters: listMember(counterRow, 'Counters in byte order.'), ...pagePart, ...revPart }),
  },
  'counter.get': { reply: counter, failures: ['not_found'] },
  'counter.add': { reply: counter },
  'counter.reset': { reply: counter },
  'sequence.get': { reply: Type.Object({ ...sequence, ...revPart }), failures: ['not_found'] },
  'sequence.next': {
    reply: Type.Object({
      ...sequence,
      From: countMember('The first number of the block.'),
      To: countMember('Its last number.'),
      ...revPart,
    }),
  },
  'sequence.reset': { reply: Type.Object({ ...sequence, ...revPart }) },
  'lock.list': {
    reply: Type.Object({ Locks: listMember(lockRow, 'Held locks in byte order.'), ...pagePart, ...revPart }),
  },
  'lock.get': {
    reply: Type.Object({
      Locked: flagMember('Somebody holds it.'),
      Meta: holderPart.Meta,
      Till: optionalMember(holderPart.Till),
      TillMs: optionalMember(holderPart.TillMs),
      Since: optionalMember(holderPart.Since),
      ...sharedPart,
      ...waitersPart,
      ...revPart,
    }),
    failures: ['lock_lost'],
  },
  'lock.acquire': { reply: leased },
  'lock.release': { reply: onlyRev },
  'mutex.lock': { reply: leased, failures: busy },
  'mutex.unlock': { reply: onlyRev, failures: ['lock_lost'] },
  'limit.take': { reply: Type.Object({ ...limitPart, ...revPart }) },
  'queue.list': {
    reply: Type.Object({
      Queues: listMember(Type.Object(queueStatPart), 'Queues in byte order.'),
      ...pagePart,
      ...revPart,
    }),
  },
  'queue.stat': { reply: Type.Object({ ...queueStatPart, ...revPart }) },
  'queue.send': {
    reply: Type.Object({
      ...messagePart,
      Duplicate: optionalMember(yesMember('It was enqueued before, under this ID.')),
      ...revPart,
    }),
  },
  'queue.policy': { reply: Type.Object({ Policy: policyPart, ...revPart }) },
  'queue.delete': { reply: purged },
  'queue.take': {
    reply: Type.Object({ Messages: listMember(delivered, 'Messages that are out now.'), ...nowPart, ...revPart }),
    mayBeEmpty: true,
  },
  'queue.ack': { reply: receipt },
  'queue.nack': {
    reply: Type.Object({
      ...messagePart,
      At: optionalMember(countMember('When it is ready again, in milliseconds since the epoch.')),
      ...revPart,
    }),
  },
  'queue.extend': { reply: Type.Object({ ...messagePart, ...tillPart, ...revPart }) },
  'queue.peek': {
    reply: Type.Object({ Messages: listMember(peeked, 'In the order of the line.'), ...pagePart, ...revPart }),
  },
  'queue.pause': { reply: paused },
  'queue.resume': { reply: paused },
  'queue.purge': { reply: purged },
  'queue.redrive': {
    reply: Type.Object({
      Redriven: countMember('Messages that are tried again.'),
      Skipped: countMember('Messages that are passed over.'),
      ...revPart,
    }),
  },
  'task.list': {
    reply: Type.Object({ Tasks: listMember(taskRow, 'Tasks in byte order.'), ...pagePart, ...revPart }),
  },
  'task.get': {
    reply: Type.Object({
      ...taskRow.properties,
      Data: Type.Optional(anyMember),
      Body: Type.Optional(anyMember),
      ...revPart,
    }),
    failures: ['not_found'],
  },
  'flow.get': { reply: Type.Object({ ...flowPart, ...revPart }), failures: ['not_found'] },
  'flow.set': { reply: Type.Object({ ...flowPart, ...revPart }) },
  'flow.delete': {
    reply: Type.Object({ Key: flowPart.Key, Deleted: flagMember('There was such a flow.'), ...revPart }),
  },
  'secret.get': { reply: Type.Object({ ...secretPart, ...revPart }) },
  'secret.rotate': { reply: Type.Object({ ...secretPart, ...revPart }) },
  'task.create': madeTask,
  'task.make': madeTask,
  'task.cancel': { reply: Type.Object({ ...taskPart, ...versionPart, ...revPart }) },
  'task.run': { reply: Type.Object({ ...changedTask, ...revPart }), failures: ['not_found'] },
  'task.pause': { reply: Type.Object({ ...changedTask, ...revPart }), failures: ['not_found'] },
  'task.resume': { reply: Type.Object({ ...changedTask, ...revPart }), failures: ['not_found'] },
  'script.list': {
    reply: Type.Object({ Scripts: listMember(listedScript, 'Scripts in byte order.'), ...pagePart, ...revPart }),
  },
  'script.get': {
    reply: Type.Object({
      ...scriptPart,
      Source: textMember('Of this version.'),
      AtMs: countMember('When it was stored, in milliseconds since the epoch.'),
      Versions: Type.Array(Type.Integer(), { description: 'Those that are kept, the current one first.' }),
      ...revPart,
    }),
    failures: ['not_found'],
  },
  'script.put': { reply: Type.Object({ ...scriptPart, ...revPart }), failures: ['script_failed', 'too_large'] },
  'script.delete': {
    reply: Type.Object({ Name: scriptPart.Name, Deleted: flagMember('There was such a script.'), ...revPart }),
  },
  'account.usage': {
    reply: Type.Object({
      Bytes: countMember('Of keys and values as they are stored.'),
      Entries: countsOf(usageMembers, 'How many there are of each kind.'),
      Deleting: optionalMember(yesMember('The account is being deleted; this is left of it.')),
      Waiters: countMember('Requests that wait for a lock, a message or a rate limit.'),
      Watchers: countMember('Open watches.'),
      Limits: countsOf(usageLimits, 'What the account may have; 0: no limit.'),
      ...revPart,
    }),
  },
};
