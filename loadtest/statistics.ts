/** The value below which the share `q` (0 to 1) of the values lies. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

/** The item whose number is in the middle: a whole run, so that all its figures belong together. */
export function medianBy<Item>(items: readonly Item[], numberOf: (item: Item) => number): Item {
  const sorted = items.toSorted((a, b) => numberOf(a) - numberOf(b));
  const middle = sorted[Math.floor((sorted.length - 1) / 2)];
  if (middle === undefined) throw new Error('There is no median of nothing');
  return middle;
}

export function thousands(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** 0.0123 → "0.012"; three digits that matter. */
export function short(value: number): string {
  if (value >= 100) return thousands(value);
  return value.toPrecision(3);
}
