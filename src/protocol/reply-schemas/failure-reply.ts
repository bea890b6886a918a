/** The body of every error. Which members it has besides the first three depends on its code. */
import { Type } from 'typebox';
import { errorCodes, type ErrorCode } from '../errors.ts';
import {
  anyMember,
  countMember,
  flagMember,
  holderPart,
  sharedPart,
  integerMember,
  listMember,
  optionalMember,
  textMember,
} from './parts.ts';

// oxlint-disable-next-line no-unsafe-type-assertion -- the keys of the table
const codes = Object.keys(errorCodes) as ErrorCode[];
const code = Type.Enum(codes, { description: 'What is wrong, in one word; docs/errors.md lists all.' });
const message = textMember('What is wrong, what was expected, and what to do.');

const anyHolder = {
  Meta: holderPart.Meta,
  Till: optionalMember(holderPart.Till),
  TillMs: optionalMember(holderPart.TillMs),
  Since: optionalMember(holderPart.Since),
};

const details = {
  Key: optionalMember(textMember('The key, counter or limit that is meant.')),
  Version: optionalMember(countMember('The version that it has; 0: there is no such key.')),
  Value: optionalMember(integerMember('What the counter is.')),
  LockID: optionalMember(textMember('The lock that is meant.')),
  Queue: optionalMember(textMember('The queue that is meant.')),
  ID: optionalMember(textMember('The message or task that is meant.')),
  State: optionalMember(textMember('What will become of the task, or has.')),
  Next: optionalMember(countMember('The next instant of the task, in seconds since 1970.')),
  Why: optionalMember(textMember('How the lease ended, or why the lock is closed.')),
  Reason: optionalMember(textMember('Why the lease was ended by force, as it was given.')),
  EndedMs: optionalMember(countMember('When the lease ended, in milliseconds since the epoch.')),
  Holder: optionalMember(
    Type.Object(
      { ...anyHolder, ...sharedPart },
      { description: 'Who has the lock; never its fencing token or owner.' },
    ),
  ),
  Waiters: optionalMember(countMember('How many wait for it.')),
  Left: optionalMember(countMember('How much of the rate limit is left.')),
  ResetMs: optionalMember(countMember('Milliseconds until all of the burst is there again.')),
  RetryAfterMs: optionalMember(countMember('Milliseconds after which it is worth a try.')),
  Quota: optionalMember(textMember('The limit that is reached.')),
  Limit: optionalMember(countMember('How much it allows.')),
  Used: optionalMember(countMember('How much is used.')),
};

const failedItem = Type.Object({
  Field: textMember('The operation that failed, as `KVSet[1]`.'),
  Code: code,
  Message: message,
  ...details,
});

export const failureReplySchema = Type.Object({
  Code: code,
  Message: message,
  ...details,
  Failed: optionalMember(listMember(failedItem, 'All conditions of the batch that do not hold.')),
  IDs: optionalMember(listMember(Type.String(), 'The idempotency ids that were used before.')),
  Rev: optionalMember(countMember('The commit of the first request with the id.')),
  Same: optionalMember(flagMember('The duplicate asked for the same thing.')),
  Response: optionalMember(anyMember),
  Oldest: optionalMember(countMember('The oldest revision from which a watch can go on.')),
  Allow: optionalMember(textMember('The methods that the path takes.')),
  RequestID: textMember('Names this reply in the server’s log.'),
});
