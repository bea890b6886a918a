/**
 * Who took which revision, when several could have: revisions come one after the other, each with those who could have
 * taken it, and those who have one already step aside if there is another way for all. What is of nobody, possibly, can
 * do without.
 */
export class Placement<Who> {
  readonly #taken = new Map<Who, number>();
  readonly #could = new Map<number, readonly Who[]>();
  readonly #alone = new Set<number>();

  /** How many have one. */
  get size(): number {
    return this.#taken.size;
  }

  /** Undefined: no way was found. */
  place(rev: number, could: readonly Who[], alone: boolean): Who | undefined {
    this.#could.set(rev, could);
    if (alone) this.#alone.add(rev);
    return this.#place(rev, new Set());
  }

  #place(rev: number, asked: Set<Who>): Who | undefined {
    return this.#could.get(rev)!.find((who) => {
      if (asked.has(who)) return false;
      asked.add(who);
      const other = this.#taken.get(who);
      if (other !== undefined && !this.#alone.has(other) && this.#place(other, asked) === undefined) return false;
      this.#taken.set(who, rev);
      return true;
    });
  }
}
