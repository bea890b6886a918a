/**
 * Refuses what an account adds once one of its quotas is used up. What does not add is served, so that whoever is full
 * can make room:
 *
 *   reads                                                        served
 *   deletes, unlocks, Ack, Nack, Dequeue, Extend, renewals …     served, though some of them grow by a few bytes: of
 *                                                                each there are only as many as there are things to free
 *   the same with idempotency ids, which are kept for a while    served if they remove something, or end a lock
 *   a batch with anything else                                   served if all of it together grows by nothing
 *   taking a lock                                                adds, also where the lock has an entry
 *
 * The check is a few comparisons while an account is below its quotas. Only above them does it look up what a batch
 * would replace.
 */
import type { AccountId } from '../../../protocol/ids.ts';
import { isMessagePart, storedBytes, type Entries } from '../../../protocol/entries.ts';
import { failure, type Failure } from '../../../protocol/errors.ts';
import { operationsOf, sectionNames, sections, type Batch } from '../../../protocol/operations/operations.ts';
import {
  amountNames,
  hasBytesOfQuota,
  isEntryOfQuota,
  isUsedUp,
  noAmounts,
  type Amounts,
  type QuotaUse,
} from '../../../protocol/quotas.ts';
import { kinds } from '../../../protocol/record.ts';
import { failureReply, type Reply } from '../../../protocol/replies.ts';
import type { Evaluation, PendingEffect } from '../../../protocol/wire/shard-messages.ts';
import { readRevision, type ShardState } from '../state/state.ts';

/** What an idempotency id stores besides its results, which are known only at the commit. */
const storedReplyBytes = 100;

/** Returns why the quota of its account keeps an evaluated batch from its commit. */
export function quotaReply(state: ShardState, batch: Batch, evaluation: Evaluation): Reply | undefined {
  const use = state.entries.usageOf(batch.account);
  if (use === undefined || !isUsedUp(use)) return undefined;
  const growth = evaluation.growth ?? growthOf(state.entries, batch.account, evaluation.pending);
  const refused = refusedBy(use, batch, { ...evaluation, growth });
  return refused && failureReply(readRevision(state), refused);
}

/** The same for a batch that would first wait for its lock. */
export function lockQuotaReply(state: ShardState, account: AccountId): Reply | undefined {
  const use = state.entries.usageOf(account);
  if (use === undefined || !isUsedUp(use)) return undefined;
  const refused = used(use, { ...noAmounts, bytes: 1, entries: 1 });
  return refused && failureReply(readRevision(state), refused);
}

function refusedBy(use: QuotaUse, batch: Batch, { pending, growth }: Required<Pick<Evaluation, 'pending' | 'growth'>>) {
  if (pending.some(({ grants }) => grants)) {
    // The name of the lock may have an entry, but what is held cannot be freed by anybody else.
    const { bytes, entries } = growth;
    return used(use, { ...growth, bytes: Math.max(bytes, 1), entries: Math.max(entries, 1) });
  }
  if (!onlyFrees(batch)) return used(use, growth);
  if (batch.idempotency === undefined || growth.entries < 0) return undefined;
  return (batch.unlock ?? batch.unlocks) !== undefined && pending.some(({ kind }) => kind === kinds.lock)
    ? undefined
    : used(use, growth);
}

/** Says which quota is used up of what would be added. */
function used(use: QuotaUse, growth: Amounts): Failure | undefined {
  const name = amountNames.find((each) => growth[each] > 0 && use[each] >= use.quota[each]);
  if (name === undefined) return undefined;
  const [Limit, Used] = [use.quota[name], use[name]];
  const message =
    `The account has stored ${Used} ${name}; its quota is ${Limit} (${name}_max). ` +
    'Reads, deletes, unlocks, Dequeue and Ack are still served, and writes that do not add.';
  return failure('quota_exceeded', message, { Quota: name, Limit, Used });
}

function onlyFrees(batch: Batch): boolean {
  return sectionNames.every(
    (name) =>
      (name === 'lock' && batch.lock?.extend !== undefined) ||
      (name === 'locks' && batch.locks?.[0]?.extend !== undefined) ||
      operationsOf(batch, name).every((operation) => sections[name].effect(operation) !== 'write'),
  );
}

/** Returns what an account has more of after these effects. */
export function growthOf(entries: Entries, account: AccountId, pending: readonly PendingEffect[]): Amounts {
  const growth = { ...noAmounts };
  for (const { kind, key, value, stores } of pending) {
    if (!hasBytesOfQuota(kind)) continue;
    const before = entries.get(kind, account, key);
    const change = Number(value !== undefined || stores === true) - Number(before !== undefined);
    if (before !== undefined) growth.bytes -= storedBytes(account, key, before.value);
    if (value !== undefined) growth.bytes += storedBytes(account, key, value);
    if (stores) growth.bytes += storedReplyBytes;
    const isMessage = kind === kinds.queue && isMessagePart(key);
    if (isMessage) growth.messages += change;
    if (kind === kinds.task) growth.tasks += change;
    if (isMessage || isEntryOfQuota(kind)) growth.entries += change;
  }
  return growth;
}
