/** Judges whether the measurements of a row meet a goal. */
import type { ContestantResult, GoalResult } from './results.ts';
import type { Goal } from './rows/row.ts';
import { median, short } from './statistics.ts';

export function judge(goal: Goal, unit: string, contestants: readonly ContestantResult[]): GoalResult {
  const { against, value, stretch, stretchOnly = false, of } = goal;
  const textOf = (bound: number): string => {
    const sign = goal.bound === 'at least' ? '≥' : '≤';
    if (against !== undefined) return `${sign} ${bound} × ${against}`;
    return `${sign} ${bound >= 1000 ? bound.toLocaleString('en-US') : bound} ${of?.unit ?? unit}`;
  };
  const holds = (measured: number | undefined, bound: number): boolean | undefined => {
    if (measured === undefined) return undefined;
    return goal.bound === 'at least' ? measured >= bound : measured <= bound;
  };
  const measured = numberOf(goal, contestants);
  if (stretchOnly) {
    const text = textOf(value);
    return {
      text: '',
      met: undefined,
      measured: formatMeasured(measured, goal, unit),
      stretch: { text, met: holds(measured, value) },
    };
  }
  return {
    text: textOf(value),
    met: holds(measured, value),
    measured: formatMeasured(measured, goal, unit),
    ...(stretch !== undefined && { stretch: { text: textOf(stretch), met: holds(measured, stretch) } }),
  };
}

function numberOf({ against, of }: Goal, contestants: readonly ContestantResult[]): number | undefined {
  const [ours] = contestants;
  if (ours === undefined) return undefined;
  if (against !== undefined) return contestants.find(({ title }) => title === against)?.ratio;
  if (of === undefined) return ours.median;
  const values = ours.runs.map(({ extra }) => extra?.[of.name]).filter((value) => value !== undefined);
  return values.length === 0 ? undefined : median(values);
}

function formatMeasured(measured: number | undefined, { against, of }: Goal, unit: string): string {
  if (measured === undefined) return 'not measured';
  return against === undefined ? `${short(measured)} ${of?.unit ?? unit}` : `${short(measured)} ×`;
}
