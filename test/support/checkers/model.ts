/**
 * The whole contract once more, naively: what a command does to a state and what is answered. It is written from the
 * contract and shares no code with the server. Nothing here changes the state: an outcome lists the changes.
 *
 * Time is a span, because a checker does not know when exactly something happened; whether an entry whose end lies
 * within that span is over is asked of `Moment.over`, which may guess (see model-step.ts).
 */
import { unreachable } from '../../../src/shared/assert.ts';
import { anyNumber } from './expected.ts';
import { batchOutcome } from './model-batch.ts';
import * as leases from './model-leases.ts';
import { done, kvAt, lockAt, refuse, type Moment, type Outcome } from './model-moment.ts';
import { compareUtf8, nameOf } from './model-state.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';
import type { LockOperation } from '../../../src/protocol/operations/lock.ts';

export function outcomeOf(at: Moment, call: Command): Outcome {
  switch (call.kind) {
    case 'batch':
      return batchOutcome(at, call);
    case 'kv.list':
    case 'lock.list':
      return list(at, call);
    case 'lock.inspect': {
      const lock = lockAt(at, 'lock', call.account, call.id);
      const { lease } = lock;
      if (call.fence !== undefined && call.fence !== lease?.handle)
        return refuse(409, leases.lost(lock, call.id, { handle: call.fence }));
      const held = lease === undefined ? {} : leases.holder(lease);
      return done(at, { Locked: lease !== undefined, ...held, Waiters: anyNumber });
    }
    case 'mutex.lock':
      return mutexLock(at, call.account, call.lock);
    case 'mutex.unlock': {
      const { id } = call.unlock;
      const mutex = lockAt(at, 'mutex', call.account, id);
      const answer = leases.whatUnlockDoes(mutex, call.unlock);
      if (answer.does === 'fail') return refuse(409, leases.lost(mutex, id, call.unlock));
      if (answer.does === 'nothing') return done(at, {});
      const entry = leases.end(mutex, answer.why, at.now, leases.mutexMemoryMs);
      return done(at, {}, [{ name: nameOf('mutex', call.account, id), entry }]);
    }
    case 'watch.key': {
      const item = kvAt(at, call.account, call.key);
      const Version = item?.version ?? 0;
      if (Version === call.version) return { status: 204, body: {}, changes: [] };
      if (item !== undefined) return done(at, { Key: call.key, Version, Value: item.value });
      return done(at, { Key: call.key, Version, Deleted: true, Expired: at.said?.['Expired'] });
    }
    default:
      return unreachable(call);
  }
}

function mutexLock(at: Moment, account: string, ask: LockOperation): Outcome {
  const mutex = lockAt(at, 'mutex', account, ask.id);
  if (mutex.lease !== undefined && !leases.isOwn(mutex, ask)) return refuse(409, leases.busy(mutex.lease));
  // Handles of mutexes are not revisions: any will do that is higher than all before.
  const handle = Math.max(at.state.mutexHandle + 1, at.said?.Lock ?? 0);
  const entry = leases.grant(mutex, ask, handle, leases.grantedAt(at.now, ask.durMs, at.said));
  return done(at, leases.grantMembers(mutex, entry, ask.extend !== undefined, at.now, at.said), [
    { name: nameOf('mutex', account, ask.id), entry },
  ]);
}

function list(at: Moment, call: Extract<Command, { kind: 'kv.list' | 'lock.list' }>): Outcome {
  const { account, prefix, after, limit } = call;
  const kind = call.kind === 'kv.list' ? 'kv' : 'lock';
  const rows: object[] = [];
  // A page may be shorter than was asked for: where it ended is taken from the reply.
  const last = at.said?.More === true ? at.said.After : undefined;
  let more = last;
  let before = '';
  for (const key of at.state.keys(kind, account, prefix, after)) {
    if (last !== undefined && compareUtf8(key, last) > 0) break;
    const row = kind === 'kv' ? kvRow(at, account, key) : lockRow(at, account, key);
    if (row === undefined) continue;
    if (rows.length === limit) {
      more = before;
      break;
    }
    rows.push(row);
    before = key;
  }
  const page = more === undefined ? {} : { More: true, After: more };
  return done(at, { [kind === 'kv' ? 'KV' : 'Locks']: rows, ...page });
}

function kvRow(at: Moment, account: string, key: string): object | undefined {
  const item = kvAt(at, account, key);
  return item && { Key: key, Version: item.version, Value: item.value, TillMs: item.till };
}

function lockRow(at: Moment, account: string, key: string): object | undefined {
  const { lease } = lockAt(at, 'lock', account, key);
  return lease && { LockID: key, ...leases.holder(lease), Waiters: anyNumber };
}
