/** What a full disk or a full store still lets through: reads always, and what frees something while a reserve is left. */
import { operationsOf, sectionNames, sections, type Batch } from '../../../protocol/operations/operations.ts';
import { failureReply, type Reply } from '../../../protocol/replies.ts';
import type { Evaluation } from '../../../protocol/wire/shard-messages.ts';
import { readRevision, type ShardState } from '../state/state.ts';

/** Refuses a batch on arrival: one that would add, and one that changes anything once the reserve is gone. */
export function spaceReply(state: ShardState, batch: Batch): Reply | undefined {
  const { outOfSpace } = state;
  if (outOfSpace === undefined || isAllowed(batch, outOfSpace.space)) return undefined;
  return failureReply(readRevision(state), outOfSpace.failure);
}

/** Refuses a batch that was let in earlier and waited for its lock, when not even the reserve is left. */
export function fullReply(state: ShardState, evaluation: Evaluation): Reply | undefined {
  const { outOfSpace } = state;
  if (outOfSpace?.space !== 'full' || evaluation.pending.length === 0) return undefined;
  return failureReply(readRevision(state), outOfSpace.failure);
}

function isAllowed(batch: Batch, space: 'reserve' | 'full'): boolean {
  if (batch.idempotency !== undefined) return false;
  return sectionNames.every((name) =>
    operationsOf(batch, name).every((operation) => {
      const effect = sections[name].effect(operation);
      return effect === 'read' || (effect === 'free' && space === 'reserve');
    }),
  );
}
