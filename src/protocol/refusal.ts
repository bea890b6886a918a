import { failure, type ErrorCode, type Failure } from './errors.ts';

/**
 * Why a request is not let in. Elsewhere a client's mistake is a value. While a door takes a request apart it unwinds as
 * an exception, because some fifty small checks would otherwise each hand a result or a failure to their caller. It
 * never leaves the door, which turns it into its failure.
 */
export class Refusal extends Error {
  override name = 'Refusal';
  readonly failure: Failure;

  constructor(refused: Failure) {
    super(refused.message);
    this.failure = refused;
  }
}

export function refuse(code: ErrorCode, message: string, details?: Readonly<Record<string, unknown>>): never {
  throw new Refusal(failure(code, message, details));
}

/** 400 for one field: `path: what is wrong, what was expected`. */
export function refuseField(path: string, why: string): never {
  throw new Refusal(failure('invalid', path === '' ? why : `${path}: ${why}`));
}
