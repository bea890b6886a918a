/**
 * Which runs have a thread. Runs of one account that wait together go to a thread together, as a bundle: a message to a
 * thread and its answer cost more than a run. Of one account a few bundles are under way at a time, over all front ends;
 * other runs wait here, first come, first served. Front ends do not wake each other, so each may have one bundle of an
 * account whatever the others do.
 */
import type { AccountUse } from '../router/account-counts.ts';
import { scriptBundleBytesMax, scriptBundleRunsMax, scriptRunsMax } from './script-limits.ts';
import type { ScriptOutcome, ScriptPool, ScriptRun } from './script-run.ts';

export interface WaitingRun {
  /** About as many as its message takes. */
  readonly bytes: number;
  /** Called when a thread may have it, and again if that thread was killed by another run. What it throws is its end. */
  readonly begin: () => ScriptRun;
}

interface Waiting extends WaitingRun {
  readonly resolve: (outcome: ScriptOutcome) => void;
  readonly reject: (error: unknown) => void;
}

interface Line {
  readonly use: AccountUse;
  /** Bundles. */
  running: number;
  waiting: Waiting[];
  /** It is served at the end of this turn, with all that comes until then. */
  isDue: boolean;
}

export class RunQueue {
  readonly #pool: Pick<ScriptPool, 'run'>;
  readonly #lines = new Map<string, Line>();

  constructor(pool: Pick<ScriptPool, 'run'>) {
    this.#pool = pool;
  }

  run(use: AccountUse, run: WaitingRun): Promise<ScriptOutcome> {
    return new Promise((resolve, reject) => {
      let line = this.#lines.get(use.account);
      if (line === undefined) this.#lines.set(use.account, (line = { use, running: 0, waiting: [], isDue: false }));
      line.waiting.push({ ...run, resolve, reject });
      this.#serveSoon(line);
    });
  }

  #serveSoon(line: Line): void {
    if (line.isDue) return;
    line.isDue = true;
    queueMicrotask(() => {
      line.isDue = false;
      this.#serve(line);
    });
  }

  #serve(line: Line): void {
    const { use } = line;
    while (line.waiting.length > 0 && use.take('scriptRuns', line.running === 0 ? 0 : scriptRunsMax)) {
      line.running += 1;
      void this.#runBundle(line);
    }
    if (line.running === 0 && line.waiting.length === 0 && !line.isDue) this.#lines.delete(use.account);
  }

  async #runBundle(line: Line): Promise<void> {
    const { bundle, runs } = bundleOf(line);
    let outcomes: readonly (ScriptOutcome | undefined)[] = [];
    let failed: { readonly error: unknown } | undefined;
    if (runs.length > 0)
      await this.#pool.run(runs).then(
        (all) => (outcomes = all),
        (error: unknown) => (failed = { error }),
      );
    line.running -= 1;
    line.use.give('scriptRuns');
    const again: Waiting[] = [];
    bundle.forEach((waiting, i) => {
      const outcome = outcomes[i];
      if (outcome !== undefined) waiting.resolve(outcome);
      else if (failed !== undefined) waiting.reject(failed.error);
      else again.push(waiting);
    });
    if (again.length > 0) line.waiting = [...again, ...line.waiting];
    this.#serveSoon(line);
  }
}

/** Takes the next ones from a line. */
function bundleOf(line: Line): { readonly bundle: readonly Waiting[]; readonly runs: readonly ScriptRun[] } {
  const bundle: Waiting[] = [];
  const runs: ScriptRun[] = [];
  let taken = 0;
  let bytes = 0;
  for (const waiting of line.waiting) {
    bytes += waiting.bytes;
    if (bundle.length === scriptBundleRunsMax || (bytes > scriptBundleBytesMax && bundle.length > 0)) break;
    taken += 1;
    try {
      runs.push(waiting.begin());
      bundle.push(waiting);
    } catch (error) {
      waiting.reject(error);
    }
  }
  line.waiting = line.waiting.slice(taken);
  return { bundle, runs };
}
