/**
 * Revisions are dense: each belongs to one commit. Those that no answer names must be somebody's all the same: an
 * unknown outcome, something that expired, a start. Each of these can stand for one revision within its window, and the
 * gaps are given out greedily, to whose window ends first: if that fails, no other way would do.
 */

/** Stands for at most `count` revisions in (from, to]. */
export interface Explainer {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

/** The revisions between the first and the last of `used` that nobody can have taken. */
export function unexplainedGaps(used: readonly number[], explainers: readonly Explainer[]): number[] {
  const revs = Float64Array.from(used).toSorted();
  const ready = explainers.toSorted((a, b) => a.from - b.from);
  const open = new Heap();
  const unexplained: number[] = [];
  let next = 0;
  for (let i = 1; i < revs.length; i++) {
    for (let gap = revs[i - 1]! + 1; gap < revs[i]!; gap++) {
      for (; next < ready.length && ready[next]!.from < gap; next++) {
        for (let n = 0; n < ready[next]!.count; n++) open.push(ready[next]!.to);
      }
      let to = open.pop();
      while (to !== undefined && to < gap) to = open.pop();
      if (to === undefined) unexplained.push(gap);
      if (unexplained.length >= 100) return unexplained;
    }
  }
  return unexplained;
}

/** The smallest first. */
class Heap {
  readonly #items: number[] = [];

  push(item: number): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    for (let up = (at - 1) >> 1; at > 0 && items[up]! > item; up = (at - 1) >> 1) {
      items[at] = items[up]!;
      at = up;
    }
    items[at] = item;
  }

  pop(): number | undefined {
    const items = this.#items;
    const [first] = items;
    const last = items.pop();
    if (last === undefined || items.length === 0) return first;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      if (down + 1 < items.length && items[down + 1]! < items[down]!) down += 1;
      if (down >= items.length || items[down]! >= last) break;
      items[at] = items[down]!;
      at = down;
    }
    items[at] = last;
    return first;
  }
}
