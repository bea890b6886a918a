/** Decides what a full disk or store still lets through: reads always, and what frees space while a reserve is left. */
import { operationsOf, sectionNames, sections, type Batch } from '../../../protocol/operations/operations.ts';
import { failureReply, type Reply } from '../../../protocol/replies.ts';
import type { Evaluation } from '../../../protocol/wire/shard-messages.ts';
import { readRevision, type ShardState } from '../state/state.ts';

/** Refuses a batch on arrival if it would add, or, once the reserve is used up, if it would change anything. */
export function spaceReply(state: ShardState, batch: Batch): Reply | undefined {
  const { outOfSpace } = state;
  if (outOfSpace === undefined || isAllowed(batch, outOfSpace.space)) return undefined;
  return failureReply(readRevision(state), outOfSpace.failure);
}

/** Refuses a batch that was admitted earlier and waited for its lock, if by now not even the reserve is left. */
export function fullReply(state: ShardState, evaluation: Evaluation): Reply | undefined {
  const { outOfSpace } = state;
  if (outOfSpace?.space !== 'full' || evaluation.pending.length === 0) return undefined;
  return failureReply(readRevision(state), outOfSpace.failure);
}

/** Whether the batch is refused, or waits, when there is no room for more. */
export function addsToStore(batch: Batch): boolean {
  return !isAllowed(batch, 'reserve');
}

function isAllowed(batch: Batch, space: 'reserve' | 'full'): boolean {
  if (batch.idempotency !== undefined && batch.idempotency.look !== true) return false;
  return sectionNames.every((name) =>
    operationsOf(batch, name).every((operation) => {
      const effect = sections[name].effect(operation);
      return effect === 'read' || (effect === 'free' && space === 'reserve');
    }),
  );
}
