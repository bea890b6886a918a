/** A storage in memory, which fails as it is told to. */
import {
  StorageError,
  type BackupStorage,
  type StorageFault,
  type StoredObject,
} from '../../src/backup/storage/storage.ts';

export type StorageCall = 'put' | 'get' | 'head' | 'list' | 'delete';

/** What happens to a call instead: it fails before or after it was done, or a get returns too little. */
export type PlannedFault =
  | { readonly kind: 'before' | 'after'; readonly fault: StorageFault }
  | { readonly kind: 'truncated' }
  | undefined;

export class MemoryStorage implements BackupStorage {
  readonly name = 'memory:';
  readonly objects = new Map<string, { bytes: Buffer; madeAt: number }>();
  /** Asked before each call. */
  plan: (call: StorageCall, key: string) => PlannedFault = () => undefined;
  time = 1_800_000_000_000;
  calls: string[] = [];
  /** Without, a put overwrites. */
  honoursConditions = true;
  /** Awaited before each call. */
  delay: ((call: StorageCall, key: string) => Promise<void>) | undefined;

  async put(key: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    return this.#call('put', key, () => {
      if (this.honoursConditions && this.objects.has(key)) return 'exists';
      this.objects.set(key, { bytes: Buffer.from(bytes), madeAt: this.time });
      return 'created';
    });
  }

  async get(key: string): Promise<Buffer | undefined> {
    const planned = this.plan('get', key);
    if (planned?.kind === 'truncated') {
      const { bytes } = this.objects.get(key) ?? { bytes: undefined };
      return bytes?.subarray(0, bytes.length >> 1);
    }
    return this.#call('get', key, () => {
      const found = this.objects.get(key)?.bytes;
      return found && Buffer.from(found);
    });
  }

  async head(key: string): Promise<StoredObject | undefined> {
    return this.#call('head', key, () => {
      const found = this.objects.get(key);
      return found && { key, bytes: found.bytes.length, madeAt: found.madeAt };
    });
  }

  async list(prefix: string): Promise<readonly StoredObject[]> {
    return this.#call('list', prefix, () =>
      [...this.objects]
        .filter(([key]) => key.startsWith(prefix))
        .map(([key, { bytes, madeAt }]) => ({ key, bytes: bytes.length, madeAt }))
        .toSorted((a, b) => (a.key < b.key ? -1 : 1)),
    );
  }

  async delete(key: string): Promise<void> {
    return this.#call('delete', key, () => void this.objects.delete(key));
  }

  now(): number {
    return this.time;
  }

  close(): void {}

  keys(prefix = ''): string[] {
    return [...this.objects.keys()].filter((key) => key.startsWith(prefix)).toSorted();
  }

  /** Another storage with the same objects. */
  copy(): MemoryStorage {
    const copy = new MemoryStorage();
    for (const [key, { bytes, madeAt }] of this.objects) copy.objects.set(key, { bytes: Buffer.from(bytes), madeAt });
    copy.time = this.time;
    return copy;
  }

  async #call<T>(call: StorageCall, key: string, run: () => T): Promise<T> {
    await this.delay?.(call, key);
    this.calls.push(`${call} ${key}`);
    const planned = this.plan(call, key);
    if (planned?.kind === 'before') throw new StorageError(planned.fault, `${call} ${key}: planned`);
    const result = run();
    if (planned?.kind === 'after') throw new StorageError(planned.fault, `${call} ${key}: the answer was lost`);
    return result;
  }
}
