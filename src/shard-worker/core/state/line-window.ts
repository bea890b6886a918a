const windowMax = 256;

/** The first keys of a range of entries. */
export class LineWindow {
  #keys: string[] = [];
  #complete = false;
  #passed: string | undefined;

  get keys(): readonly string[] {
    return this.#keys;
  }

  /** Whether there are no further keys in the range. */
  get complete(): boolean {
    return this.#complete;
  }

  /**
   * Up to this key the range has nothing but what stands here. A read goes on behind it: what has been deleted since the
   * last checkpoint would be passed again by each.
   */
  get passed(): string | undefined {
    return this.#passed;
  }

  set(keys: string[], complete: boolean): void {
    this.#keys = keys;
    this.#complete = complete;
  }

  add(key: string): void {
    const last = this.#keys.at(-1);
    if (last === undefined || key > last) {
      if (this.#complete) this.#keys.push(key);
      else this.#forget(key);
    } else {
      const at = this.#placeOf(key);
      if (this.#keys[at] !== key) this.#keys.splice(at, 0, key);
    }
    if (this.#keys.length <= windowMax) return;
    this.#forget(this.#keys[windowMax / 2]!);
    this.#keys.length = windowMax / 2;
    this.#complete = false;
  }

  /** @returns whether it was there */
  remove(key: string): boolean {
    if (this.#keys[0] === key) {
      this.#keys.shift();
      if (this.#passed === undefined || key > this.#passed) this.#passed = key;
      return true;
    }
    const at = this.#placeOf(key);
    if (this.#keys[at] !== key) return false;
    this.#keys.splice(at, 1);
    return true;
  }

  /** This key is in the range, and does not stand here. */
  #forget(key: string): void {
    if (this.#passed !== undefined && key <= this.#passed) this.#passed = undefined;
  }

  /** The index of the first key that is not lower. */
  #placeOf(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#keys[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
