/**
 * Which runs have a thread: of one account a few at a time, over all front ends; the others wait here, first come, first
 * served. Front ends do not wake each other, so each may have one run of an account whatever the others do.
 */
import type { AccountUse } from '../router/account-counts.ts';
import { scriptRunsMax } from './script-limits.ts';

interface Line {
  running: number;
  readonly waiting: (() => void)[];
}

export class RunQueue {
  readonly #lines = new Map<string, Line>();

  /** Resolves when the account may have a run more. Call `leave` when that has ended. */
  enter(use: AccountUse): Promise<void> {
    const line = this.#lines.get(use.account) ?? { running: 0, waiting: [] };
    this.#lines.set(use.account, line);
    return new Promise((resolve) => {
      line.waiting.push(() => {
        line.running += 1;
        resolve();
      });
      serve(use, line);
    });
  }

  leave(use: AccountUse): void {
    const line = this.#lines.get(use.account)!;
    line.running -= 1;
    use.give('scriptRuns');
    serve(use, line);
    if (line.running === 0 && line.waiting.length === 0) this.#lines.delete(use.account);
  }
}

function serve(use: AccountUse, { running, waiting }: Line): void {
  const [next] = waiting;
  if (next === undefined || !use.take('scriptRuns', running === 0 ? 0 : scriptRunsMax)) return;
  waiting.shift();
  next();
}
