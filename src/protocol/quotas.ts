/**
 * What an account may store. A quota is used up once as much is stored: then whatever adds is refused, whatever does
 * not is served. A batch that begins below it may end above it, by its own size.
 */
import type { Limits } from '../shared/limits.ts';
import { kinds, type Kind } from './record.ts';
import { serverAccount, type AccountId } from './ids.ts';

/** What an account has stored, or may store. */
export interface Amounts {
  /** Of storage keys and values as they are stored. */
  readonly bytes: number;
  /**
   * Keys, counters, sequences, locks, rate limits, messages, tasks and scripts. Not idempotency ids, or a delete with one would make no
   * room; and not what queues note of messages.
   */
  readonly entries: number;
  /** In every state, the dead too. */
  readonly messages: number;
  /** Those that have ended and are remembered, too. */
  readonly tasks: number;
}

export const amountNames = ['bytes', 'entries', 'messages', 'tasks'] as const satisfies readonly (keyof Amounts)[];

/** Whether each entry of this kind counts as one. Of queues, only messages do. */
export function isEntryOfQuota(kind: Kind): boolean {
  if (kind === kinds.queue || kind === kinds.share || kind === kinds.taskState) return false;
  return kind !== kinds.idempotency && !isNote(kind);
}

/** Whether the bytes count. What the server notes for administrators is bounded, and the account cannot delete it. */
export function hasBytesOfQuota(kind: Kind): boolean {
  return !isNote(kind);
}

function isNote(kind: Kind): boolean {
  return kind === kinds.audit || kind === kinds.deletion;
}

/** What an account uses of its quota. A member of `quota` that is Infinity has no limit. */
export interface QuotaUse extends Amounts {
  readonly quota: Amounts;
}

/** Quotas of single accounts, instead of those for all; 0: none. */
export type OwnQuotas = ReadonlyMap<string, Partial<Amounts>>;
export type QuotaLimits = Pick<
  Limits,
  'account_bytes_max' | 'account_entries_max' | 'account_messages_max' | 'account_tasks_max'
>;

export const noAmounts: Amounts = { bytes: 0, entries: 0, messages: 0, tasks: 0 };

export class Quotas {
  static readonly none = new Quotas({
    account_bytes_max: 0,
    account_entries_max: 0,
    account_messages_max: 0,
    account_tasks_max: 0,
  });
  /** Whether any account has one. */
  any = false;
  #ofAll: Amounts | undefined;
  #own: ReadonlyMap<string, Amounts | undefined> = new Map();

  constructor(limits: QuotaLimits, own: OwnQuotas = new Map()) {
    this.replace(limits, own);
  }

  /** Takes over other quotas, from the next look at one on. */
  replace(limits: QuotaLimits, own: OwnQuotas): void {
    const all = {
      bytes: limits.account_bytes_max,
      entries: limits.account_entries_max,
      messages: limits.account_messages_max,
      tasks: limits.account_tasks_max,
    };
    this.#ofAll = quotaOf(all);
    this.#own = new Map(Array.from(own, ([name, amounts]) => [name, quotaOf({ ...all, ...amounts })]));
    this.any = this.#ofAll !== undefined || [...this.#own.values()].some((quota) => quota !== undefined);
  }

  /** Returns the account's quota; undefined: it has none. */
  of(account: AccountId): Amounts | undefined {
    if (!this.any || account === serverAccount) return undefined;
    return this.#own.has(account) ? this.#own.get(account) : this.#ofAll;
  }
}

function quotaOf({ bytes, entries, messages, tasks }: Amounts): Amounts | undefined {
  if (bytes === 0 && entries === 0 && messages === 0 && tasks === 0) return undefined;
  return {
    bytes: bytes || Infinity,
    entries: entries || Infinity,
    messages: messages || Infinity,
    tasks: tasks || Infinity,
  };
}

/** Returns whether the account may add nothing more of some sort. */
export function isUsedUp({ bytes, entries, messages, tasks, quota }: QuotaUse): boolean {
  if (bytes >= quota.bytes || entries >= quota.entries) return true;
  return messages >= quota.messages || tasks >= quota.tasks;
}
