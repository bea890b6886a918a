/**
 * I32: of a limit that always has the same parameters, in no window of w more than burst + w × rate / per is taken.
 * What was taken between two moments is what was asked for after the first and answered before the second.
 */
import type { LimitOperation } from '../../../src/protocol/operations/limit.ts';
import type { Operation } from './history.ts';

export interface Taking {
  readonly operation: LimitOperation;
  /** It was taken, or its slot began, between these, in milliseconds. */
  readonly from: number;
  readonly to: number;
}

/** Says which window has too much; undefined: none has. @param toleranceMs of the clock that the times are read from */
export function windowExceeded(takings: readonly Taking[], toleranceMs = 0): string | undefined {
  const byKey = Map.groupBy(takings, ({ operation: { key } }) => key);
  for (const [key, all] of byKey) {
    const { rateThousandths, perMs, burst } = all[0]!.operation;
    const ordered = all.toSorted((a, b) => a.to - b.to);
    for (const { from } of ordered) {
      let taken = 0;
      for (const { operation, from: asked, to } of ordered) {
        if (asked < from) continue;
        taken += operation.cost;
        const windowMs = to - from + toleranceMs;
        // taken ≤ burst + window × rate / per, in integers as far as the times are.
        if ((taken - burst) * perMs * 1000 > windowMs * rateThousandths)
          return `limit ${JSON.stringify(key)}: ${taken} in ${to - from} ms, with ${rateThousandths / 1000} in ${perMs} ms and a burst of ${burst}`;
      }
    }
  }
  return undefined;
}

/** What was taken in a history, of the keys that are always used with the same parameters. */
export function takingsIn(operations: readonly Operation[]): Taking[] {
  const takings = operations.flatMap(({ call, answer, sentAt }): Taking[] => {
    if (call.kind !== 'batch' || answer?.status !== 200 || answer.replayed === true) return [];
    return (call.limit ?? []).map((operation) => ({ operation, from: sentAt, to: answer.at }));
  });
  const parametersOf = ({ operation: { rateThousandths, perMs, burst } }: Taking): string =>
    [rateThousandths, perMs, burst].join(' ');
  const byKey = Map.groupBy(takings, ({ operation: { key } }) => key);
  return [...byKey.values()].filter((all) => new Set(all.map(parametersOf)).size === 1).flat();
}
