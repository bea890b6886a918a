/** The events of a run, as a checksum and optionally as text. Two runs of one seed have the same. */
import { crc32 } from 'node:zlib';

export class Trace {
  events = 0;
  #crc = 0;
  readonly #print: ((line: string) => void) | undefined;
  readonly #now: () => number;

  constructor(now: () => number, print?: (line: string) => void) {
    this.#now = now;
    this.#print = print;
  }

  note(event: string): void {
    this.events += 1;
    const line = `${this.#now()} ${event}`;
    this.#crc = crc32(line, this.#crc);
    this.#print?.(`${this.events} ${line}`);
  }

  get digest(): string {
    return `${this.events}:${this.#crc.toString(16)}`;
  }
}

/** How often things happened over all runs: faults that took effect, commands that succeeded. */
export class Counts {
  readonly #counts = new Map<string, number>();

  add(name: string, by = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + by);
  }

  get(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  merge(other: Iterable<readonly [string, number]>): void {
    for (const [name, count] of other) this.add(name, count);
  }

  entries(): [string, number][] {
    return [...this.#counts].toSorted(([a], [b]) => (a < b ? -1 : 1));
  }
}

/** A run has broken an invariant. */
export class Violation extends Error {
  override name = 'Violation';
}
