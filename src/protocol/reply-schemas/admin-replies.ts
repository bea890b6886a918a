/** What the calls of administrators answer: a reply for each declaration of `adminCalls`. */
import { Type } from 'typebox';
import type { AdminCallName } from '../operations/admin-calls.ts';
import {
  anyMember,
  countMember,
  flagMember,
  holderPart,
  listMember,
  nowPart,
  optionalMember,
  pagePart,
  revPart,
  textMember,
  waitersPart,
} from './parts.ts';

const nameMember = { Account: textMember('The account.') };
const lockName = { ...nameMember, LockID: textMember('The name of the lock.') };
const held = {
  Meta: holderPart.Meta,
  Till: optionalMember(holderPart.Till),
  TillMs: optionalMember(holderPart.TillMs),
  Since: optionalMember(holderPart.Since),
};

const counts = ['Keys', 'Counters', 'Sequences', 'Locks', 'Limits', 'QueueParts', 'Tasks', 'IDs', 'Bytes'];
const uses = ['Connections', 'InFlight', 'Waiters', 'Watchers', 'RequestsPerSecondMax'];
const accountRow = Type.Object({
  ...nameMember,
  ...Object.fromEntries(counts.map((name) => [name, countMember('What the account has stored.')])),
  ...Object.fromEntries(uses.map((name) => [name, countMember('What it uses, or may use.')])),
});

const accounts = Type.Union([Type.Literal('*'), Type.Array(Type.String())], {
  description: 'The accounts that it may use.',
});
const scopes = listMember(Type.String(), 'What it may do.');

/** The page of an administrator reads these; their members may change with any version. */
const part = (description: string) => Type.Object({}, { additionalProperties: true, description });
const parts = (description: string) => listMember(part('One of them.'), description);

const overview = Type.Object({
  State: textMember('`starting`, `serving` or `draining`.'),
  Version: textMember('Of the server.'),
  Boot: textMember('This start of the server.'),
  Node: textMember('Version of Node.'),
  ...nowPart,
  UptimeS: countMember('Seconds since the start.'),
  Rates: part('Requests, errors and commits a second.'),
  Latency: part('Of the last minute, in milliseconds.'),
  Operations: parts('The busiest operations.'),
  Journal: part('Syncs, space, history.'),
  Shards: parts('Each shard.'),
  Durable: countMember('The highest revision on disk.'),
  Connections: countMember('Open.'),
  Waiters: countMember('Requests that wait.'),
  Watchers: countMember('Watch requests open.'),
  Streams: countMember('Event streams open.'),
  Memory: part('In bytes.'),
  FrontEnds: parts('Each front end.'),
  LostLogLines: countMember('Lines of the log that could not be written.'),
  Backup: optionalMember(part('As `GET /admin/backups`.')),
  History: part('Points of the last quarter of an hour.'),
  Warnings: listMember(
    Type.Object({
      Level: Type.Enum(['warning', 'error']),
      Text: textMember('What is wrong.'),
      Doc: textMember('Where to read on.'),
    }),
    'What is wrong, in words.',
  ),
});

const auditEntry = Type.Object({
  ID: countMember('Its number in the log of the account.'),
  ...revPart,
  At: countMember('When, in milliseconds since the epoch.'),
  Who: textMember('The name of the token.'),
  From: textMember('The address.'),
  Action: textMember('What was done.'),
  ...nameMember,
  Subject: textMember('To what.'),
  Reason: optionalMember(textMember('Why, as it was given.')),
});

export const adminReplies: Readonly<Record<AdminCallName, Type.TObject>> = {
  'admin.me': Type.Object({
    Name: textMember('Of the token.'),
    Accounts: accounts,
    Scopes: scopes,
    Open: flagMember('No tokens are configured.'),
  }),
  'admin.overview': overview,
  'admin.live': overview,
  'admin.accounts': Type.Object({ Accounts: listMember(accountRow, 'Shorter names first.'), ...pagePart, ...revPart }),
  'admin.locks': Type.Object({
    Locks: listMember(Type.Object({ ...lockName, ...held, ...waitersPart }), 'The longest line first.'),
    ...revPart,
  }),
  'admin.lock': Type.Object({
    ...lockName,
    Locked: flagMember('Somebody holds it.'),
    ...held,
    ...waitersPart,
    Waiting: listMember(
      Type.Object({
        Since: optionalMember(countMember('In milliseconds since the epoch.')),
        Until: optionalMember(countMember('In milliseconds since the epoch.')),
      }),
      'Those who wait, the next first.',
    ),
    Ended: listMember(
      Type.Object({
        Why: textMember('How the lease ended.'),
        AtMs: countMember('When.'),
        Reason: optionalMember(textMember('Of a force.')),
      }),
      'The last leases.',
    ),
    ...nowPart,
    ...revPart,
  }),
  'admin.scripts': Type.Object({
    Scripts: listMember(
      Type.Object({
        Script: textMember('Its name.'),
        Calls: countMember('Since the start of the server.'),
        Refused: countMember('Calls that it refused.'),
        Failed: countMember('Calls in which it threw, or took too long.'),
        CPUMs: Type.Number({ description: 'CPU time of all its runs.' }),
        LastError: optionalMember(textMember('Of the last call that failed.')),
        LastErrorMs: optionalMember(countMember('When.')),
      }),
      'Those called last.',
    ),
    ...nowPart,
  }),
  'admin.watchers': Type.Object({
    Watchers: listMember(
      Type.Object({
        ...nameMember,
        Kind: Type.Enum(['keys', 'prefix', 'stream'], { description: 'What is watched.' }),
        Key: textMember('The prefix, or the first of the keys.'),
        Keys: optionalMember(countMember('How many keys.')),
        Rev: optionalMember(countMember('What it has been given.')),
      }),
      'Some of them.',
    ),
    More: pagePart.More,
  }),
  'admin.slow': Type.Object({
    Slow: listMember(
      Type.Object({
        At: countMember('When it was answered, in milliseconds since the epoch.'),
        Operation: textMember('The label of the metric.'),
        Account: optionalMember(textMember('The account.')),
        Status: countMember('Of the reply.'),
        Ms: Type.Number({ description: 'From the head of the request to its reply.' }),
        Bytes: countMember("Of the reply's body."),
        RequestID: optionalMember(textMember('Of an error.')),
        Who: optionalMember(textMember('The name of the token.')),
        From: optionalMember(textMember('The address.')),
        Method: optionalMember(textMember('With `log.keys` only.')),
        URL: optionalMember(textMember('With `log.keys` only.')),
      }),
      'The newest first.',
    ),
  }),
  'admin.top': Type.Object({
    Seconds: countMember('For which the estimates are.'),
    Top: listMember(
      Type.Object({
        ...nameMember,
        Requests: countMember('Sent by the account.'),
        Bytes: countMember('Of the replies to it.'),
        Ms: countMember('That its requests took together, without those that may wait.'),
      }),
      'The busiest first.',
    ),
  }),
  'admin.config': Type.Object({
    Settings: listMember(
      Type.Object({
        Name: textMember('As in config.yml, with its section.'),
        Value: anyMember,
        Default: optionalMember(anyMember),
      }),
      'All settings; a secret is only "set".',
    ),
  }),
  'admin.tokens': Type.Object({
    Tokens: listMember(
      Type.Object({ Name: textMember('Of the token.'), Accounts: accounts, Scopes: scopes }),
      'All tokens.',
    ),
  }),
  'admin.reload': Type.Object({
    Reloaded: flagMember('The new configuration is in force, whole; otherwise the old one is.'),
    Changed: optionalMember(listMember(Type.String(), 'Keys that have another value now.')),
    NeedRestart: optionalMember(listMember(Type.String(), 'Keys that differ, and need a restart.')),
    Problems: optionalMember(listMember(Type.String(), 'What is wrong with the new configuration, with places.')),
  }),
  'admin.logLevel': Type.Object({
    Level: textMember('The level that holds now.'),
    UntilMs: countMember('When the configured level holds again, in ms since 1970.'),
    Configured: textMember('The level of the configuration.'),
  }),
  'admin.drain': Type.Object({ Draining: flagMember('It has begun, or begins at once.') }),
  'admin.audit': Type.Object({
    Audit: listMember(auditEntry, 'The newest first.'),
    More: pagePart.More,
    After: optionalMember(countMember('Where the next page begins: the `after` of the next call.')),
    ...revPart,
  }),
};
