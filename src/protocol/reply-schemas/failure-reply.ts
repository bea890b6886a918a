/** The body of every error. Which members it has besides the first three depends on its code. */
import { Type } from 'typebox';
import { errorCodes, type ErrorCode } from '../errors.ts';
import { anyValue, count, flag, holder, integer, listOf, optional, text } from './parts.ts';

// oxlint-disable-next-line no-unsafe-type-assertion -- the keys of the table
const codes = Object.keys(errorCodes) as ErrorCode[];
const code = Type.Enum(codes, { description: 'What is wrong, in one word; docs/errors.md lists all.' });
const message = text('What is wrong, what was expected, and what to do.');

const details = {
  Key: optional(text('The key, counter or limit that is meant.')),
  Version: optional(count('The version that it has; 0: there is no such key.')),
  Value: optional(integer('What the counter is.')),
  LockID: optional(text('The lock that is meant.')),
  Queue: optional(text('The queue that is meant.')),
  ID: optional(text('The message that is meant.')),
  Why: optional(text('How the lease ended, or why the lock is closed.')),
  EndedMs: optional(count('When the lease ended, in milliseconds since the epoch.')),
  Holder: optional(Type.Object(holder, { description: 'Who has the lock; never its fencing token or owner.' })),
  Waiters: optional(count('How many wait for it.')),
  Left: optional(count('How much of the rate limit is left.')),
  ResetMs: optional(count('Milliseconds until all of the burst is there again.')),
  RetryAfterMs: optional(count('Milliseconds after which it is worth a try.')),
  Quota: optional(text('The limit that is reached.')),
  Limit: optional(count('How much it allows.')),
  Used: optional(count('How much is used.')),
};

const failedItem = Type.Object({
  Field: text('The operation that failed, as `KVSet[1]`.'),
  Code: code,
  Message: message,
  ...details,
});

export const failureReplySchema = Type.Object({
  Code: code,
  Message: message,
  ...details,
  Failed: optional(listOf(failedItem, 'All conditions of the batch that do not hold.')),
  IDs: optional(listOf(Type.String(), 'The idempotency ids that were used before.')),
  Rev: optional(count('The commit of the first request with the id.')),
  Same: optional(flag('The duplicate asked for the same thing.')),
  Response: optional(anyValue),
  Oldest: optional(count('The oldest revision from which a watch can go on.')),
  Allow: optional(text('The methods that the path takes.')),
  RequestID: text('Names this reply in the server’s log.'),
});
