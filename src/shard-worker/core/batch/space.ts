/** What a full disk or a full store still lets through: reads always, and what frees something while a reserve is left. */
import type { Batch } from '../../../protocol/commands.ts';
import type { Evaluation } from '../../../protocol/wire/shard-messages.ts';
import { failureReply, type Reply } from '../../../protocol/replies.ts';
import { readRevision, type ShardState } from '../state/state.ts';

/** Refuses a batch on arrival: anything that would add, and any change once the reserve is gone. */
export function spaceReply(state: ShardState, batch: Batch): Reply | undefined {
  const { outOfSpace } = state;
  if (outOfSpace === undefined) return undefined;
  const allowed = outOfSpace.room === 'full' ? onlyReads(batch) : onlyFrees(batch);
  return allowed ? undefined : failureReply(readRevision(state), outOfSpace.failure);
}

/** Refuses a batch that was let in earlier and waited for its lock, when not even the reserve is left. */
export function fullReply(state: ShardState, evaluation: Evaluation): Reply | undefined {
  const { outOfSpace } = state;
  if (outOfSpace?.room !== 'full' || evaluation.pending.length === 0) return undefined;
  return failureReply(readRevision(state), outOfSpace.failure);
}

function onlyReads(batch: Batch): boolean {
  return (
    onlyFrees(batch) &&
    batch.unlock === undefined &&
    batch.set === undefined &&
    !batch.counter?.some(({ op }) => op !== 'get') &&
    (batch.sequence === undefined || batch.sequence.op === 'get')
  );
}

function onlyFrees(batch: Batch): boolean {
  return (
    batch.lock === undefined &&
    batch.idempotency === undefined &&
    !batch.set?.some(({ value }) => value !== undefined) &&
    !batch.counter?.some(({ op }) => op !== 'get' && op !== 'reset') &&
    batch.sequence?.op !== 'next'
  );
}
