/** Lines of the goals' table, for the terminal, the HTML page and the document. */
import type { RowResult } from '../results.ts';

export interface GoalLine {
  readonly row: RowResult;
  readonly goal: string;
  readonly measured: string;
  /** "yes", "NO", "not measured" */
  readonly met: string;
  readonly stretch: string;
}

export function goalLines(row: RowResult): GoalLine[] {
  return row.goals.map(({ text, met, measured, stretch }) => ({
    row,
    goal: text,
    measured,
    met: text === '' ? '' : verdict(met),
    stretch: stretch === undefined ? '' : `${stretch.text}: ${verdict(stretch.met)}`,
  }));
}

function verdict(met: boolean | undefined): string {
  return met === undefined ? 'not measured' : met ? 'yes' : 'NO';
}

/** The run whose value is nearest to the median. */
export function middleRun({ median, runs }: RowResult['contestants'][number]): (typeof runs)[number] | undefined {
  return runs.toSorted((a, b) => Math.abs(a.value - median) - Math.abs(b.value - median))[0];
}
