/** Members that several replies share. Each says in one sentence what it holds. */
import { Type } from 'typebox';
import { integerMax } from '../../shared/limits.ts';

export function text(description: string) {
  return Type.String({ description });
}

export function integer(description: string) {
  return Type.Integer({ minimum: -integerMax, maximum: integerMax, description });
}

export function count(description: string) {
  return Type.Integer({ minimum: 0, maximum: integerMax, description });
}

export function yes(description: string) {
  return Type.Literal(true, { description });
}

export function flag(description: string) {
  return Type.Boolean({ description });
}

export function listOf<Item extends Type.TSchema>(item: Item, description: string) {
  return Type.Array(item, { description });
}

export const anyValue = Type.Unknown({ description: 'Any JSON.' });
export const optional = Type.Optional;

export const rev = { Rev: count('The commit that the call made, or the state that it read.') };
export const keyName = { Key: text('The name of the key or counter.') };
export const version = { Version: count('The revision that wrote the key; 0: there is no such key.') };
export const tillMs = { TillMs: count('When it ends, in milliseconds since the epoch.') };
export const till = { Till: count('When it ends, in Unix seconds, rounded up.'), ...tillMs };
export const page = {
  More: optional(yes('There may be more: ask again with `after`.')),
  After: optional(text('Where the next page begins: the `after` of the next call.')),
};

export const keyRow = Type.Object({ ...keyName, ...version, Value: anyValue, TillMs: optional(tillMs.TillMs) });

export const counterRow = Type.Object({
  ...keyName,
  Value: integer('What the counter is now.'),
  Old: optional(integer('What it was before.')),
  TillMs: optional(tillMs.TillMs),
});

const recover = Type.Object(
  {
    Lock: count('The fencing token of the last holder.'),
    Meta: optional(anyValue),
    Why: Type.Enum(['expired', 'forced', 'restored'], { description: 'How its lease ended.' }),
  },
  { description: 'The last holder did not release the lock itself.' },
);

export const lease = {
  Lock: count('The fencing token under which the lock is held.'),
  ...till,
  TTLMs: count('For how long it is held, in milliseconds.'),
  Extended: optional(yes('This owner had the lock before.')),
  Recover: optional(recover),
};
export const now = { Now: count('The server’s time, in milliseconds since the epoch.') };

export const holder = {
  Meta: optional(anyValue),
  ...till,
  Since: count('When the holder took it, in milliseconds since the epoch.'),
};
export const waiters = { Waiters: count('How many wait for it.') };

export const limitLeft = {
  Key: text('The name of the limit.'),
  Left: count('How much is left.'),
  ResetMs: count('Milliseconds until all of the burst is there again.'),
  WaitMs: optional(count('For how long the reply was held, in milliseconds.')),
};

export const messageName = {
  Queue: text('The name of the queue.'),
  ID: text('The ID of the message; opaque.'),
};
const message = {
  ID: messageName.ID,
  Data: anyValue,
  Group: optional(text('Its group; none: it has no group.')),
  Attempts: count('Deliveries so far.'),
  At: count('When it was enqueued, in milliseconds since the epoch.'),
  LastError: optional(text('What the last nack said.')),
};
export const delivered = Type.Object({
  ...message,
  Lock: count('The receipt of the delivery, and its fencing token.'),
  ...till,
});
export const peeked = Type.Object({
  ...message,
  State: Type.Enum(['ready', 'inflight', 'delayed', 'dead', 'blocked'], { description: 'Where it stands.' }),
  Till: optional(till.Till),
});

export const policy = Type.Object(
  {
    MaxAttempts: count('Deliveries before `OnFail`; 0: endless.'),
    Backoff: Type.Object({ Min: Type.Number(), Max: Type.Number(), Factor: Type.Number() }),
    DedupWindow: Type.Number({ minimum: 0, description: 'Seconds; 0: until the message is gone or dead.' }),
    Retention: Type.Number({ minimum: 0, description: 'Seconds; 0: for ever.' }),
    DeadRetention: Type.Number({ minimum: 0, description: 'Seconds; 0: for ever.' }),
    Parallel: count('Messages that may be out; 0: no limit.'),
    MaxMessages: count('Messages that the queue may hold; 0: no limit.'),
    Fifo: flag('One line for all messages that name no group.'),
    OnFail: Type.Enum(['dlq', 'drop', 'block'], { description: 'What becomes of a message that failed for good.' }),
  },
  { description: 'The policy of the queue.' },
);

const stat = (what: string) => count(`Messages that are ${what}.`);
export const queueStat = {
  Queue: messageName.Queue,
  Ready: stat('due'),
  InFlight: stat('out'),
  Delayed: stat('not due yet'),
  Dead: stat('dead'),
  Blocked: stat('blocked'),
  Groups: count('Groups that have messages.'),
  BlockedGroups: count('Groups that stand still.'),
  Bytes: count('Bytes of all messages.'),
  OldestMs: count('The age of what is first in line, in milliseconds.'),
  Consumers: count('Consumers that wait.'),
  Paused: flag('Nothing is delivered.'),
  Policy: policy,
};
