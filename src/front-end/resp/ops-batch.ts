import type { AccountId } from '../../protocol/ids.ts';
import type { Batch, Command } from '../../protocol/operations/operations.ts';
import { withIdempotency } from '../fingerprint.ts';
import type { OpsPlan } from './command.ts';

/** Returns the batch of a plan. */
export function opsBatch({ ops, check, guard, idempotency }: OpsPlan, account: AccountId): Batch {
  if (check === undefined && guard === undefined)
    return withIdempotency({ kind: 'batch', account, format: 'ops', ops }, idempotency);
  const batch: Batch = {
    kind: 'batch',
    account,
    // Without operations there are no results to tell.
    format: ops.length === 0 ? 'batch' : 'ops',
    ...(ops.length > 0 && { ops }),
    ...(check !== undefined && check.length > 0 && { check }),
    ...(guard !== undefined && guard.length > 0 && { guard }),
  };
  return withIdempotency(batch, idempotency);
}

/** Whether a success is a lease of a lock or of messages, which is nothing for a client that has hung up. */
export function takesLease(command: Command): boolean {
  return (
    command.kind === 'mutex.lock' ||
    (command.kind === 'batch' && (command.lock !== undefined || command.dequeue !== undefined))
  );
}
