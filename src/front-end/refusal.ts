import { failure, type ErrorCode, type Failure } from '../protocol/errors.ts';

/**
 * Why the front end refuses a request. Everywhere else a client's mistake is a value. While a request is parsed it is
 * an exception, because otherwise each of some fifty small checks would return either a result or a failure to pass on.
 * It never leaves the front end: `data-route.ts` and the error handler turn it into its failure.
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

/** Refuses one field with 400: `path: expected …, got …`. */
export function refuseField(path: string, why: string): never {
  throw new Refusal(failure('invalid', path === '' ? why : `${path}: ${why}`));
}

/** Formats a value for a message: short, and of a long value only the beginning. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}… (${text.length} characters)` : text;
}
