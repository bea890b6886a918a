import { DragonLockError } from './errors.ts';

/** The store, the account or a queue has as much as it may: only what does not add is accepted. */
export class QuotaExceededError extends DragonLockError {
  /** `bytes`, `entries` or `messages` of the account, `queue`; undefined: the whole store is full. */
  get quota(): string | undefined {
    return this.details['Quota'] as string | undefined;
  }

  /** What it may have; undefined: the whole store is full. */
  get limit(): number | undefined {
    return this.details['Limit'] as number | undefined;
  }

  /** What it has. */
  get used(): number | undefined {
    return this.details['Used'] as number | undefined;
  }
}
