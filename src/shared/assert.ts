/** A broken invariant. No code catches it to carry on: the process goes down and recovery restores the state. */
export class InvariantError extends Error {
  override name = 'InvariantError';
}

/** @throws InvariantError with `what` when `condition` does not hold. */
export function assert(condition: unknown, what: string): asserts condition {
  if (!condition) throw new InvariantError(`invariant broken: ${what}`);
}

/** Ends a `switch` over a union: a forgotten kind does not compile, and throws if it arrives anyway. */
export function unreachable(value: never): never {
  throw new InvariantError(`invariant broken: unexpected value ${JSON.stringify(value)}`);
}
