/** The value below which the share `q` (0 to 1) of the values lies. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

/** The middle value; for an even count the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new Error('There is no median of nothing');
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The item whose number is in the middle. Returns a whole run, so that its figures belong together. */
export function medianBy<Item>(items: readonly Item[], numberOf: (item: Item) => number): Item {
  const sorted = items.toSorted((a, b) => numberOf(a) - numberOf(b));
  const middle = sorted[Math.floor((sorted.length - 1) / 2)];
  if (middle === undefined) throw new Error('There is no median of nothing');
  return middle;
}

/**
 * Ours divided by theirs. Compares run n of one with run n of the other, which came right after it, so that a busy
 * moment of a shared machine affects both. The median of these ratios is not the ratio of the medians.
 */
export function pairedRatio(ours: readonly number[], theirs: readonly number[]): number {
  if (ours.length !== theirs.length)
    throw new Error(`Runs cannot be paired: expected ${ours.length} runs, got ${theirs.length}`);
  return median(ours.map((value, run) => value / theirs[run]!));
}

export function thousands(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** Three significant digits: 0.0123 → "0.0123", 1234 → "1,234". */
export function short(value: number): string {
  if (!Number.isFinite(value)) return 'unknown';
  if (Math.abs(value) >= 99.95) return thousands(value);
  return value.toPrecision(3);
}
