/** What each section of a batch adds to the reply, and the codes with which it may fail. */
import { Type } from 'typebox';
import type { ErrorCode } from '../errors.ts';
import type { SectionName } from '../operations/operations.ts';
import {
  anyValue,
  counterRow,
  count,
  delivered,
  flag,
  keyName,
  keyRow,
  lease,
  limitLeft,
  listOf,
  messageName,
  now,
  optional,
  page,
  rev,
  text,
  till,
  tillMs,
  version,
  yes,
} from './parts.ts';

export interface SectionReply {
  /** All of them are optional: a batch may do without the section. */
  readonly members?: Readonly<Record<string, Type.TSchema>>;
  readonly failures?: readonly ErrorCode[];
}

const gotRow = Type.Object({ ...keyName, ...version, Value: optional(anyValue), TillMs: optional(tillMs.TillMs) });
const prefixRow = Type.Object({ Prefix: text('As it was asked.'), KV: listOf(keyRow, 'The page.'), ...page });
const setRow = Type.Object({
  ...keyName,
  ...version,
  Deleted: optional(flag('It was deleted; false: there was none.')),
  Old: optional(
    Type.Object(
      { ...version, Value: optional(anyValue), TillMs: optional(tillMs.TillMs) },
      { description: 'What was there before.' },
    ),
  ),
});
const sent = { ...messageName, Duplicate: optional(yes('It was enqueued before, under this ID.')) };

export const sectionReplies: Readonly<Record<SectionName, SectionReply>> = {
  guard: { failures: ['lock_lost'] },
  unlock: { failures: ['lock_lost'] },
  lock: { members: { ...lease, ...now }, failures: ['not_locked', 'lock_lost', 'too_many_waiters'] },
  check: { failures: ['version_mismatch', 'precondition_failed'] },
  ack: {
    members: { Ack: listOf(Type.Object(messageName), 'As `Ack` was given.') },
    failures: ['receipt_expired'],
  },
  nack: {
    members: {
      Nack: listOf(
        Type.Object({
          ...messageName,
          At: optional(count('When it is ready again, in milliseconds since the epoch.')),
        }),
        'As `Nack` was given.',
      ),
    },
    failures: ['receipt_expired'],
  },
  extend: {
    members: { Extend: listOf(Type.Object({ ...messageName, ...till }), 'As `Extend` was given.') },
    failures: ['receipt_expired'],
  },
  limit: {
    members: { Limit: listOf(Type.Object(limitLeft), 'As `Limit` was given.') },
    failures: ['limited', 'too_many_waiters'],
  },
  counter: {
    members: { Atomic: listOf(counterRow, 'As `Atomic` was given.') },
    failures: ['overflow', 'out_of_bounds', 'precondition_failed'],
  },
  sequence: { failures: ['overflow'] },
  get: { members: { KV: listOf(Type.Union([gotRow, prefixRow]), 'As `KVGet` was given.') } },
  range: {},
  set: { members: { KVSet: listOf(setRow, 'As `KVSet` was given.') }, failures: ['version_mismatch'] },
  ops: {},
  clear: {},
  dequeue: {
    members: {
      Dequeue: Type.Object({ Queue: messageName.Queue, Messages: listOf(delivered, 'Messages that are out now.') }),
      ...now,
    },
    failures: ['too_many_waiters'],
  },
  enqueue: { members: { Enqueue: listOf(Type.Object(sent), 'As `Enqueue` was given.') } },
  queueChange: {},
};

/** The reply to one batch. */
export const batchReplySchema = Type.Object({
  ...Object.fromEntries(
    Object.values(sectionReplies).flatMap(({ members = {} }) =>
      Object.entries(members).map(([name, schema]) => [name, Type.Optional(schema)] as const),
    ),
  ),
  ...rev,
});
