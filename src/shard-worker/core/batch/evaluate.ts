/**
 * Works out what a batch would do now, and only reads. All sections check their conditions first, then all compute
 * their effects, in the order of the table. Nothing happens until `seal` gives the effects a revision and the caller
 * commits.
 *
 * A shard evaluates the items that it owns. If one shard owns all of them, that is the whole batch; otherwise the
 * coordinator merges the evaluations of the shards (see transaction.ts).
 */
import type { Revision } from '../../../protocol/ids.ts';
import { bySections } from '../../../protocol/operations/by-sections.ts';
import {
  sectionNames,
  sections,
  sectionsIn,
  type Batch,
  type SectionName,
} from '../../../protocol/operations/operations.ts';
import type { Effect } from '../../../protocol/record.ts';
import { pointerTo } from '../../../protocol/stored-reply-pointer.ts';
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
  /** Each shard does its part. */
  readonly spans: boolean;
  readonly run: (evaluation: BatchEvaluation, operation: never) => unknown;
  /** In the order of all steps of all sections. */
  readonly place: number;
}

/** What to do for a batch with certain sections: the steps of those, and of no others. */
interface Plan {
  readonly checks: readonly Step[];
  readonly evaluations: readonly Step[];
}

/** By the sections that a batch has, see `sectionsIn`. */
const plans = bySections(
  (present): Plan => ({
    checks: stepsOf('check', 0).filter(present),
    evaluations: stepsOf('evaluate', sectionNames.length).filter(present),
  }),
);

function stepsOf(step: 'check' | 'evaluate', firstPlace: number): readonly Step[] {
  return sectionNames.flatMap((name, index) => {
    const run = sectionBehaviours[name][step];
    const { list, key, prefix } = sections[name];
    return run === undefined ? [] : [{ name, list, key, spans: prefix !== undefined, run, place: firstPlace + index }];
  });
}

export function evaluate(turn: Turn, batch: Batch): Evaluation {
  const duplicate = batch.idempotency === undefined ? undefined : findDuplicate(turn, batch);
  if (duplicate !== undefined) return { pending: [], results: {}, failed: [], duplicate };
  const plan = plans.of(sectionsIn(batch));
  const evaluation = new BatchEvaluation(turn, batch);
  for (const step of plan.checks) runChecks(evaluation, step);
  const results: Record<string, unknown> = {};
  for (const step of plan.evaluations) {
    const result = runEvaluation(evaluation, step);
    if (result !== undefined) results[step.name] = result;
  }
  const pending = evaluation.writeSet.all();
  const { failed } = evaluation;
  if (batch.idempotency === undefined) return { pending, results, failed };
  return { pending: [...pending, ...storeEffects(turn, batch)], results, failed };
}

function runChecks(evaluation: BatchEvaluation, { name, list, key, spans, run, place }: Step): void {
  const { state, batch } = evaluation;
  const members = batch[name];
  const operations = (list ? members : [members]) as readonly never[];
  for (let i = 0; i < operations.length; i += 1) {
    const operation = operations[i]!;
    if (!spans && !state.owns(batch.account, key(operation))) continue;
    evaluation.enter(place, name, i);
    run(evaluation, operation);
  }
}

/** Evaluates one section; returns its result, or the list of its results with `null` for what other shards own. */
function runEvaluation(evaluation: BatchEvaluation, { name, list, key, spans, run, place }: Step): unknown {
  const { state, batch } = evaluation;
  const members = batch[name];
  if (!list) {
    if (!spans && !state.owns(batch.account, key(members as never))) return undefined;
    evaluation.enter(place, name, 0);
    return run(evaluation, members as never);
  }
  const operations = members as readonly never[];
  const results: unknown[] = [];
  for (let i = 0; i < operations.length; i += 1) {
    const operation = operations[i]!;
    if (state.owns(batch.account, key(operation))) {
      evaluation.enter(place, name, i);
      results.push(run(evaluation, operation));
    } else results.push(null);
  }
  return results;
}

/** Fills in the revision of the commit, the stored reply under the first idempotency id, and pointers to it. */
export function seal(pending: readonly PendingEffect[], rev: Revision, stored: string): readonly Effect[] {
  if (!pending.some(({ stores, grants, opens }) => stores ?? grants ?? opens !== undefined)) return pending;
  let holder: string | undefined;
  return pending.map((effect) => {
    const { kind, till, value, opens } = effect;
    const key = opens === undefined ? effect.key : fillPlace(effect.key, opens, rev);
    if (effect.stores) {
      const text = holder === undefined ? stored : pointerTo(holder);
      holder ??= key;
      return { kind, key, till, value: text };
    }
    if (effect.grants) return { kind, key, till, value: fillFence(value!, rev) };
    return opens === undefined ? effect : { kind, key, till, ...(value === undefined ? {} : { value }) };
  });
}
