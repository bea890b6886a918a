/** What each section of a batch adds to the reply, and the codes with which it may fail. */
import { Type } from 'typebox';
import type { ErrorCode } from '../errors.ts';
import type { SectionName } from '../operations/operations.ts';
import {
  anyMember,
  counterRow,
  countMember,
  delivered,
  flagMember,
  keyPart,
  keyRow,
  anyLeasePart,
  limitPart,
  listMember,
  messagePart,
  nowPart,
  optionalMember,
  pagePart,
  revPart,
  textMember,
  tillPart,
  tillMsPart,
  versionPart,
  yesMember,
  nextPart,
  taskPart,
} from './parts.ts';

export interface SectionReply {
  /** All of them are optional: a batch may do without the section. */
  readonly members?: Readonly<Record<string, Type.TSchema>>;
  readonly failures?: readonly ErrorCode[];
}

const gotRow = Type.Object({
  ...keyPart,
  ...versionPart,
  Value: optionalMember(anyMember),
  TillMs: optionalMember(tillMsPart.TillMs),
});
const prefixRow = Type.Object({
  Prefix: textMember('As it was asked.'),
  KV: listMember(keyRow, 'The page.'),
  ...pagePart,
});
const setRow = Type.Object({
  ...keyPart,
  ...versionPart,
  Deleted: optionalMember(flagMember('It was deleted; false: there was none.')),
  Old: optionalMember(
    Type.Object(
      { ...versionPart, Value: optionalMember(anyMember), TillMs: optionalMember(tillMsPart.TillMs) },
      { description: 'What was there before.' },
    ),
  ),
});
const sent = { ...messagePart, Duplicate: optionalMember(yesMember('It was enqueued before, under this ID.')) };

export const sectionReplies: Readonly<Record<SectionName, SectionReply>> = {
  guard: { failures: ['lock_lost'] },
  unlock: { failures: ['lock_lost'] },
  unlocks: { failures: ['lock_lost'] },
  lock: {
    members: { ...anyLeasePart, ...nowPart },
    failures: ['not_locked', 'lock_lost', 'limit_mismatch', 'too_many_waiters'],
  },
  locks: { failures: ['not_locked', 'lock_lost', 'limit_mismatch', 'too_many_waiters'] },
  check: { failures: ['version_mismatch', 'precondition_failed'] },
  same: { failures: ['version_mismatch'] },
  ack: {
    members: { Ack: listMember(Type.Object(messagePart), 'As `Ack` was given.') },
    failures: ['receipt_expired'],
  },
  nack: {
    members: {
      Nack: listMember(
        Type.Object({
          ...messagePart,
          At: optionalMember(countMember('When it is ready again, in milliseconds since the epoch.')),
        }),
        'As `Nack` was given.',
      ),
    },
    failures: ['receipt_expired'],
  },
  extend: {
    members: { Extend: listMember(Type.Object({ ...messagePart, ...tillPart }), 'As `Extend` was given.') },
    failures: ['receipt_expired'],
  },
  limit: {
    members: { Limit: listMember(Type.Object(limitPart), 'As `Limit` was given.') },
    failures: ['limited', 'too_many_waiters'],
  },
  counter: {
    members: { Atomic: listMember(counterRow, 'As `Atomic` was given.') },
    failures: ['overflow', 'out_of_bounds', 'precondition_failed'],
  },
  sequence: { failures: ['overflow'] },
  get: { members: { KV: listMember(Type.Union([gotRow, prefixRow]), 'As `KVGet` was given.') } },
  range: {},
  set: { members: { KVSet: listMember(setRow, 'As `KVSet` was given.') }, failures: ['version_mismatch'] },
  ops: {},
  clear: {},
  dequeue: {
    members: {
      Dequeue: Type.Object({ Queue: messagePart.Queue, Messages: listMember(delivered, 'Messages that are out now.') }),
      ...nowPart,
    },
    failures: ['too_many_waiters'],
  },
  enqueue: { members: { Enqueue: listMember(Type.Object(sent), 'As `Enqueue` was given.') } },
  queueChange: {},
  tasks: {
    members: {
      Tasks: listMember(Type.Object({ ...taskPart, ...versionPart, ...nextPart }), 'As `Tasks` was given.'),
    },
    failures: ['duplicate_task', 'version_mismatch'],
  },
  taskCancel: {
    members: { TaskCancel: listMember(Type.Object({ ...taskPart, ...versionPart }), 'As `TaskCancel` was given.') },
    failures: ['version_mismatch'],
  },
  taskChange: {},
  taskEnd: {},
  taskSetting: {},
  audit: {},
  wipe: {},
  load: {},
  script: { failures: ['version_mismatch'] },
  answer: {},
};

/** The reply to one batch. */
export const batchReplySchema = Type.Object({
  ...Object.fromEntries(
    Object.values(sectionReplies).flatMap(({ members = {} }) =>
      Object.entries(members).map(([name, schema]) => [name, Type.Optional(schema)] as const),
    ),
  ),
  ...revPart,
});
