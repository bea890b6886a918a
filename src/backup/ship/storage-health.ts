/** Counts and tells of a storage that fails: once for each kind of failure that lasts, not at each try. */
import type { BackupCells } from '../backup-cells.ts';
import { isDamage, isNewer } from '../repository/repository.ts';
import { StorageError } from '../storage/storage.ts';
import { Backoff } from './backoff.ts';

export interface StorageHealthOptions {
  readonly cells: BackupCells;
  readonly random: () => number;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, details?: object) => void;
}

export class StorageHealth {
  readonly #options: StorageHealthOptions;
  readonly #backoff: Backoff;
  #lastFault = '';

  constructor(options: StorageHealthOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.random);
  }

  /** @param isShipping and not only looking */
  succeeded(isShipping: boolean): void {
    this.#backoff.succeeded();
    if (this.#lastFault === '') return;
    this.#lastFault = '';
    const { cells, log } = this.#options;
    if (isShipping) cells.state = 'shipping';
    log('info', 'The storage of the backups can be used again');
  }

  /** @returns milliseconds after which to try again. @throws anything but what a storage or a repository throws */
  failed(error: unknown, isShipping: boolean): number {
    const { cells, log } = this.#options;
    if (isDamage(error) || isNewer(error)) {
      cells.state = 'damaged';
      if (this.#lastFault !== error.message) log('error', `No backups are made. ${error.message}`);
      this.#lastFault = error.message;
      return this.#backoff.failed();
    }
    if (!(error instanceof StorageError)) throw error;
    cells.failed(error.fault);
    if (isShipping) cells.state = 'failing';
    if (this.#lastFault !== error.fault)
      log('warn', `The storage of the backups cannot be used; the journal is held meanwhile. ${error.message}`, {
        reason: error.fault,
      });
    this.#lastFault = error.fault;
    return this.#backoff.failed();
  }
}
