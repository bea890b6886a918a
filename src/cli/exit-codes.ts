/**
 * The exit codes. They are all that a shell script sees, so each code has one meaning in all commands. The codes above
 * 63 are from sysexits(3); `lock` ends with the exit code of its child.
 */
import type { ClientErrorCode, DragonLockError } from '../client/errors.ts';
import { errorCodes, type ErrorCode } from '../protocol/errors.ts';

export const exitCodes = {
  done: 0,
  /** The result is negative: there is no such key, a condition does not hold. */
  negative: 1,
  usage: 64,
  /** A backup is damaged. */
  damaged: 65,
  unavailable: 69,
  internal: 70,
  /** Nobody knows whether it happened: no reply came, or it could not be printed. */
  outcomeUnknown: 74,
  notAcquired: 75,
  lost: 76,
  noPermission: 77,
  cannotExecute: 126,
  commandNotFound: 127,
  /** The reader of our output has gone: 128 + SIGPIPE. */
  brokenPipe: 141,
} as const;

const codeOfStatus = {
  400: exitCodes.usage,
  401: exitCodes.noPermission,
  403: exitCodes.noPermission,
  404: exitCodes.negative,
  405: exitCodes.usage,
  409: exitCodes.negative,
  410: exitCodes.negative,
  413: exitCodes.usage,
  415: exitCodes.usage,
  421: exitCodes.unavailable,
  422: exitCodes.negative,
  429: exitCodes.unavailable,
  500: exitCodes.internal,
  503: exitCodes.unavailable,
  507: exitCodes.unavailable,
} as const satisfies Record<(typeof errorCodes)[ErrorCode]['status'], number>;

/** Errors that tell a script something else than their status does, and errors without a status. */
const codeOfError: Readonly<Partial<Record<ErrorCode, number>> & Record<ClientErrorCode, number>> = {
  not_locked: exitCodes.notAcquired,
  lock_lost: exitCodes.lost,
  request_in_progress: exitCodes.unavailable,
  account_deleting: exitCodes.unavailable,
  unreachable: exitCodes.unavailable,
  outcome_unknown: exitCodes.outcomeUnknown,
  not_dragonlock: exitCodes.unavailable,
  server_too_old: exitCodes.unavailable,
  lease_unknown: exitCodes.lost,
  released: exitCodes.internal,
  closed: exitCodes.internal,
};

export function exitCodeOf({ code }: Pick<DragonLockError, 'code'>): number {
  return codeOfError[code] ?? codeOfStatus[errorCodes[code as ErrorCode].status];
}

/** The command was called wrongly, or its input cannot be read. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Stdout cannot be written: its reader has gone, or a disk is full. */
export class OutputError extends Error {
  override readonly name = 'OutputError';
  readonly brokenPipe: boolean;

  constructor(cause: NodeJS.ErrnoException) {
    super(`Cannot write to stdout: ${cause.message}`, { cause });
    this.brokenPipe = cause.code === 'EPIPE';
  }
}

/** A command about backups failed; the exit code says how. */
export class BackupCommandError extends Error {
  override readonly name = 'BackupCommandError';
  readonly code: string;
  readonly exitCode: number;

  constructor(code: string, exitCode: number, message: string) {
    super(message);
    this.code = code;
    this.exitCode = exitCode;
  }
}

/** The result is negative, which is no fault. The message goes to stderr. */
export class NegativeResult extends Error {
  override readonly name = 'NegativeResult';
}
