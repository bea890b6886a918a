/**
 * What the backup thread tells all others, and what they ask of it: numbers in shared memory, so that nobody waits for it.
 * A front end reads them for /metrics and the calls about backups.
 */
import { storageFaults, type StorageFault } from './storage/storage.ts';

/** In this order in the metric's labels. */
export const backupStates = [
  'off',
  'starting',
  'shipping',
  'failing',
  'superseded',
  'unadopted',
  'foreign',
  'rolled_back',
  'damaged',
] as const;
export type BackupState = (typeof backupStates)[number];

const cellNames = [
  'state',
  'writer',
  /** The last revision in the repository, its moment, and when everything durable was last there. */
  'shipped',
  'shippedAt',
  'caughtUpAt',
  'objects',
  'bytes',
  'gaps',
  'restarts',
  /** Of the journal, for the sake of the backup. */
  'heldBytes',
  'holdDropped',
  /** Copies done since the start, the last one, whether one is being made, and how many rows it has. */
  'copies',
  'copyRevision',
  'copyAt',
  'copying',
  'copyingRows',
  'pruned',
  /** When a check, or a drill, last found nothing wrong. */
  'verifiedAt',
  'drilledAt',
  /** By how many milliseconds the storage's clock is ahead. */
  'clockOffset',
  /** 1: the storage has no conditional puts. */
  'fencedByLists',
  /** Objects that the last claim could not read. */
  'damagedObjects',
  'askedForCopies',
  'takenCopies',
  'askedToAdopt',
  'takenAdopt',
] as const;
type Cell = (typeof cellNames)[number];

export class BackupCells {
  readonly #cells: Float64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#cells = new Float64Array(memory);
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer((cellNames.length + storageFaults.length) * Float64Array.BYTES_PER_ELEMENT);
  }

  get(cell: Cell): number {
    return this.#cells[cellNames.indexOf(cell)]!;
  }

  set(cell: Cell, value: number): void {
    this.#cells[cellNames.indexOf(cell)] = value;
  }

  add(cell: Cell, value: number): void {
    this.set(cell, this.get(cell) + value);
  }

  clear(): void {
    this.#cells.fill(0);
  }

  get state(): BackupState {
    return backupStates[this.get('state')] ?? 'off';
  }

  set state(state: BackupState) {
    this.set('state', backupStates.indexOf(state));
  }

  failures(fault: StorageFault): number {
    return this.#cells[cellNames.length + storageFaults.indexOf(fault)]!;
  }

  failed(fault: StorageFault): void {
    this.#cells[cellNames.length + storageFaults.indexOf(fault)]! += 1;
  }
}

/** Up to which revision the journal may let go of segments, for the sake of the backup. All threads share it. */
export class JournalHold {
  readonly #cell: BigInt64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#cell = new BigInt64Array(memory);
  }

  set(shipped: number): void {
    Atomics.store(this.#cell, 0, BigInt(shipped));
  }

  /** The journal may let go of everything. */
  release(): void {
    this.set(Number.MAX_SAFE_INTEGER);
  }
}
