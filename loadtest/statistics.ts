/** The value below which the share `q` (0 to 1) of the values lies. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

/** The middle one; of an even number, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new Error('There is no median of nothing');
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The item whose number is in the middle: a whole run, so that all its figures belong together. */
export function medianBy<Item>(items: readonly Item[], numberOf: (item: Item) => number): Item {
  const sorted = items.toSorted((a, b) => numberOf(a) - numberOf(b));
  const middle = sorted[Math.floor((sorted.length - 1) / 2)];
  if (middle === undefined) throw new Error('There is no median of nothing');
  return middle;
}

/**
 * Ours through theirs. Run n of the one is compared with run n of the other, which came right after it: what a shared
 * machine does in the meantime hits both. The median of those ratios is not the ratio of the medians.
 */
export function pairedRatio(ours: readonly number[], theirs: readonly number[]): number {
  if (ours.length !== theirs.length) throw new Error(`${ours.length} runs cannot be paired with ${theirs.length}`);
  return median(ours.map((value, run) => value / theirs[run]!));
}

export function thousands(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** 0.0123 → "0.0123", 1234 → "1,234"; three digits that matter. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return 'unknown';
  if (Math.abs(value) >= 99.95) return thousands(value);
  return value.toPrecision(3);
}
