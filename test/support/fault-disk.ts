/**
 * A disk in memory that does what real ones are allowed to do.
 *
 * A file has two contents: what the page cache shows, and what is on the medium. A sync moves one to the other; a power
 * cut (`powerCut`) keeps of the unsynced 512-byte sectors, and of the unsynced directory operations, any subset,
 * chosen by a seed. A process that dies (`restart`) loses nothing but its open files.
 *
 * A directory that `mkdir` makes is a name in its parent: until that is synced, a power cut may take it away with all
 * that is in it, however often the directory itself was synced. Its parents, and directories that nobody makes, are
 * there from the start.
 *
 * Faults: `crashAt` ends the process at the k-th call (every call from then on throws `Crash`; a write may have
 * happened in part). `inject` makes a call fail with a code. After a failed sync the pages are clean and not on the
 * medium, as on Linux. `freeBytes` is what files may still grow by. `injected` counts the faults that took effect: a
 * test that expects some asserts that it is not 0.
 */
import path from 'node:path';
import type { Disk, DiskFile } from '../../src/shared/disk.ts';
import { seededRandom, type SeededRandom } from './seeded-random.ts';

export const sectorBytes = 512;

export type DiskOperation =
  | 'list'
  | 'mkdir'
  | 'open'
  | 'rename'
  | 'unlink'
  | 'syncDirectory'
  | 'writeZeros'
  | 'size'
  | 'read'
  | 'write'
  | 'datasync'
  | 'sync'
  | 'close';

export interface DiskCall {
  readonly operation: DiskOperation;
  /** The file's name without its directory. */
  readonly name: string;
  /** 1 for the first call of this disk. */
  readonly number: number;
}

/** The process has ended. */
export class Crash extends Error {
  override name = 'Crash';
}

interface Inode {
  cache: Buffer;
  medium: Buffer;
  readonly dirty: Set<number>;
}

type DirectoryChange =
  | { readonly kind: 'create'; readonly file: string; readonly inode: Inode }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string; readonly inode: Inode }
  | { readonly kind: 'unlink'; readonly file: string };

export class FaultDisk implements Disk {
  /** Returns an error code if this call must fail. */
  inject: ((call: DiskCall) => string | undefined) | undefined;
  /** The number of the call at which the process ends. */
  crashAt = Infinity;
  freeBytes = Infinity;
  calls = 0;
  injected = 0;
  /** While set, `writeZeros` waits for it. */
  gate: Promise<void> | undefined;
  readonly #random: SeededRandom;
  #crashed = false;
  #current: Map<string, Inode>;
  readonly #durable: Map<string, Inode>;
  #changes: DirectoryChange[] = [];
  /** What `mkdir` has made. */
  #directories = new Set<string>();
  /** Those of them whose names are not on the medium. */
  #unsyncedDirectories = new Set<string>();

  constructor(seed: number, files = new Map<string, Inode>()) {
    this.#random = seededRandom(seed);
    this.#current = new Map(files);
    this.#durable = new Map(files);
  }

  get crashed(): boolean {
    return this.#crashed;
  }

  /** Cuts the power: returns a disk with what is on the medium, and any part of what was on its way there. */
  powerCut(seed: number): FaultDisk {
    const random = seededRandom(seed);
    const files = new Map(this.#durable);
    for (const change of this.#changes) if (random.next() < 0.5) applyChange(files, change);
    const lost = [...this.#unsyncedDirectories].filter(() => random.next() < 0.5);
    for (const file of files.keys()) if (lost.some((directory) => file.startsWith(`${directory}/`))) files.delete(file);
    const kept = new Map<string, Inode>();
    const copies = new Map<Inode, Inode>();
    for (const [file, inode] of files) {
      let copy = copies.get(inode);
      if (copy === undefined) copies.set(inode, (copy = survivor(inode, random)));
      kept.set(file, copy);
    }
    const next = this.#successor(seed, kept);
    next.#directories = this.#directories.difference(new Set(lost));
    return next;
  }

  /** Ends only the process: the page cache stays, and so does what a failed sync left in it. */
  restart(seed = 1): FaultDisk {
    const next = this.#successor(seed, new Map(this.#durable));
    next.#current = new Map(this.#current);
    next.#changes = [...this.#changes];
    next.#directories = new Set(this.#directories);
    next.#unsyncedDirectories = new Set(this.#unsyncedDirectories);
    return next;
  }

  /** Returns the content that a reader sees, for tests that damage it. */
  contents(file: string): Buffer {
    return this.#inode(file).cache;
  }

  /** Changes a file without a call, on the medium too. */
  damage(file: string, change: (bytes: Buffer) => void): void {
    const inode = this.#inode(file);
    change(inode.cache);
    change(inode.medium);
  }

  /** Returns file names with their contents, to compare two states. */
  snapshot(): Map<string, Buffer> {
    return new Map(Array.from(this.#current, ([file, inode]) => [file, Buffer.from(inode.cache)]));
  }

  list(directory: string): string[] {
    this.#enter('list', directory);
    return [...this.#current.keys()]
      .filter((file) => path.dirname(file) === directory)
      .map((file) => path.basename(file))
      .toSorted();
  }

  mkdir(directory: string): void {
    this.#enter('mkdir', directory);
    if (this.#directories.has(directory)) return;
    this.#directories.add(directory);
    this.#unsyncedDirectories.add(directory);
  }

  open(file: string, mode: 'create' | 'write' | 'read'): DiskFile {
    this.#enter('open', file);
    let inode = this.#current.get(file);
    if (mode === 'create') {
      if (inode !== undefined) throw diskError('EEXIST', 'open', file);
      inode = this.#create(file);
    }
    if (inode === undefined) throw diskError('ENOENT', 'open', file);
    return this.#handle(file, inode, mode !== 'read');
  }

  rename(from: string, to: string): void {
    this.#enter('rename', from);
    const inode = this.#inode(from);
    this.freeBytes += this.#current.get(to)?.cache.length ?? 0;
    this.#change({ kind: 'rename', from, to, inode });
  }

  unlink(file: string): void {
    this.#enter('unlink', file);
    this.freeBytes += this.#inode(file).cache.length;
    this.#change({ kind: 'unlink', file });
  }

  syncDirectory(directory: string): void {
    this.#enter('syncDirectory', directory);
    const rest: DirectoryChange[] = [];
    for (const change of this.#changes) {
      const file = change.kind === 'rename' ? change.from : change.file;
      if (path.dirname(file) === directory) applyChange(this.#durable, change);
      else rest.push(change);
    }
    this.#changes = rest;
    for (const made of this.#unsyncedDirectories)
      if (path.dirname(made) === directory) this.#unsyncedDirectories.delete(made);
  }

  async writeZeros(file: string, bytes: number): Promise<void> {
    this.#enter('writeZeros', file);
    const inode = this.#current.get(file) ?? this.#create(file);
    await this.gate;
    this.#assertAlive();
    const before = inode.cache;
    this.freeBytes += before.length;
    const granted = Math.min(bytes, this.freeBytes);
    this.freeBytes -= granted;
    inode.cache = Buffer.alloc(granted);
    if (granted < bytes) {
      this.injected += 1;
      throw diskError('ENOSPC', 'write', file);
    }
    for (let sector = 0; sector * sectorBytes < bytes; sector += 1) inode.dirty.add(sector);
    try {
      this.#enter('writeZeros', file);
    } catch (error) {
      // It stands for many calls, and stops in the middle: the rest of an existing file is unchanged.
      const from = Math.floor(this.#random.next() * bytes);
      if (from < before.length) before.copy(inode.cache, from, from);
      throw error;
    }
    inode.medium = Buffer.alloc(bytes);
    inode.dirty.clear();
  }

  #handle(file: string, inode: Inode, writable: boolean): DiskFile {
    const enter = (operation: DiskOperation): boolean => this.#enter(operation, file);
    const sync = (operation: 'sync' | 'datasync') => {
      try {
        enter(operation);
      } catch (error) {
        // The kernel reports the error once and considers the pages clean.
        if (!(error instanceof Crash)) inode.dirty.clear();
        throw error;
      }
      inode.medium = resized(inode.medium, inode.cache.length);
      for (const sector of inode.dirty) copySector(inode.cache, inode.medium, sector);
      inode.dirty.clear();
    };
    return {
      size: () => {
        enter('size');
        return inode.cache.length;
      },
      read: (buffer, offset, length, position) => {
        enter('read');
        return inode.cache.copy(buffer, offset, position, Math.min(position + length, inode.cache.length));
      },
      write: (buffer, offset, length, position) => {
        if (!writable) throw diskError('EBADF', 'write', file);
        const put = (bytes: number) => {
          const end = position + bytes;
          if (end > inode.cache.length) {
            this.freeBytes -= end - inode.cache.length;
            inode.cache = resized(inode.cache, end);
          }
          inode.cache.set(buffer.subarray(offset, offset + bytes), position);
          for (let at = position - (position % sectorBytes); at < end; at += sectorBytes)
            inode.dirty.add(at / sectorBytes);
        };
        try {
          enter('write');
        } catch (error) {
          // A write that failed or was cut short may have put anything into the page cache.
          put(Math.floor(this.#random.next() * (length + 1)));
          throw error;
        }
        const room = Math.max(0, inode.cache.length - position) + this.freeBytes;
        put(Math.min(length, room));
        if (length > room) {
          this.injected += 1;
          throw diskError('ENOSPC', 'write', file);
        }
      },
      datasync: () => sync('datasync'),
      sync: () => sync('sync'),
      close: () => {
        enter('close');
      },
    };
  }

  #enter(operation: DiskOperation, file: string): boolean {
    this.#assertAlive();
    this.calls += 1;
    if (this.calls >= this.crashAt) {
      this.#crashed = true;
      throw new Crash(`the process ends at call ${this.calls}: ${operation} ${path.basename(file)}`);
    }
    const code = this.inject?.({ operation, name: path.basename(file), number: this.calls });
    if (code === undefined) return true;
    this.injected += 1;
    throw diskError(code, operation, file);
  }

  #assertAlive(): void {
    if (this.#crashed) throw new Crash('the process has ended');
  }

  #inode(file: string): Inode {
    const inode = this.#current.get(file);
    if (inode === undefined) throw diskError('ENOENT', 'open', file);
    return inode;
  }

  #create(file: string): Inode {
    const inode: Inode = { cache: Buffer.alloc(0), medium: Buffer.alloc(0), dirty: new Set() };
    this.#change({ kind: 'create', file, inode });
    return inode;
  }

  #change(change: DirectoryChange): void {
    applyChange(this.#current, change);
    this.#changes.push(change);
  }

  #successor(seed: number, files: Map<string, Inode>): FaultDisk {
    const next = new FaultDisk(seed, files);
    next.freeBytes = this.freeBytes;
    return next;
  }
}

function survivor(inode: Inode, random: SeededRandom): Inode {
  const size = random.next() < 0.5 ? inode.cache.length : inode.medium.length;
  const medium = resized(Buffer.from(inode.medium), size);
  for (const sector of inode.dirty) if (random.next() < 0.5) copySector(inode.cache, medium, sector);
  return { cache: Buffer.from(medium), medium, dirty: new Set() };
}

/**
 * Each name of a directory is kept or lost independently. A rename is about one file: it never moves another file that
 * had the name before, even if the removal of that file was lost.
 */
function applyChange(files: Map<string, Inode>, change: DirectoryChange): void {
  switch (change.kind) {
    case 'create':
      files.set(change.file, change.inode);
      return;
    case 'unlink':
      files.delete(change.file);
      return;
    case 'rename':
      if (files.get(change.from) === change.inode) files.delete(change.from);
      files.set(change.to, change.inode);
  }
}

function resized(buffer: Buffer, size: number): Buffer {
  if (size === buffer.length) return buffer;
  const next = Buffer.alloc(size);
  buffer.copy(next, 0, 0, Math.min(size, buffer.length));
  return next;
}

function copySector(from: Buffer, to: Buffer, sector: number): void {
  from.copy(
    to,
    sector * sectorBytes,
    sector * sectorBytes,
    Math.min((sector + 1) * sectorBytes, from.length, to.length),
  );
}

function diskError(code: string, operation: string, file: string): Error {
  return Object.assign(new Error(`${code}: ${operation} ${file}`), { code });
}
