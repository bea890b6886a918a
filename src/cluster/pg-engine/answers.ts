/**
 * What an error of PostgreSQL says of its statement. Each statement is its own transaction, so an error before the commit
 * means that nothing was done. The texts and severities of a server are in its own language: only codes are looked at.
 *
 * @see https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
import { assert } from '../../shared/assert.ts';

type Failure = 'nothing' | 'full' | 'unknown';

export interface FailureClass {
  /** `nothing` and `full` hold only if the connection outlives the error: the last words of a server that dies prove nothing. */
  readonly kind: Failure;
  /** Somebody has to change something; to repeat it helps only then. */
  readonly isForOperator: boolean;
  /** This server is no primary (any more). */
  readonly isElsewhere: boolean;
}

const plain = { isForOperator: false, isElsewhere: false };

/** @param code the SQLSTATE; undefined: the connection broke, or there was no answer in time */
export function classOfFailure(code: string | undefined): FailureClass {
  switch (code) {
    case '40001': // serialization failure
    case '40P01': // deadlock
    case '55P03': // lock not available
    case '57014': // cancelled before its commit: one that is cancelled in its commit is answered with a warning
    case '53200': // out of memory
      return { ...plain, kind: 'nothing' };
    case '25006': // a transaction that can only read
      return { kind: 'nothing', isForOperator: false, isElsewhere: true };
    case '53100': // disk full
      return { ...plain, kind: 'full' };
    default:
      // Data, constraints, missing tables, missing rights. 40003 and 08…, 57P0… say that nobody knows.
      if (code !== undefined && /^(22|23|42|3D|3F|28)/.test(code))
        return { ...plain, kind: 'nothing', isForOperator: true };
      return { ...plain, kind: 'unknown' };
  }
}

/**
 * Whether a notice takes the proof out of an answer. PostgreSQL answers a commit whose wait for the standby was cancelled
 * with success and a warning: it is not durable.
 */
export function isWarning(code: string | undefined): boolean {
  assert(code === undefined || code.length === 5, 'an SQLSTATE has five characters');
  return code !== '00000';
}
