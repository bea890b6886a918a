/**
 * What front ends count of scripts, for `/metrics`. All share the memory; each has a row of its own and is the only one to
 * write it.
 *
 *     one row of Float64: calls under way │ conflicts │ runs │ killed │ CPU ms
 */
const cellsOfRow = 5;

export interface ScriptTotals {
  readonly underWay: number;
  readonly conflicts: number;
  readonly runs: number;
  readonly kills: number;
  readonly cpuMs: number;
}

export class ScriptCounts {
  readonly #cells: Float64Array;
  readonly #row: number;

  constructor(memory: SharedArrayBuffer, frontEnd: number) {
    this.#cells = new Float64Array(memory);
    this.#row = frontEnd * cellsOfRow;
  }

  static allocate(frontEnds: number): SharedArrayBuffer {
    return new SharedArrayBuffer(frontEnds * cellsOfRow * Float64Array.BYTES_PER_ELEMENT);
  }

  /** A call has begun, or has ended. */
  call(change: 1 | -1): void {
    this.#cells[this.#row]! += change;
  }

  conflict(): void {
    this.#cells[this.#row + 1]! += 1;
  }

  compiled(cpuMs: number, killed: boolean): void {
    if (killed) this.#cells[this.#row + 3]! += 1;
    this.#cells[this.#row + 4]! += cpuMs;
  }

  ran(cpuMs: number, killed: boolean): void {
    this.#cells[this.#row + 2]! += 1;
    if (killed) this.#cells[this.#row + 3]! += 1;
    this.#cells[this.#row + 4]! += cpuMs;
  }

  /** Of all front ends. */
  totals(): ScriptTotals {
    const sums = [0, 0, 0, 0, 0];
    this.#cells.forEach((value, i) => (sums[i % cellsOfRow]! += value));
    const [underWay, conflicts, runs, kills, cpuMs] = sums as [number, number, number, number, number];
    return { underWay, conflicts, runs, kills, cpuMs };
  }
}
