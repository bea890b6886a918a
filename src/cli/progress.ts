/**
 * How far a long command is, on stderr. On a terminal it is one line that is replaced, with a bar and the time left;
 * elsewhere a line now and then, so that a log of it stays short.
 */
export interface ProgressOutput {
  readonly showsErrors: boolean;
  errorLine(message: string): void;
  /** @returns erases it */
  transient(message: string): () => void;
}

const terminalEveryMs = 200;
const lineEveryMs = 10_000;
const barWidth = 20;

export class Progress {
  readonly #output: ProgressOutput;
  readonly #what: string;
  readonly #now: () => number;
  readonly #begun: number;
  #shownAt: number;
  #erase: (() => void) | undefined;

  /** @param now milliseconds of a monotonic clock */
  constructor(output: ProgressOutput, what: string, now: () => number) {
    this.#output = output;
    this.#what = what;
    this.#now = now;
    this.#begun = now();
    // A short command says nothing.
    this.#shownAt = this.#begun;
  }

  /** @param total 0: unknown */
  show(done: number, total: number, detail: string): void {
    const { showsErrors } = this.#output;
    const now = this.#now();
    if (now - this.#shownAt < (showsErrors ? terminalEveryMs : lineEveryMs)) return;
    this.#shownAt = now;
    const text = `${this.#what}: ${this.#parts(done, total, now, showsErrors)}${detail}`;
    if (!showsErrors) return this.#output.errorLine(text);
    this.#erase?.();
    this.#erase = this.#output.transient(text);
  }

  /** Removes the line from the terminal. */
  end(): void {
    this.#erase?.();
    this.#erase = undefined;
  }

  #parts(done: number, total: number, now: number, isTerminal: boolean): string {
    if (total === 0) return '';
    const part = Math.min(done / total, 1);
    const full = Math.round(part * barWidth);
    const bar = isTerminal ? `[${'#'.repeat(full)}${'.'.repeat(barWidth - full)}] ` : '';
    const leftSeconds = done === 0 ? undefined : Math.ceil(((now - this.#begun) * (1 / part - 1)) / 1000);
    const left = leftSeconds === undefined ? '' : `, ${leftSeconds} s left`;
    return `${bar}${Math.floor(part * 100)}% (${done} of ${total} objects${left}), `;
  }
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
