/**
 * Works out what a batch would do now, and only reads. All sections check their conditions first, then all compute
 * their effects, in the order of the table. Nothing happens until `seal` gives the effects a revision and the caller
 * commits.
 *
 * A shard evaluates the items that it owns. If one shard owns all of them, that is the whole batch; otherwise the
 * coordinator merges the evaluations of the shards (see transaction.ts).
 */
import type { Revision } from '../../../protocol/ids.ts';
import { sectionNames, sections, type Batch, type SectionName } from '../../../protocol/operations/operations.ts';
import type { Effect } from '../../../protocol/record.ts';
import type { Evaluation, PendingEffect } from '../../../protocol/wire/shard-messages.ts';
import { BatchEvaluation } from '../operations/batch-evaluation.ts';
import { findDuplicate, storeEffects } from '../operations/idempotency.ts';
import { sectionBehaviours } from '../operations/operations.ts';
import { fillFence } from '../state/lock-record.ts';
import { fillPlace } from '../state/places.ts';
import type { Turn } from '../state/turn.ts';

interface Step {
  readonly name: SectionName;
  readonly list: boolean;
  readonly key: (operation: never) => string;
  readonly run: (evaluation: BatchEvaluation, operation: never) => unknown;
}

const checks = stepsOf('check');
const evaluations = stepsOf('evaluate');

function stepsOf(step: 'check' | 'evaluate'): readonly Step[] {
  return sectionNames.flatMap((name) => {
    const run = sectionBehaviours[name][step];
    const { list, key } = sections[name];
    return run === undefined ? [] : [{ name, list, key, run }];
  });
}

export function evaluate(turn: Turn, batch: Batch): Evaluation {
  const duplicate = findDuplicate(turn, batch);
  if (duplicate !== undefined) return { pending: [], results: {}, failed: [], duplicate };
  const evaluation = new BatchEvaluation(turn, batch);
  for (let i = 0; i < checks.length; i += 1) runStep(evaluation, checks[i]!, i);
  const results: Record<string, unknown> = {};
  for (let i = 0; i < evaluations.length; i += 1) {
    const step = evaluations[i]!;
    const result = runStep(evaluation, step, checks.length + i);
    if (result !== undefined) results[step.name] = result;
  }
  const pending = evaluation.writeSet.all();
  const stored = storeEffects(turn, batch);
  return {
    pending: stored.length === 0 ? pending : [...pending, ...stored],
    results,
    failed: evaluation.failed,
  };
}

/** Runs one step of one section. Returns its result, or a list of results with `null` for items of other shards. */
function runStep(evaluation: BatchEvaluation, { name, list, key, run }: Step, place: number): unknown {
  const members = evaluation.batch[name];
  if (members === undefined) return undefined;
  const { state, batch } = evaluation;
  if (!list) {
    if (!state.owns(batch.account, key(members as never))) return undefined;
    evaluation.enter(place, name, 0);
    return run(evaluation, members as never);
  }
  const operations = members as readonly never[];
  const results: unknown[] = [];
  for (let i = 0; i < operations.length; i += 1) {
    const operation = operations[i]!;
    if (!state.owns(batch.account, key(operation))) {
      results.push(null);
      continue;
    }
    evaluation.enter(place, name, i);
    results.push(run(evaluation, operation));
  }
  return results;
}

/** Fills in the revision of the commit, and the stored reply under each idempotency id. */
export function seal(pending: readonly PendingEffect[], rev: Revision, stored: string): readonly Effect[] {
  if (!pending.some(({ stores, grants, opens }) => stores ?? grants ?? opens !== undefined)) return pending;
  return pending.map((effect) => {
    const { kind, till, value, opens } = effect;
    const key = opens === undefined ? effect.key : fillPlace(effect.key, opens, rev);
    if (effect.stores) return { kind, key, till, value: stored };
    if (effect.grants) return { kind, key, till, value: fillFence(value!, rev) };
    return opens === undefined ? effect : { kind, key, till, ...(value === undefined ? {} : { value }) };
  });
}
