import { gotText, invalid } from './checks.ts';
import type { LockOptions } from './lock.ts';

/** What runs while a lock is held. */
export type Section<Held, Result> = (held: Held) => Result | Promise<Result>;

export type SectionArguments<Held, Result> =
  | [run: Section<Held, Result>]
  | [options: LockOptions | undefined, run: Section<Held, Result>];

/** Tells the options from the function: the options may be left out. @throws InvalidError */
export function sectionOf<Held, Result>(
  rest: SectionArguments<Held, Result>,
): {
  readonly options: LockOptions | undefined;
  readonly run: Section<Held, Result>;
} {
  const [options, run] = typeof rest[0] === 'function' ? [undefined, rest[0]] : [rest[0], rest[1]];
  if (typeof run !== 'function') throw invalid(`the function to run: expected a function, got ${gotText(run)}`);
  return { options, run };
}
