/**
 * What the order of answers and questions says about revisions. Who was answered before another asked comes before it:
 * a commit takes a higher revision than all that was told before, a read sees at least that much.
 */
import {
  claimedRevision,
  describe,
  surelyCommitted,
  type History,
  type Operation,
  type Restart,
  type Violation,
} from './history.ts';

/** For each operation, by its place in the history: where its revision may lie, without looking at what it claims. */
export interface Bounds {
  /** The highest revision that was told before it was sent, and who was told. -1: nobody was. */
  readonly lo: Float64Array;
  readonly toldTo: Int32Array;
  /** No higher than what was asked after it was answered. */
  readonly hi: Float64Array;
  /** 1: its answer can only come from a commit. */
  readonly commits: Uint8Array;
}

export function boundsOf({ operations, restarts = [] }: History): Bounds {
  const count = operations.length;
  const claims = new Float64Array(count).fill(NaN);
  const sentAts = new Float64Array(count);
  const ends = new Float64Array(count);
  const commits = new Uint8Array(count);
  operations.forEach((operation, i) => {
    const { call, answer, sentAt } = operation;
    sentAts[i] = sentAt;
    ends[i] = endOf(operation, restarts);
    if (answer === undefined) return;
    claims[i] = claimedRevision(answer) ?? NaN;
    commits[i] = surelyCommitted(call, answer) ? 1 : 0;
  });
  const sent = sortedBy(sentAts);
  const answered = sortedBy(ends);
  const bounds: Bounds = {
    lo: new Float64Array(count),
    toldTo: new Int32Array(count).fill(-1),
    hi: new Float64Array(count).fill(Infinity),
    commits,
  };
  let at = 0;
  let told = -1;
  for (const i of sent) {
    for (; at < count && ends[answered[at]!]! < sentAts[i]!; at++) {
      const j = answered[at]!;
      if (claims[j]! >= 0 && (told < 0 || claims[j]! > claims[told]!)) told = j;
    }
    bounds.toldTo[i] = told;
    bounds.lo[i] = told < 0 ? 0 : claims[told]!;
  }
  let lowest = Infinity;
  let next = count - 1;
  for (let k = count - 1; k >= 0; k--) {
    const j = answered[k]!;
    for (; next >= 0 && sentAts[sent[next]!]! > ends[j]!; next--) {
      const i = sent[next]!;
      // A start takes a revision, so that what was unknown then is below all that was told after it.
      const below = claims[i]! - bounds.commits[i]!;
      if (below < lowest) lowest = below;
    }
    bounds.hi[j] = lowest;
  }
  return bounds;
}

/** The highest revision that anybody had been told by a time. */
export function toldBefore({ operations }: History): (time: number) => number {
  const told: { readonly at: number; rev: number }[] = [];
  for (const { answer } of operations) {
    const rev = answer && claimedRevision(answer);
    if (answer !== undefined && rev !== undefined) told.push({ at: answer.at, rev });
  }
  told.sort((a, b) => a.at - b.at);
  for (let i = 1; i < told.length; i++) told[i]!.rev = Math.max(told[i]!.rev, told[i - 1]!.rev);
  return (time) => {
    let lo = 0;
    let hi = told.length;
    while (lo < hi) {
      const middle = (lo + hi) >> 1;
      if (told[middle]!.at < time) lo = middle + 1;
      else hi = middle;
    }
    return told[lo - 1]?.rev ?? 0;
  };
}

/** From when on an operation cannot happen any more: it was answered, or the server that it was sent to is gone. */
export function endOf({ sentAt, answer }: Operation, restarts: NonNullable<History['restarts']>): number {
  if (answer !== undefined) return answer.at;
  return restarts.find(({ downAt }) => downAt >= sentAt)?.downAt ?? Infinity;
}

/** Whether it was asked of that start or a later one. What is of the very moment is told apart by its answer. */
export function isAfter({ sentAt, answer }: Operation, { downAt }: Restart): boolean {
  return answer === undefined ? sentAt > downAt : sentAt >= downAt && answer.at > downAt;
}

export function realTimeViolations({ operations }: History, { lo, toldTo, commits: committed }: Bounds): Violation[] {
  const violations: Violation[] = [];
  operations.forEach((operation, i) => {
    const { answer } = operation;
    const claim = answer && claimedRevision(answer);
    if (answer === undefined || claim === undefined) return;
    const commits = committed[i] === 1;
    if (claim > lo[i]! || (claim === lo[i]! && !commits)) return;
    const earlier = operations[toldTo[i]!];
    if (earlier === undefined) return;
    const what = commits ? `committed at revision ${claim}` : `claims revision ${claim}`;
    const fault = commits ? 'it has to be higher' : 'it read a state that was past';
    violations.push({
      verdict: 'violation',
      message: `${describe(operation)} ${what}, though revision ${lo[i]} had been told before it was sent, to ${describe(earlier)}: ${fault}.`,
      operations: [operation.id, earlier.id],
    });
  });
  return violations;
}

/** Places in ascending order; what is sorted already costs nothing. */
function sortedBy(values: Float64Array): ArrayLike<number> & Iterable<number> {
  const places = new Int32Array(values.length);
  for (let i = 0; i < places.length; i++) places[i] = i;
  for (let i = 1; i < values.length; i++) {
    // Array.prototype.sort knows runs, which these are made of; that of typed arrays does not.
    if (values[i]! < values[i - 1]!) return Array.from(places).toSorted((a, b) => values[a]! - values[b]!);
  }
  return places;
}
