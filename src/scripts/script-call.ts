/** The call of a script as a door hands it over, and what comes of it. */
import type { AccountId, Revision } from '../protocol/ids.ts';
import { failure, type Failure } from '../protocol/errors.ts';
import type { IdempotencyOptions } from '../protocol/operations/idempotency.ts';
import type { TaskEndOperation } from '../protocol/operations/task-definition.ts';
import type { GuardOperation } from '../protocol/operations/lock.ts';
import { failureReply, type Reply } from '../protocol/replies.ts';
import { unreachable } from '../shared/assert.ts';
import { noDefaultExport, type ScriptFault, type ScriptOutcome } from './script-run.ts';

export interface ScriptCallRequest {
  readonly account: AccountId;
  /** Of a stored script; absent: `source` is there. */
  readonly name?: string;
  readonly source?: string;
  /** Of the stored script; absent: the current one. */
  readonly version?: number;
  /** JSON text. */
  readonly args: string;
  /** What it will read, so that one round does. */
  readonly keys: readonly string[];
  readonly guard?: readonly GuardOperation[];
  /** Absent: the default. */
  readonly cpuMs?: number;
  readonly idempotency?: IdempotencyOptions;
  /** It may make tasks that send requests. */
  readonly sends?: boolean;
  /** Of the run of a task: its end, which is part of the commit. Asked for at each try. */
  readonly taskEnd?: () => TaskEndOperation;
}

/** Ends a call with a failure. Like `Refusal`, it never leaves the executor. */
export class CallFailed extends Error {
  override name = 'CallFailed';
  readonly reply: Reply;

  constructor(reply: Reply) {
    super(reply.outcome);
    this.reply = reply;
  }
}

/** @param rev that the reply depends on */
export function fail(rev: Revision, why: Failure): never {
  throw new CallFailed(failureReply(rev, why));
}

/** The error of a script as clients see it. */
export function faultMembers({ name, message, line, column }: ScriptFault): Readonly<Record<string, unknown>> {
  return {
    Name: name,
    Message: message,
    ...(line !== undefined && { Line: line }),
    ...(column !== undefined && { Column: column }),
  };
}

export function scriptFailed(fault: ScriptFault, log?: readonly string[]): Failure {
  const where = fault.line === undefined ? '' : ` (line ${fault.line}, column ${fault.column ?? 1})`;
  const message = `The script failed: ${fault.name}: ${fault.message}${where}; nothing was done.`;
  return failure('script_failed', message, { Error: faultMembers(fault), ...(log !== undefined && { Log: log }) });
}

/** Why a source is not stored, or not run: without a default export it is no script. */
export function sourceRefused(fault: ScriptFault): Failure {
  return isNoScript(fault) ? failure('invalid', `${fault.message}; nothing was done.`) : scriptFailed(fault);
}

function isNoScript({ name, message }: ScriptFault): boolean {
  return name === 'SyntaxError' && message === noDefaultExport;
}

type Failed = Exclude<ScriptOutcome, { kind: 'done' | 'needs' }>;

/** @param cpuMs that the run might take */
export function failureOfRun(outcome: Failed, cpuMs: number): Failure {
  switch (outcome.kind) {
    case 'refused': {
      const { reason, details, log } = outcome;
      const told = { Reason: reason, ...(details !== undefined && { Details: JSON.parse(details) as unknown }) };
      return failure('script_refused', `The script refused: ${reason}; nothing was done.`, { ...told, Log: log });
    }
    case 'failed':
      return isNoScript(outcome.error) ? sourceRefused(outcome.error) : scriptFailed(outcome.error, outcome.log);
    case 'timeout': {
      const message = `The script took more than ${cpuMs} ms of CPU time; it was ended, and nothing was done.`;
      return failure('script_timeout', message, { CPUMs: outcome.cpuMs, Log: outcome.log });
    }
    case 'killed': {
      const message = 'The script could not be interrupted; its thread was killed, and nothing was done.';
      return failure('script_timeout', message, { CPUMs: outcome.cpuMs, Killed: true });
    }
    default:
      return unreachable(outcome);
  }
}
