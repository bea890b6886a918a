import { failure, type ErrorCode, type Failure } from './errors.ts';

/**
 * The reason why a front end refuses a request. Elsewhere a client's mistake is a value. While a front end parses a
 * request it is an exception, because some fifty small checks would otherwise each return a result or a failure. It
 * never leaves the front end, which turns it into its failure.
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

/** Refuses one field as invalid: `path: what is wrong, what was expected`. */
export function refuseField(path: string, why: string): never {
  throw new Refusal(failure('invalid', path === '' ? why : `${path}: ${why}`));
}
