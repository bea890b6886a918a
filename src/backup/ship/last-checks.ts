/** When the backup was last checked, and drilled, by whoever did it: `dragonlock verify` notes it in the repository. */
import type { BackupCells } from '../backup-cells.ts';
import type { CheckHeader } from '../format/headers.ts';
import { isDamage, type Repository } from '../repository/repository.ts';

const everyMs = 60 * 60 * 1000;

export class LastChecks {
  readonly #cells: BackupCells;
  #dueAt = -Infinity;
  /** The key of the last one that was read. */
  #seen = '';

  constructor(cells: BackupCells) {
    this.#cells = cells;
  }

  /** Looks for new ones each hour. @throws StorageError */
  async look(repository: Repository, elapsedMs: number): Promise<void> {
    if (elapsedMs < this.#dueAt) return;
    const stored = await repository.storage.list('checks/');
    for (const { key } of stored.toReversed()) {
      if (key <= this.#seen) break;
      await this.#read(repository, key);
      // The first look goes back as far as there is one of each kind.
      if (this.#seen === '' && this.#cells.get('verifiedAt') > 0 && this.#cells.get('drilledAt') > 0) break;
    }
    this.#seen = stored.at(-1)?.key ?? this.#seen;
    this.#dueAt = elapsedMs + everyMs;
  }

  async #read(repository: Repository, key: string): Promise<void> {
    try {
      const { header } = await repository.readHeader<CheckHeader>(key, 'check');
      const cell = header.what === 'drill' ? 'drilledAt' : 'verifiedAt';
      // One that has found something does not count.
      if (header.ok && header.at > this.#cells.get(cell)) this.#cells.set(cell, header.at);
    } catch (error) {
      if (!isDamage(error)) throw error;
    }
  }
}
