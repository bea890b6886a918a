import { failure, type ErrorCode, type Failure } from '../protocol/errors.ts';

/**
 * Why a request is not let in. Everywhere else a client's mistake is a value; while a request is being taken apart it
 * unwinds as an exception, because every one of some fifty small checks would otherwise hand its caller either a result
 * or a failure to pass on. It never leaves the edge: `data-route.ts` and the error handler turn it into its failure.
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

/** 400 for one field: `path: what was wrong, what was expected`. */
export function refuseField(path: string, why: string): never {
  throw new Refusal(failure('invalid', path === '' ? why : `${path}: ${why}`));
}

/** A value as a message shows it: short, and never more than its beginning. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}… (${text.length} characters)` : text;
}
