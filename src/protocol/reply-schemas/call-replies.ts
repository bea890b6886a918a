/**
 * What each REST call answers: a reply for each declaration of `protocol/operations`. The document of the API is made of
 * them, and tests check every reply against its schema. `failures` are codes that a call has besides those of the
 * sections that it uses (`sectionReplies`) and of its scope.
 */
import { Type } from 'typebox';
import type { ErrorCode } from '../errors.ts';
import type { CallName } from '../operations/operations.ts';
import {
  count,
  counterRow,
  delivered,
  flag,
  holder,
  integer,
  keyName,
  keyRow,
  lease,
  limitLeft,
  listOf,
  messageName,
  now,
  optional,
  page,
  peeked,
  policy,
  queueStat,
  rev,
  till,
  version,
  waiters,
  yes,
} from './parts.ts';

export interface CallReply {
  /** Of status 200. */
  readonly reply: Type.TObject;
  /** 204 says that nothing came. */
  readonly mayBeEmpty?: true;
  readonly failures?: readonly ErrorCode[];
}

const onlyRev = Type.Object(rev);
const counter = Type.Object({ ...counterRow.properties, ...rev });
const leased = Type.Object({ ...lease, ...now, ...rev });
const sequence = { ...keyName, Value: integer('The last number that was given out; 0: none.') };
const receipt = Type.Object({ ...messageName, ...rev });
const paused = Type.Object({ Paused: flag('Nothing is delivered.'), ...rev });
const purged = Type.Object({ Purged: count('Messages that are gone.'), ...rev });
const lockRow = Type.Object({ LockID: keyName.Key, ...holder, ...waiters });
const busy: readonly ErrorCode[] = ['not_locked', 'lock_lost', 'too_many_waiters'];

export const callReplies: Readonly<Record<CallName, CallReply>> = {
  'kv.list': { reply: Type.Object({ KV: listOf(keyRow, 'Keys in byte order.'), ...page, ...rev }) },
  'kv.get': { reply: Type.Object({ ...keyRow.properties, ...rev }), failures: ['not_found'] },
  'kv.set': { reply: Type.Object({ ...keyName, ...version, ...rev }) },
  'kv.clear': { reply: Type.Object({ Deleted: count('Keys that are gone.'), ...page, ...rev }) },
  'kv.delete': { reply: Type.Object({ ...keyName, Deleted: flag('There was such a key.'), ...rev }) },
  'counter.list': { reply: Type.Object({ Counters: listOf(counterRow, 'Counters in byte order.'), ...page, ...rev }) },
  'counter.get': { reply: counter, failures: ['not_found'] },
  'counter.add': { reply: counter },
  'counter.reset': { reply: counter },
  'sequence.get': { reply: Type.Object({ ...sequence, ...rev }), failures: ['not_found'] },
  'sequence.next': {
    reply: Type.Object({
      ...sequence,
      From: count('The first number of the block.'),
      To: count('Its last number.'),
      ...rev,
    }),
  },
  'sequence.reset': { reply: Type.Object({ ...sequence, ...rev }) },
  'lock.list': { reply: Type.Object({ Locks: listOf(lockRow, 'Held locks in byte order.'), ...page, ...rev }) },
  'lock.get': {
    reply: Type.Object({
      Locked: flag('Somebody holds it.'),
      Meta: holder.Meta,
      Till: optional(holder.Till),
      TillMs: optional(holder.TillMs),
      Since: optional(holder.Since),
      ...waiters,
      ...rev,
    }),
    failures: ['lock_lost'],
  },
  'lock.acquire': { reply: leased },
  'lock.release': { reply: onlyRev },
  'mutex.lock': { reply: leased, failures: busy },
  'mutex.unlock': { reply: onlyRev, failures: ['lock_lost'] },
  'limit.take': { reply: Type.Object({ ...limitLeft, ...rev }) },
  'queue.list': {
    reply: Type.Object({ Queues: listOf(Type.Object(queueStat), 'Queues in byte order.'), ...page, ...rev }),
  },
  'queue.stat': { reply: Type.Object({ ...queueStat, ...rev }) },
  'queue.send': {
    reply: Type.Object({ ...messageName, Duplicate: optional(yes('It was enqueued before, under this ID.')), ...rev }),
  },
  'queue.policy': { reply: Type.Object({ Policy: policy, ...rev }) },
  'queue.delete': { reply: purged },
  'queue.take': {
    reply: Type.Object({ Messages: listOf(delivered, 'Messages that are out now.'), ...now, ...rev }),
    mayBeEmpty: true,
  },
  'queue.ack': { reply: receipt },
  'queue.nack': {
    reply: Type.Object({
      ...messageName,
      At: optional(count('When it is ready again, in milliseconds since the epoch.')),
      ...rev,
    }),
  },
  'queue.extend': { reply: Type.Object({ ...messageName, ...till, ...rev }) },
  'queue.peek': { reply: Type.Object({ Messages: listOf(peeked, 'In the order of the line.'), ...page, ...rev }) },
  'queue.pause': { reply: paused },
  'queue.resume': { reply: paused },
  'queue.purge': { reply: purged },
  'queue.redrive': {
    reply: Type.Object({
      Redriven: count('Messages that are tried again.'),
      Skipped: count('Messages that are passed over.'),
      ...rev,
    }),
  },
};
