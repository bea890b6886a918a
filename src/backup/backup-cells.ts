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
  /** 1: a copy is asked for or being made. Of several front ends that are asked at once, one takes it. */
  readonly #copyTaken: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#cells = new Float64Array(memory, 0, cellNames.length + storageFaults.length);
    this.#copyTaken = new Int32Array(memory, this.#cells.byteLength, 1);
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer((cellNames.length + storageFaults.length + 1) * Float64Array.BYTES_PER_ELEMENT);
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

  /** @returns the number of the request; undefined: a copy is asked for already, or being made */
  askForCopy(): number | undefined {
    if (Atomics.compareExchange(this.#copyTaken, 0, 0, 1) !== 0) return undefined;
    this.add('askedForCopies', 1);
    return this.get('askedForCopies');
  }

  copyBegins(): void {
    Atomics.store(this.#copyTaken, 0, 1);
    this.set('copying', 1);
  }

  /**
   * Another may be asked for, unless one is that was not begun yet.
   * @param done the request that was taken; absent: none was
   */
  copyEnds(done = this.get('takenCopies')): void {
    this.set('copying', 0);
    this.set('copyingRows', 0);
    if (this.get('askedForCopies') === done) Atomics.store(this.#copyTaken, 0, 0);
    // Last: who has waited for it may ask for the next at once.
    this.set('takenCopies', done);
  }

  clear(): void {
    this.#cells.fill(0);
    Atomics.store(this.#copyTaken, 0, 0);
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
