/** What a script thread tells all others without a message: shared memory, one block for each thread. */
const names = ['beat', 'client', 'run', 'load', 'thread'] as const;
type Cell = (typeof names)[number];

export class ScriptCells {
  readonly memory: SharedArrayBuffer;
  readonly #cells: Int32Array;

  constructor(memory = new SharedArrayBuffer(names.length * Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#cells = new Int32Array(memory);
  }

  get(cell: Cell): number {
    return Atomics.load(this.#cells, names.indexOf(cell));
  }

  set(cell: Cell, value: number): void {
    Atomics.store(this.#cells, names.indexOf(cell), value);
  }

  add(cell: Cell, value: number): void {
    Atomics.add(this.#cells, names.indexOf(cell), value);
  }
}
