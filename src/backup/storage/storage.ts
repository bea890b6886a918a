/**
 * Where a repository of backups is kept: five verbs on whole objects under keys with slashes. Every object is created
 * once and never changed, so there is no append, no rename and no partial read.
 */
export interface BackupStorage {
  /** Says where it is, without any secret. */
  readonly name: string;
  /**
   * Creates an object.
   * @returns `exists` if there is one of that key already: nothing was changed
   * @throws StorageError
   */
  put(key: string, bytes: Uint8Array): Promise<'created' | 'exists'>;
  /** @returns undefined if there is no such object. @throws StorageError */
  get(key: string): Promise<Buffer | undefined>;
  /** @returns undefined if there is no such object. @throws StorageError */
  head(key: string): Promise<StoredObject | undefined>;
  /** All objects whose keys begin with `prefix`, by key. @throws StorageError */
  list(prefix: string): Promise<readonly StoredObject[]>;
  /** A missing object is no error. @throws StorageError */
  delete(key: string): Promise<void>;
  /** The storage's time when it last answered, in milliseconds since the Unix epoch; undefined: it has not told. */
  now(): number | undefined;
  close(): void;
}

export interface StoredObject {
  readonly key: string;
  readonly bytes: number;
  /** When it was made, by the storage's clock: milliseconds since the Unix epoch. */
  readonly madeAt: number;
}

/** Why a call to the storage failed; all of them may pass. */
export const storageFaults = ['unreachable', 'slow_down', 'denied', 'full', 'skewed', 'other'] as const;
export type StorageFault = (typeof storageFaults)[number];

export class StorageError extends Error {
  override name = 'StorageError';
  readonly fault: StorageFault;

  constructor(fault: StorageFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.fault = fault;
  }
}

/** No object of a repository is larger, so that a retry is always a whole object. One frame may make a larger one. */
export const objectBytesMax = 16 * 1024 * 1024;
