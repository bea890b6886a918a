/** A pseudo-random generator whose numbers repeat with the seed (mulberry32). */
export interface SeededRandom {
  /** Returns x, 0 ≤ x < 1. */
  next(): number;
  /** Returns a whole number n, 0 ≤ n < bound. */
  below(bound: number): number;
}

export function seededRandom(seed: number): SeededRandom {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  return { next, below: (bound) => Math.floor(next() * bound) };
}
