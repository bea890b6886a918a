/**
 * The audit log: what was forced or administered, by whom, and why. Each account has its own, and the server has one
 * under `serverAccount`. An entry is written in the commit of what it tells, so there is never one without the other.
 * No call deletes entries: the oldest go when there are too many, or after a time.
 */
import { auditReasonCharsMax } from '../../shared/limits.ts';
import type { AccountId } from '../ids.ts';
import { refuseField } from '../refusal.ts';
import type { CommandSpec } from './command.ts';
import { singleSection } from './section.ts';

/** What a door notes in a batch that forces or administers something. */
export interface AuditOperation {
  /** In dotted words: `lock.force`, `queue.purge`, `server.reload`. */
  readonly action: string;
  /** The name of what was changed. */
  readonly subject: string;
  /** The name of the token; empty without tokens. */
  readonly who: string;
  /** The client's address. */
  readonly from: string;
  readonly reason?: string;
}

/**
 * The name of an account's audit log, by which it has a shard. No client can name it. Entries are parts of it:
 * `NUL e ‹number›`, and `NUL h` has the next number.
 */
export const auditLogName = '';

/** It has no member in the body of `POST /db/:acc`: the front end adds it. */
export const auditSection = singleSection<AuditOperation, never>({
  body: 'audit',
  schema: {},
  key: () => auditLogName,
  // What frees space must not fail because it is noted: the log of an account does not grow beyond its limit.
  effect: () => 'free',
  scope: () => 'condition',
  read: () => undefined,
});

export interface AuditList {
  readonly kind: 'audit.list';
  readonly account: AccountId;
  /** Exclusive: the number of the last entry that was seen. Newer ones stand before it. */
  readonly after?: number;
  readonly action?: string;
  readonly limit: number;
}

export const auditList = {
  scope: () => 'read',
  keys: () => [auditLogName],
} as const satisfies CommandSpec<AuditList>;

/** Checks the reason of a force. @throws Refusal */
export function readReason(text: string, path: string): string {
  if (text === '') return refuseField(path, `expected a reason of 1 to ${auditReasonCharsMax} characters, got ""`);
  if (!text.isWellFormed()) return refuseField(path, 'expected well-formed Unicode, got a lone surrogate');
  const characters = text.length > auditReasonCharsMax ? Array.from(text).length : 0;
  if (characters > auditReasonCharsMax)
    return refuseField(path, `expected at most ${auditReasonCharsMax} characters, got ${characters}`);
  return text;
}
