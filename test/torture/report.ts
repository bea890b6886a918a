/** What was done and injected, in sum; how far each figure has been reached, from which seeds. */
import { figures, type Figure, type Target } from './figures.ts';
import { steps, type Step, type StepName } from './steps.ts';

/** What children report beside counts: a sum of it says nothing. */
const noCounts = /^(seed|oldest|when|failed)$|seconds?$|persecond|ms$/i;

export class Report {
  done = 0;
  readonly #totals = new Map<string, number>();
  readonly #reached = new Map<Figure, number>();
  /** By step: the first seed and the one after the last. */
  readonly #seeds = new Map<StepName, { readonly from: number; readonly to: number }>();
  readonly #seconds = new Map<StepName, number>();

  /** @throws when a count that goes towards a figure is 0: then nothing was tested */
  add(name: StepName, seed: number, seconds: number, counts: ReadonlyMap<string, number>): void {
    const step: Step = steps[name];
    for (const [figure, count] of Object.entries(step.counts ?? {}) as [Figure, string][]) {
      const reached = counts.get(count) ?? 0;
      if (reached === 0) throw new Error(`${name} reports no "${count}": it has tested nothing`);
      this.#reached.set(figure, this.reached(figure) + reached);
    }
    for (const [what, count] of counts) {
      this.#totals.set(`${name}: ${what}`, (this.#totals.get(`${name}: ${what}`) ?? 0) + count);
    }
    const from = this.#seeds.get(name)?.from ?? seed;
    this.#seeds.set(name, { from, to: seed + step.seeds });
    this.#seconds.set(name, (this.#seconds.get(name) ?? 0) + seconds);
    this.done += 1;
  }

  reached(figure: Figure): number {
    return this.#reached.get(figure) ?? 0;
  }

  /** The figure that the step is run for is not reached yet. */
  isWanted(name: StepName): boolean {
    const [figure] = figuresOf(name);
    return figure !== undefined && this.reached(figure) < figures[figure].target;
  }

  totals(): string {
    const sorted = [...this.#totals].toSorted(([a], [b]) => (a < b ? -1 : 1));
    return sorted.map(([what, count]) => `  ${what}: ${count}`).join('\n');
  }

  /** In Markdown, for docs/testing.md. */
  table(wanted: readonly Figure[]): string {
    const rows = wanted.map((figure) => {
      const by = [...this.#seeds].filter(([name]) => figuresOf(name).includes(figure));
      const seeds = by.map(([name, { from, to }]) =>
        (steps[name] as Step).once ? name : `${name} ${from}..${to - 1}`,
      );
      const seconds = by.reduce((sum, [name]) => sum + this.#seconds.get(name)!, 0);
      const { target, unit }: Target = figures[figure];
      const what = unit === undefined ? figure : `${figure} (${unit})`;
      return [what, count(target), count(this.reached(figure)), seeds.join(', '), String(Math.round(seconds))];
    });
    const head = ['figure', 'target', 'reached', 'steps and their seeds', 'seconds'];
    return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
  }
}

/** The first one is what the step is run for. */
export function figuresOf(name: StepName): Figure[] {
  const { counts }: Step = steps[name];
  return Object.keys(counts ?? {}) as Figure[];
}

/** Every number in the lines of JSON that a child prints, by itself or as a test's diagnostic. */
export function countsIn(said: string): Map<string, number> {
  const counts = new Map<string, number>();
  const gather = (value: object): void => {
    for (const [name, member] of Object.entries(value)) {
      if (typeof member === 'number' && !noCounts.test(name)) counts.set(name, (counts.get(name) ?? 0) + member);
      else if (typeof member === 'object' && member !== null) gather(member);
    }
  };
  for (const line of said.split('\n')) {
    const json = /(?:^|ℹ |\r)[^{]{0,40}(\{".*\})\s*$/.exec(line)?.[1];
    if (json === undefined) continue;
    try {
      gather(JSON.parse(json) as object);
    } catch {
      // It only looks like JSON.
    }
  }
  return counts;
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}
