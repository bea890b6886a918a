/**
 * A storage that may hang: a mount whose machine is gone, a service that takes a connection and says nothing. A call that
 * has no answer after a while fails, so that the agent can say so and look after the journal. The call itself goes on, and
 * while it does no further one is begun: calls on a mount that hangs would take all threads that Node has for files.
 */
import type { After } from '../../shared/clock.ts';
import { StorageError, type BackupStorage, type StoredObject } from './storage.ts';

/** Longer than a client of S3 waits by itself. */
const answerMsMax = 90_000;

export class PatientStorage implements BackupStorage {
  readonly #storage: BackupStorage;
  readonly #after: After;
  #late = 0;

  constructor(storage: BackupStorage, after: After) {
    this.#storage = storage;
    this.#after = after;
  }

  get name(): string {
    return this.#storage.name;
  }

  put(key: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    return this.#call(`put ${key}`, () => this.#storage.put(key, bytes));
  }

  get(key: string): Promise<Buffer | undefined> {
    return this.#call(`get ${key}`, () => this.#storage.get(key));
  }

  head(key: string): Promise<StoredObject | undefined> {
    return this.#call(`head ${key}`, () => this.#storage.head(key));
  }

  list(prefix: string): Promise<readonly StoredObject[]> {
    return this.#call(`list ${prefix}`, () => this.#storage.list(prefix));
  }

  delete(key: string): Promise<void> {
    return this.#call(`delete ${key}`, () => this.#storage.delete(key));
  }

  now(): number | undefined {
    return this.#storage.now();
  }

  close(): void {
    this.#storage.close();
  }

  async #call<T>(what: string, run: () => Promise<T>): Promise<T> {
    if (this.#late > 0) throw new StorageError('unreachable', `${this.name}: a call is still without an answer`);
    const late = Promise.withResolvers<never>();
    let isLate = false;
    const cancel = this.#after(answerMsMax, () => {
      isLate = true;
      this.#late += 1;
      late.reject(
        new StorageError('unreachable', `${this.name}: ${what}: no answer within ${answerMsMax / 1000} seconds`),
      );
    });
    const answer = run().finally(() => {
      cancel();
      if (isLate) this.#late -= 1;
    });
    // Whoever waited has gone when it comes late.
    answer.catch(() => undefined);
    return Promise.race([answer, late.promise]);
  }
}
