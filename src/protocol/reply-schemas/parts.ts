/** Members that several replies share. Each says in one sentence what it holds. */
import { taskStates } from '../operations/task-definition.ts';
import { Type } from 'typebox';
import { integerMax } from '../../shared/limits.ts';

export function textMember(description: string) {
  return Type.String({ description });
}

export function integerMember(description: string) {
  return Type.Integer({ minimum: -integerMax, maximum: integerMax, description });
}

export function countMember(description: string) {
  return Type.Integer({ minimum: 0, maximum: integerMax, description });
}

export function yesMember(description: string) {
  return Type.Literal(true, { description });
}

export function flagMember(description: string) {
  return Type.Boolean({ description });
}

export function listMember<Item extends Type.TSchema>(item: Item, description: string) {
  return Type.Array(item, { description });
}

export const anyMember = Type.Unknown({ description: 'Any JSON.' });
export const optionalMember = Type.Optional;

export const revPart = { Rev: countMember('The commit that the call made, or the state that it read.') };
export const keyPart = { Key: textMember('The name of the key or counter.') };
export const versionPart = { Version: countMember('The revision that wrote the key; 0: there is no such key.') };
export const tillMsPart = { TillMs: countMember('When it ends, in milliseconds since the epoch.') };
export const tillPart = { Till: countMember('When it ends, in Unix seconds, rounded up.'), ...tillMsPart };
export const pagePart = {
  More: optionalMember(yesMember('There may be more: ask again with `after`.')),
  After: optionalMember(textMember('Where the next page begins: the `after` of the next call.')),
};

export const keyRow = Type.Object({
  ...keyPart,
  ...versionPart,
  Value: anyMember,
  TillMs: optionalMember(tillMsPart.TillMs),
});

export const counterRow = Type.Object({
  ...keyPart,
  Value: integerMember('What the counter is now.'),
  Old: optionalMember(integerMember('What it was before.')),
  TillMs: optionalMember(tillMsPart.TillMs),
});

const recover = Type.Object(
  {
    Lock: countMember('The fencing token of the last holder.'),
    Meta: optionalMember(anyMember),
    Why: Type.Enum(['expired', 'forced', 'restored'], { description: 'How its lease ended.' }),
  },
  { description: 'The last holder did not release the lock itself.' },
);

export const leasePart = {
  Lock: countMember('The fencing token under which the lock is held.'),
  ...tillPart,
  TTLMs: countMember('For how long it is held, in milliseconds.'),
  Extended: optionalMember(yesMember('This owner had the lock before.')),
  Free: optionalMember(countMember('Permits that are left.')),
  Recover: optionalMember(recover),
};
const recoverOfSet = listMember(
  Type.Object({ LockID: textMember('The lock.'), ...recover.properties }),
  'Of several locks: those whose last holder did not release them.',
);
/** Of one lock or of several. */
export const anyLeasePart = { ...leasePart, Recover: optionalMember(Type.Union([recover, recoverOfSet])) };
export const nowPart = { Now: countMember('The server’s time, in milliseconds since the epoch.') };

/** Of a lock that several hold. */
export const sharedPart = {
  RLock: optionalMember(yesMember('Readers hold it.')),
  LockLimit: optionalMember(countMember('With so many permits it is held.')),
  Holders: optionalMember(countMember('How many hold it.')),
  Free: optionalMember(countMember('Permits that are left.')),
};

export const holderPart = {
  Meta: optionalMember(anyMember),
  ...tillPart,
  Since: countMember('When the holder took it, in milliseconds since the epoch.'),
};
export const waitersPart = { Waiters: countMember('How many wait for it.') };

export const limitPart = {
  Key: textMember('The name of the limit.'),
  Left: countMember('How much is left.'),
  ResetMs: countMember('Milliseconds until all of the burst is there again.'),
  WaitMs: optionalMember(countMember('For how long the reply was held, in milliseconds.')),
};

export const messagePart = {
  Queue: textMember('The name of the queue.'),
  ID: textMember('The ID of the message; opaque.'),
};
const message = {
  ID: messagePart.ID,
  Data: anyMember,
  Group: optionalMember(textMember('Its group; none: it has no group.')),
  Attempts: countMember('Deliveries so far.'),
  At: countMember('When it was enqueued, in milliseconds since the epoch.'),
  LastError: optionalMember(textMember('What the last nack said.')),
};
export const delivered = Type.Object({
  ...message,
  Lock: countMember('The receipt of the delivery, and its fencing token.'),
  ...tillPart,
});
export const peeked = Type.Object({
  ...message,
  State: Type.Enum(['ready', 'inflight', 'delayed', 'dead', 'blocked'], { description: 'Where it stands.' }),
  Till: optionalMember(tillPart.Till),
});

export const policyPart = Type.Object(
  {
    MaxAttempts: countMember('Deliveries before `OnFail`; 0: endless.'),
    Backoff: Type.Object({ Min: Type.Number(), Max: Type.Number(), Factor: Type.Number() }),
    DedupWindow: Type.Number({ minimum: 0, description: 'Seconds; 0: until the message is gone or dead.' }),
    Retention: Type.Number({ minimum: 0, description: 'Seconds; 0: for ever.' }),
    DeadRetention: Type.Number({ minimum: 0, description: 'Seconds; 0: for ever.' }),
    Parallel: countMember('Messages that may be out; 0: no limit.'),
    MaxMessages: countMember('Messages that the queue may hold; 0: no limit.'),
    Fifo: flagMember('One line for all messages that name no group.'),
    OnFail: Type.Enum(['dlq', 'drop', 'block'], { description: 'What becomes of a message that failed for good.' }),
  },
  { description: 'The policy of the queue.' },
);

const stat = (what: string) => countMember(`Messages that are ${what}.`);
export const queueStatPart = {
  Queue: messagePart.Queue,
  Ready: stat('due'),
  InFlight: stat('out'),
  Delayed: stat('not due yet'),
  Dead: stat('dead'),
  Blocked: stat('blocked'),
  Groups: countMember('Groups that have messages.'),
  BlockedGroups: countMember('Groups that stand still.'),
  Bytes: countMember('Bytes of all messages.'),
  OldestMs: countMember('The age of what is first in line, in milliseconds.'),
  Consumers: countMember('Consumers that wait.'),
  Paused: flagMember('Nothing is delivered.'),
  Policy: policyPart,
};

export const taskPart = { ID: textMember('The ID of the task.') };
export const nextPart = {
  Next: countMember('The instant of its next run, in seconds since the epoch.'),
  NextMs: countMember('The same in milliseconds.'),
};
const statePart = Type.Enum([...taskStates], { description: 'What will become of it.' });
export const changedTask = { ...taskPart, State: statePart, ...nextPart };
export const taskRow = Type.Object({
  ...taskPart,
  ...versionPart,
  State: statePart,
  Next: optionalMember(nextPart.Next),
  NextMs: optionalMember(nextPart.NextMs),
  Attempts: countMember('Tries of this instant that have failed.'),
  Runs: countMember('Instants that have succeeded.'),
  Skipped: countMember('Instants that were passed over.'),
  Failed: countMember('Instants that have failed for good.'),
  LastError: optionalMember(textMember('Why the last try failed.')),
  LastStartMs: optionalMember(countMember('When the last run began, in milliseconds since the epoch.')),
  LastEndMs: optionalMember(countMember('When it ended.')),
  LastStatus: optionalMember(countMember('The status of the last answer; absent: there was none.')),
  Queue: optionalMember(textMember('Where it puts a message.')),
  Group: optionalMember(textMember('The group of the message.')),
  Script: optionalMember(textMember('The script that it calls.')),
  URL: optionalMember(textMember('Where it sends a request.')),
  Method: optionalMember(textMember('The method of the request.')),
  HeaderNames: optionalMember(listMember(Type.String(), 'The headers of the request, without their values.')),
  Deadline: optionalMember(Type.Number({ description: 'Seconds that a run may take.' })),
  FlowKey: optionalMember(textMember('The flow that limits it.')),
  ResultQueue: optionalMember(textMember('The queue that gets what came of each run.')),
  Overlap: optionalMember(textMember('What becomes of instants that pass while a run goes on.')),
  Every: optionalMember(Type.Number({ description: 'Seconds between two instants.' })),
  Cron: optionalMember(textMember('The pattern of its instants.')),
  TZ: optionalMember(textMember('The zone of the pattern.')),
  Misfire: optionalMember(
    Type.Enum(['latest', 'skip', 'all'], { description: 'What becomes of instants that were missed.' }),
  ),
  Retry: Type.Object({ Max: Type.Integer(), Min: Type.Number(), MaxDelay: Type.Number(), Factor: Type.Number() }),
  MaxLate: optionalMember(Type.Number({ description: 'Seconds; what would be later is passed over.' })),
  Until: optionalMember(Type.Number({ description: 'No instant is later, in seconds since the epoch.' })),
});
export const flowPart = {
  Key: textMember('The FlowKey of the tasks.'),
  Rate: optionalMember(Type.Number({ description: 'So many runs begin within Per, evenly.' })),
  Per: optionalMember(Type.Number({ description: 'Seconds.' })),
  Parallel: optionalMember(countMember('So many run at once.')),
  Paused: flagMember('None begins.'),
};
export const secretPart = {
  Secret: textMember('The secret that signs requests: `whsec_` and base64.'),
  Old: optionalMember(textMember('The one before the last rotation, which still signs, too.')),
  OldTillMs: optionalMember(countMember('Until when it does, in milliseconds since the epoch.')),
};
