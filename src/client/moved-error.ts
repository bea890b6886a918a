import { DragonLockError } from './errors.ts';

/**
 * The account is on another machine, which could not be followed to; nothing was done. Two machines may send to each
 * other, or one that is asked by TLS to one without.
 */
export class MovedError extends DragonLockError {
  /** The address of the machine that has the account, as the last one knows it. */
  get owner(): string {
    return String(this.details['Owner']);
  }
}
