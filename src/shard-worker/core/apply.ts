/**
 * `apply`: one message in, a changed state and an outbox out. No await, no I/O, no clock, no randomness: production,
 * the unit tests and the simulator call this very function.
 *
 * A message that needs a key held by a transaction is kept back, in order, until the hold is gone (see holds.ts).
 */
import { nameOf } from '../../protocol/footprint.ts';
import type { Grant } from '../../protocol/replies.ts';
import type { Command } from '../../protocol/commands.ts';
import { pageReply } from '../../protocol/page.ts';
import { kinds } from '../../protocol/record.ts';
import { assert, unreachable } from '../../shared/assert.ts';
import {
  applyTransaction,
  claimIds,
  commitTransaction,
  holdKeys,
  releaseTransaction,
  reserveLock,
} from './transaction.ts';
import { applyBatch, executeBatch } from './batch/batch.ts';
import { expireDeadlines, expireEntries } from './expiry.ts';
import { FootprintSet, type Footprint } from '../../protocol/footprint.ts';
import { isOwnLease } from './state/lease.ts';
import type { Waiter } from './state/wait-queue.ts';
import { viewDurableLock } from './operations/lock.ts';
import { endMutex, lockMutex, unlockMutex, viewMutex } from './operations/mutex.ts';
import type { CoreMessage } from './state/core-message.ts';
import type { Outbox, RequestRef } from './state/outbox.ts';
import { inspectLock, listPage, watchKey } from './operations/read.ts';
import { footprintOf } from '../../protocol/footprint.ts';
import { accountAndKey, readRevision, type ShardState } from './state/state.ts';
import { cancel, cancelledReply, drainWaiters, leaveQueue } from './operations/waiting.ts';

export function apply(state: ShardState, router: number, message: CoreMessage, now: number, out: Outbox): void {
  if (state.holds.size > 0 || state.blocked.length > 0) {
    const scope = footprintOfMessage(message);
    if (scope !== undefined && (state.holds.conflicts(scope) || state.blockedFootprints.conflicts(scope))) {
      state.blocked.push({ router, message, scope });
      state.blockedFootprints.add(scope);
      return;
    }
  }
  handle(state, router, message, now, out);
  serveQueues(state, now, out);
  if (message.kind === 'transaction.apply' || message.kind === 'transaction.release') retryBlocked(state, now, out);
}

/** Time has passed: leases, keys and waits end. Called at the start of each turn. */
export function passTime(state: ShardState, now: number, out: Outbox): void {
  expireEntries(state, now, out);
  serveQueues(state, now, out);
  expireDeadlines(state, now, out);
  serveQueues(state, now, out);
}

function handle(state: ShardState, router: number, message: CoreMessage, now: number, out: Outbox): void {
  switch (message.kind) {
    case 'request':
      return handleCommand(state, { router, id: message.id }, message.command, now, out);
    case 'item':
      return applyBatch(state, { router, id: message.id, item: message.item }, message.batch, now, out);
    case 'cancel':
      return cancelRequest(state, { router, id: message.id }, out);
    case 'grant.return':
      return returnGrant(state, message.grant, now, out);
    case 'unwatch':
      return unwatch(state, router, nameOf(message.account, message.key));
    case 'transaction.claim':
      return claimIds(state, { router, id: message.id }, message.transaction, message.batch, now, out);
    case 'transaction.reserve':
      return reserveLock(
        state,
        { router, id: message.id },
        message.transaction,
        message.account,
        message.lock,
        now,
        out,
      );
    case 'transaction.prepare':
      return holdKeys(state, { router, id: message.id }, message.transaction, message.command, now, out);
    case 'transaction.commit':
      return commitTransaction(
        state,
        { router, id: message.id },
        message.batch,
        message.evaluation,
        message.rev,
        now,
        out,
      );
    case 'transaction.apply':
      return applyTransaction(state, message.transaction, message.rev, message.body, out);
    case 'transaction.release':
      return releaseTransaction(state, message.transaction);
    case 'drain':
      return drainWaiters(state, out);
    default:
      return unreachable(message);
  }
}

function handleCommand(state: ShardState, ref: RequestRef, command: Command, now: number, out: Outbox): void {
  switch (command.kind) {
    case 'batch':
      return applyBatch(state, ref, command, now, out);
    case 'kv.list':
      return out.reply(ref, pageReply('KV', listPage(state, command, now), readRevision(state)));
    case 'lock.list':
      return out.reply(ref, pageReply('Locks', listPage(state, command, now), readRevision(state)));
    case 'lock.inspect':
      return out.reply(ref, inspectLock(state, command, now));
    case 'mutex.lock':
      return lockMutex(state, ref, command, now, out);
    case 'mutex.unlock':
      return unlockMutex(state, ref, command, now, out);
    case 'watch.key':
      return out.reply(ref, watchKey(state, ref.router, command, now));
    default:
      return unreachable(command);
  }
}

/** Gives every lock that may be free to the head of its line. */
function serveQueues(state: ShardState, now: number, out: Outbox): void {
  // Settling a head may free further locks: a Set visits what is added while it is walked.
  for (const name of state.grantable) {
    state.grantable.delete(name);
    serveQueue(state, name, now, out);
  }
}

function serveQueue(state: ShardState, name: string, now: number, out: Outbox): void {
  for (;;) {
    const head = state.waitQueues.lock.get(name)?.head();
    if (head === undefined || head.reserved) return;
    const { account, key } = accountAndKey(name);
    const view = viewDurableLock(state, account, key, now);
    if (view.lease !== undefined && !isOwnLease(view, head.operation)) return;
    if (state.holds.conflicts({ names: [name] })) return void state.blockedQueues.add(name);
    if (head.work.kind === 'reserve') return reserve(state, head, out);
    assert(head.work.kind === 'batch', 'only batches and transactions wait for a lock');
    if (state.holds.conflicts(footprintOf(head.work))) return void state.blockedQueues.add(name);
    leaveQueue(state, 'lock', head);
    // If the head's conditions fail it is answered so, the lock stays free, and the next in line has its turn.
    executeBatch(state, head.ref, head.work, now, out);
  }
}

function reserve(state: ShardState, head: Waiter, out: Outbox): void {
  head.reserved = true;
  if (head.deadline !== undefined) state.deadlines.clear(head.deadline);
  delete head.deadline;
  out.transaction(head.ref, { kind: 'ok' });
}

/** A grant that found nobody: the lock goes to the next in line, unless another request has confirmed it since. */
function returnGrant(state: ShardState, grant: Grant, now: number, out: Outbox): void {
  const { account, id, handle } = grant;
  if (grant.mutex) {
    const mutex = state.mutexes.get(nameOf(account, id));
    const view = viewMutex(state, account, id, now);
    if (view.lease?.handle === handle && mutex?.deadline.seq === grant.version)
      endMutex(state, account, id, view, 'released', now, out);
    return;
  }
  const entry = state.entries.get(kinds.lock, account, id);
  const view = viewDurableLock(state, account, id, now);
  if (entry?.rev !== grant.version || view.lease?.handle !== handle) return;
  const nobody: RequestRef = { router: -1, id: 0 };
  executeBatch(state, nobody, { kind: 'batch', account, format: 'lock.release', unlock: { id, handle } }, now, out);
}

/** A request that is held back has not begun: it never will. */
function cancelRequest(state: ShardState, ref: RequestRef, out: Outbox): void {
  const at = state.blocked.findIndex(
    ({ router, message }) =>
      router === ref.router &&
      (message.kind === 'request' || message.kind === 'transaction.reserve') &&
      message.id === ref.id,
  );
  const [item] = at < 0 ? [] : state.blocked.splice(at, 1);
  if (item === undefined) return cancel(state, ref, out);
  state.blockedFootprints.remove(item.scope);
  const reply = cancelledReply(state);
  if (item.message.kind === 'request') out.reply(ref, reply);
  else out.transaction(ref, { kind: 'reply', reply });
}

function unwatch(state: ShardState, router: number, name: string): void {
  const routers = state.watched.get(name);
  routers?.delete(router);
  if (routers?.size === 0) state.watched.delete(name);
}

/** Runs what is no longer held back, in order of arrival, so that the order per key is kept. */
function retryBlocked(state: ShardState, now: number, out: Outbox): void {
  if (state.blocked.length === 0) return;
  const waiting = state.blocked;
  state.blocked = [];
  const still = new FootprintSet();
  for (const item of waiting) {
    if (state.holds.conflicts(item.scope) || still.conflicts(item.scope)) {
      state.blocked.push(item);
      still.add(item.scope);
      continue;
    }
    state.blockedFootprints.remove(item.scope);
    handle(state, item.router, item.message, now, out);
    serveQueues(state, now, out);
  }
}

function footprintOfMessage(message: CoreMessage): Footprint | undefined {
  switch (message.kind) {
    case 'request':
      return footprintOf(message.command);
    case 'item':
      return footprintOf(message.batch);
    case 'grant.return':
      return message.grant.mutex ? undefined : { names: [nameOf(message.grant.account, message.grant.id)] };
    case 'unwatch':
      // Behind the watch that it ends.
      return { names: [nameOf(message.account, message.key)] };
    case 'transaction.claim':
      return { names: (message.batch.idempotency?.ids ?? []).map((id) => nameOf(message.batch.account, id)) };
    case 'transaction.reserve':
      return { names: [nameOf(message.account, message.lock.id)] };
    case 'transaction.prepare':
      return footprintOf(message.command);
    default:
      return undefined;
  }
}
