/**
 * A repository in a directory, which may be a mount of another machine. An object is written to a temporary file,
 * synced, linked to its name (which fails if the name is taken), and the directory is synced. So a crash leaves the
 * object, or nothing but a file under `tmp/`, which nobody reads.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { wallMs } from '../../shared/clock.ts';
import { StorageError, type BackupStorage, type StorageFault, type StoredObject } from './storage.ts';

const temporary = 'tmp';
/** A temporary file that is older was left by a process that has ended. */
const leftOverMs = 24 * 60 * 60 * 1000;

export class FileStorage implements BackupStorage {
  readonly name: string;
  readonly #root: string;
  /** Directories that are there, with durable names. */
  readonly #made = new Set<string>();
  #writes = 0;
  #toldAt: number | undefined;

  constructor(directory: string) {
    this.#root = path.resolve(directory);
    this.name = `file://${this.#root}`;
  }

  put(key: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    return this.#call(`put ${key}`, async () => {
      const file = this.#file(key);
      await this.#makeDirectory(path.join(this.#root, temporary));
      await this.#makeDirectory(path.dirname(file));
      const scratch = path.join(this.#root, temporary, `${process.pid}-${++this.#writes}-${Math.trunc(wallMs())}`);
      const handle = await fs.open(scratch, 'wx', 0o600);
      try {
        await handle.writeFile(bytes);
        await handle.sync();
      } finally {
        await handle.close();
      }
      try {
        await fs.link(scratch, file);
      } catch (error) {
        if (codeOf(error) === 'EEXIST') return 'exists';
        throw error;
      } finally {
        await fs.unlink(scratch).catch(() => undefined);
      }
      await syncDirectory(path.dirname(file));
      return 'created';
    });
  }

  get(key: string): Promise<Buffer | undefined> {
    return this.#call(`get ${key}`, () => orUndefined(fs.readFile(this.#file(key))));
  }

  head(key: string): Promise<StoredObject | undefined> {
    return this.#call(`head ${key}`, async () => {
      const stat = await orUndefined(fs.stat(this.#file(key)));
      return stat?.isFile() === true ? { key, bytes: stat.size, madeAt: stat.mtimeMs } : undefined;
    });
  }

  list(prefix: string): Promise<readonly StoredObject[]> {
    return this.#call(`list ${prefix}`, async () => {
      const found: StoredObject[] = [];
      await this.#walk(prefix.slice(0, prefix.lastIndexOf('/') + 1), prefix, found);
      return found.toSorted((a, b) => (a.key < b.key ? -1 : 1));
    });
  }

  delete(key: string): Promise<void> {
    return this.#call(`delete ${key}`, async () => {
      const file = this.#file(key);
      await orUndefined(fs.unlink(file));
      // A folder goes with its last object; one that is not empty stays.
      const folder = path.dirname(file);
      this.#made.delete(folder);
      await fs.rmdir(folder).catch(() => undefined);
    });
  }

  now(): number | undefined {
    return this.#toldAt;
  }

  close(): void {}

  /** Removes what processes that have ended were about to write. */
  async removeLeftOvers(): Promise<void> {
    const directory = path.join(this.#root, temporary);
    for (const name of (await orUndefined(fs.readdir(directory))) ?? []) {
      const file = path.join(directory, name);
      const stat = await orUndefined(fs.stat(file));
      if (stat !== undefined && stat.mtimeMs < wallMs() - leftOverMs) await orUndefined(fs.unlink(file));
    }
  }

  async #walk(folder: string, prefix: string, found: StoredObject[]): Promise<void> {
    const names = (await orUndefined(fs.readdir(path.join(this.#root, folder), { withFileTypes: true }))) ?? [];
    for (const entry of names) {
      const key = `${folder}${entry.name}`;
      if (key === temporary) continue;
      if (entry.isDirectory()) {
        const inside = `${key}/`;
        if (inside.startsWith(prefix) || prefix.startsWith(inside)) await this.#walk(inside, prefix, found);
      } else if (key.startsWith(prefix)) {
        const stat = await orUndefined(fs.stat(path.join(this.#root, key)));
        if (stat !== undefined) found.push({ key, bytes: stat.size, madeAt: stat.mtimeMs });
      }
    }
  }

  #file(key: string): string {
    return path.join(this.#root, ...key.split('/'));
  }

  async #makeDirectory(directory: string): Promise<void> {
    if (this.#made.has(directory)) return;
    const first = await fs.mkdir(directory, { recursive: true, mode: 0o700 });
    if (first !== undefined) {
      for (let at = directory; at.length >= first.length; at = path.dirname(at)) await syncDirectory(path.dirname(at));
    }
    this.#made.add(directory);
  }

  async #call<T>(what: string, run: () => Promise<T>): Promise<T> {
    try {
      const result = await run();
      this.#toldAt = wallMs();
      return result;
    } catch (error) {
      // The directory may have been unmounted, or emptied by hand.
      this.#made.clear();
      const fault = faults[codeOf(error) ?? ''] ?? 'other';
      throw new StorageError(fault, `${this.name}: ${what}: ${(error as Error).message}`, { cause: error });
    }
  }
}

const faults: Readonly<Record<string, StorageFault>> = {
  EACCES: 'denied',
  EPERM: 'denied',
  EROFS: 'denied',
  ENOSPC: 'full',
  EDQUOT: 'full',
  EIO: 'unreachable',
  ESTALE: 'unreachable',
  ETIMEDOUT: 'unreachable',
  ENOTCONN: 'unreachable',
};

async function syncDirectory(directory: string): Promise<void> {
  const handle = await fs.open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function orUndefined<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}
