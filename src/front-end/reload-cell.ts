/** Whether the last reload succeeded, for `/metrics` of every front end. Before the first one it is true. */
export class ReloadCell {
  readonly #failed: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#failed = new Int32Array(memory);
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  }

  get succeeded(): boolean {
    return Atomics.load(this.#failed, 0) === 0;
  }

  set(succeeded: boolean): void {
    Atomics.store(this.#failed, 0, succeeded ? 0 : 1);
  }
}
