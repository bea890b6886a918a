/**
 * `apply`: takes one message, changes the state, fills the outbox. No await, no I/O, no clock, no randomness:
 * production, the unit tests and the simulator call this very function.
 *
 * A message that needs a key held by a transaction is blocked, in order, until the hold is released (see holds.ts).
 */
import { messageIdText, parseMessageId } from '../../protocol/message-id.ts';
import { footprintOf, nameOf, watchName, type Footprint } from '../../protocol/footprint.ts';
import type { AccountId } from '../../protocol/ids.ts';
import type { Command } from '../../protocol/operations/operations.ts';
import { kinds } from '../../protocol/record.ts';
import type { Grant } from '../../protocol/replies.ts';
import { unreachable } from '../../shared/assert.ts';
import { applyBatch, executeBatch } from './batch/batch.ts';
import { sweepDeletions, sweepFresh } from './deletion.ts';
import { expireEntries, expireTimers } from './expiry.ts';
import { deletingReply, deletionReply } from './operations/account.ts';
import { viewDurableLock } from './operations/lock.ts';
import { returnMutex } from './operations/mutex.ts';
import { commandBehaviours } from './operations/operations.ts';
import { stillOut } from './operations/queue-receipts.ts';
import { QueueView } from './operations/queue-view.ts';
import { cancelledReply, cancelWait, drainWaiters } from './operations/waiting.ts';
import { serveQueues } from './serve-queues.ts';
import { accountOf, type CoreMessage } from './state/core-message.ts';
import { leaseKey } from './state/shared-lease.ts';
import type { RequestRef } from './state/outbox.ts';
import type { Turn } from './state/turn.ts';
import { WriteSet } from './state/write-set.ts';
import {
  applyTransaction,
  claimIds,
  commitTransaction,
  prepareTransaction,
  releaseTransaction,
  reserveLock,
} from './transaction.ts';

export function apply(turn: Turn, router: number, message: CoreMessage): void {
  const { state } = turn;
  const { holds, blocked } = state;
  if (holds.size > 0 || blocked.size > 0) {
    const footprint = footprintOfMessage(message);
    if (footprint !== undefined && (holds.conflicts(footprint) || blocked.conflicts(footprint))) {
      return blocked.add({ account: accountOf(message), router, message, footprint });
    }
  }
  handle(turn, router, message);
  serveQueues(turn);
  if (state.deletions.size > 0) sweepFresh(turn);
  if (
    message.kind === 'transaction.apply' ||
    message.kind === 'transaction.release' ||
    message.kind === 'blocked.retry'
  )
    retryBlocked(turn, message.account);
}

function retryBlocked(turn: Turn, account: AccountId): void {
  const { holds, blocked, ownMessages } = turn.state;
  const more = blocked.retry(account, holds, ({ router, message }) => {
    handle(turn, router, message);
    serveQueues(turn);
  });
  if (more) ownMessages.push({ kind: 'blocked.retry', account });
}

/**
 * Ends leases, keys and waits whose time has come, at most `expiryBatchMax` of each sort. Called at the start of each
 * turn.
 *
 * @returns whether more is due than one turn ends
 */
export function passTime(turn: Turn): boolean {
  const moreEntries = expireEntries(turn);
  serveQueues(turn);
  const moreTimers = expireTimers(turn);
  serveQueues(turn);
  const moreDeletions = sweepDeletions(turn);
  return moreEntries || moreTimers || moreDeletions;
}

function handle(turn: Turn, router: number, message: CoreMessage): void {
  const { state } = turn;
  if (state.deletions.size > 0 && refused(turn, router, message)) return;
  switch (message.kind) {
    case 'request':
      return handleCommand(turn, { router, id: message.id }, message.command);
    case 'item':
      return applyBatch(turn, { router, id: message.id, item: message.item }, message.batch);
    case 'cancel':
      return cancelRequest(turn, { router, id: message.id });
    case 'grant.return':
      return returnGrant(turn, message.grant);
    case 'unwatch':
      for (const key of message.keys) state.watched.remove(watchName({ ...message, key }), router);
      return;
    case 'transaction.claim':
      return claimIds(turn, { router, id: message.id }, message);
    case 'transaction.reserve':
      return reserveLock(turn, { router, id: message.id }, message);
    case 'transaction.prepare':
      return prepareTransaction(turn, { router, id: message.id }, message);
    case 'transaction.commit':
      return commitTransaction(turn, { router, id: message.id }, message);
    case 'transaction.apply':
      return applyTransaction(turn, message);
    case 'transaction.release':
      return releaseTransaction(state, message);
    case 'queue.serve':
      return state.waitQueues.noteGrantable(message.resource, message.account, message.id);
    case 'blocked.retry':
      return;
    case 'drain':
      return drainWaiters(turn);
    default:
      return unreachable(message);
  }
}

/** Refuses what an account that is being deleted asks for. */
function refused({ state, out }: Turn, router: number, message: CoreMessage): boolean {
  switch (message.kind) {
    case 'request':
    case 'transaction.prepare': {
      const reply = deletionReply(state, message.command);
      if (reply === undefined) return false;
      const ref = { router, id: message.id };
      if (message.kind === 'request') out.reply(ref, reply);
      else out.transaction(ref, { kind: 'reply', reply });
      return true;
    }
    case 'item': {
      const reply = deletionReply(state, message.batch);
      if (reply !== undefined) out.reply({ router, id: message.id, item: message.item }, reply);
      return reply !== undefined;
    }
    case 'transaction.claim':
    case 'transaction.reserve': {
      const account = message.kind === 'transaction.claim' ? message.batch.account : message.account;
      if (!state.deletions.has(account)) return false;
      out.transaction({ router, id: message.id }, { kind: 'reply', reply: deletingReply(state, account) });
      return true;
    }
    default:
      return false;
  }
}

function handleCommand(turn: Turn, ref: RequestRef, command: Command): void {
  if (command.kind === 'batch') return applyBatch(turn, ref, command);
  const run = commandBehaviours[command.kind] as (turn: Turn, ref: RequestRef, command: Command) => void;
  run(turn, ref, command);
}

/** Passes a returned grant on to the next waiter, unless another request has confirmed the lock since. */
function returnGrant(turn: Turn, grant: Grant): void {
  if (grant.mutex) return returnMutex(turn, grant);
  if (grant.messages !== undefined) return returnMessages(turn, grant, grant.messages);
  const { state, now } = turn;
  const { account, id, fence } = grant;
  const view = viewDurableLock(state, account, grant, now);
  const entry =
    view.shared === undefined
      ? state.entries.get(kinds.lock, account, id)
      : state.entries.get(kinds.share, account, leaseKey(id, fence));
  if (entry?.rev !== grant.version || view.lease?.fence !== fence) return;
  state.locks.undelivered();
  const nobody: RequestRef = { router: -1, id: 0 };
  executeBatch(turn, nobody, { kind: 'batch', account, format: 'lock.release', unlock: { id, fence } });
}

/** Puts messages that reached nobody back to their old places, unless somebody has settled them since. */
function returnMessages(turn: Turn, { account, id: queue, fence }: Grant, messages: readonly string[]): void {
  const view = new QueueView(turn, { account, queue, writeSet: new WriteSet() });
  const ids = messages.map((text) => parseMessageId(text)!);
  const nack = stillOut(view, ids, fence).map((id) => {
    return { key: queue, id: messageIdText(id), lock: fence, returned: true } as const;
  });
  const nobody: RequestRef = { router: -1, id: 0 };
  if (nack.length > 0) executeBatch(turn, nobody, { kind: 'batch', account, format: 'batch', nack });
}

/** Cancels a request. One that is blocked has not begun, and never will. */
function cancelRequest(turn: Turn, ref: RequestRef): void {
  const { state, out } = turn;
  const blocked = state.blocked.take(ref);
  if (blocked === undefined) return cancelWait(turn, ref);
  const reply = cancelledReply(state);
  if (blocked.message.kind === 'request') out.reply(ref, reply);
  else out.transaction(ref, { kind: 'reply', reply });
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
      // It must run after the watch that it ends.
      return { names: message.keys.map((key) => nameOf(message.account, key)) };
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
