/** Describes the calls of administrators, from their declarations. */
import { Type } from 'typebox';
import { adminCallList, type AdminCallName } from '../../../protocol/operations/admin-calls.ts';
import {
  anyMember,
  countMember,
  flagMember,
  listMember,
  optionalMember,
  pagePart,
  revPart,
  textMember,
  tillPart,
} from '../../../protocol/reply-schemas/parts.ts';
import { jsonReply, type DescribedReply, type DescribedRoute } from './described.ts';
import { parameterText } from './parameter-texts.ts';
import { parameterSchema, schemaOf } from './schemas.ts';

const accounts = Type.Unknown({ description: '"*", or a list of accounts.' });
const scopes = listMember(Type.String(), 'The scopes of the token.');
const holder = {
  Meta: optionalMember(anyMember),
  Till: optionalMember(tillPart.Till),
  TillMs: optionalMember(tillPart.TillMs),
  Since: optionalMember(countMember('When it was taken, in milliseconds since the epoch.')),
  Waiters: countMember('How many requests wait for it.'),
};
const lockNames = { Account: textMember('The account.'), LockID: textMember('The lock.') };
const rates = Type.Object({
  Requests: Type.Number({ description: 'A second.' }),
  Errors: Type.Number({ description: 'Replies 5xx a second.' }),
  Commits: Type.Number({ description: 'A second.' }),
});
const counts = ['Keys', 'Counters', 'Sequences', 'Locks', 'Limits', 'QueueParts', 'IDs', 'Bytes'] as const;
const uses = [
  'Connections',
  'InFlight',
  'Waiters',
  'Watchers',
  'RequestsPerSecondMax',
  'BytesMax',
  'EntriesMax',
] as const;

const replies: Readonly<Record<AdminCallName, Type.TSchema | string>> = {
  'admin.me': Type.Object({
    Name: textMember('Of the token; empty without tokens.'),
    Accounts: accounts,
    Scopes: scopes,
    Open: flagMember('The server has no tokens.'),
  }),
  'admin.overview': Type.Object({
    State: textMember('serving.'),
    Version: textMember('Of the server.'),
    Boot: textMember('This start.'),
    Now: countMember('The server’s time in milliseconds since the epoch.'),
    UptimeS: countMember('Seconds since the process started.'),
    Rates: rates,
    Shards: listMember(Type.Object({ Shard: countMember('Its number.') }), 'What each shard does.'),
    Durable: countMember('The highest revision on disk.'),
    Warnings: listMember(
      Type.Object({
        Level: textMember('warning or error.'),
        Text: textMember('What is wrong.'),
        Doc: textMember('Where to read on.'),
      }),
      'What is wrong, in words.',
    ),
  }),
  'admin.live': 'Each event has the members of the overview that have changed.',
  'admin.accounts': Type.Object({
    Accounts: listMember(
      Type.Object({
        Account: textMember('Its name.'),
        ...Object.fromEntries([...counts, ...uses].map((name) => [name, countMember(`${name} of the account.`)])),
      }),
      'Shorter names first.',
    ),
    ...pagePart,
    ...revPart,
  }),
  'admin.locks': Type.Object({
    Locks: listMember(Type.Object({ ...lockNames, ...holder }), 'The longest line first.'),
    ...revPart,
  }),
  'admin.lock': Type.Object({
    ...lockNames,
    Locked: flagMember('Somebody holds it.'),
    ...holder,
    Waiting: listMember(
      Type.Object({
        Since: optionalMember(countMember('When it began to wait.')),
        Until: optionalMember(countMember('When it gives up.')),
      }),
      'The first of the line.',
    ),
    Ended: listMember(
      Type.Object({
        Why: textMember('How the lease ended.'),
        AtMs: countMember('When.'),
        Reason: optionalMember(textMember('Of a force.')),
      }),
      'The last leases, newest first.',
    ),
    Now: countMember('The server’s time in milliseconds since the epoch.'),
    ...revPart,
  }),
  'admin.watchers': Type.Object({
    Watchers: listMember(
      Type.Object({
        Account: textMember('Whose it is.'),
        Kind: textMember('keys, prefix or stream.'),
        Key: textMember('The prefix, or the first key.'),
        Keys: optionalMember(countMember('How many keys.')),
        Rev: optionalMember(countMember('How far it has been given events.')),
      }),
      'Some of the open watches.',
    ),
    More: pagePart.More,
  }),
  'admin.config': Type.Object({
    Settings: listMember(
      Type.Object({
        Name: textMember('As in config.yml.'),
        Value: anyMember,
        Default: optionalMember(Type.Unknown({ description: 'If the value is another.' })),
      }),
      'The settings in use.',
    ),
  }),
  'admin.tokens': Type.Object({
    Tokens: listMember(
      Type.Object({ Name: textMember('Its name.'), Accounts: accounts, Scopes: scopes }),
      'No token itself.',
    ),
  }),
  'admin.audit': Type.Object({
    Audit: listMember(
      Type.Object({
        ID: countMember('Its number in the log.'),
        Rev: countMember('The commit that it was written in.'),
        At: countMember('When, in milliseconds since the epoch.'),
        Who: textMember('The name of the token.'),
        From: textMember('The client’s address.'),
        Action: textMember('What was done.'),
        Account: textMember('Where.'),
        Subject: textMember('To what.'),
        Reason: optionalMember(textMember('Why.')),
      }),
      'Newest first.',
    ),
    More: pagePart.More,
    After: optionalMember(countMember('The `after` of the next page.')),
    ...revPart,
  }),
};

function replyOf(name: AdminCallName): DescribedReply {
  const reply = replies[name];
  if (typeof reply === 'string') return { description: reply, content: { 'text/event-stream': { type: 'string' } } };
  const word = name.slice('admin.'.length);
  return jsonReply(`Admin${word.charAt(0).toUpperCase()}${word.slice(1)}Reply`, schemaOf(reply));
}

/** By method and path, as the other routes. */
export const adminRouteDescriptions: Readonly<Record<string, DescribedRoute>> = Object.fromEntries(
  adminCallList.map(([name, { method, path, summary, scope, query }]): [string, DescribedRoute] => [
    `${method} ${path.replace('*', ':id')}`,
    {
      id: name.replace('.', '_'),
      tag: 'admin',
      summary: `${summary}.`,
      parameters: Object.entries(query).map(([parameter, spec]) => ({
        name: parameter,
        in: 'query',
        description: parameterText(name, parameter),
        schema: parameterSchema(spec),
      })),
      replies: { 200: replyOf(name) },
      failures: [
        'invalid',
        'unauthorized',
        'forbidden',
        'draining',
        ...(name === 'admin.live' ? (['too_many_waiters'] as const) : []),
      ],
      scopes: scope === 'any' ? [] : scope === 'log' ? ['admin', 'operator'] : [scope],
    },
  ]),
);
