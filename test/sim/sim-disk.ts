/**
 * The disk of one life of the process: a `FaultDisk` with two additions. Long operations (filling a segment with zeros)
 * take several turns of the scheduler. The checker sees each frame when it is written, and again when its file was
 * synced.
 */
import type { Disk, DiskFile } from '../../src/shared/disk.ts';
import { frameHeaderBytes, frameMagic } from '../../src/journal/file/frame.ts';
import { segmentHeaderBytes } from '../../src/journal/file/segment.ts';
import { decodeRecord, peekRecord, type CommitRecord } from '../../src/protocol/record.ts';
import type { FaultDisk } from '../support/fault-disk.ts';

export interface FrameWatcher {
  written(records: readonly CommitRecord[]): void;
  /** Called when the frame that ends with this revision is on the medium. */
  synced(last: number): void;
  /** Called when no file has this name any more. */
  removed(file: string): void;
  /** Called while the journal waits for its disk: the other threads go on. */
  meanwhile(): void;
}

const magic = frameMagic.readUInt32LE(0);

export class SimDisk implements Disk {
  readonly #disk: FaultDisk;
  readonly #turn: (run: () => void) => void;
  readonly #watcher: FrameWatcher;

  constructor(disk: FaultDisk, turn: (run: () => void) => void, watcher: FrameWatcher) {
    this.#disk = disk;
    this.#turn = turn;
    this.#watcher = watcher;
  }

  list(directory: string): string[] {
    return this.#disk.list(directory);
  }

  mkdir(directory: string): void {
    this.#disk.mkdir(directory);
  }

  rename(from: string, to: string): void {
    this.#disk.rename(from, to);
    this.#watcher.removed(from);
  }

  unlink(file: string): void {
    this.#disk.unlink(file);
    this.#watcher.removed(file);
  }

  syncDirectory(directory: string): void {
    this.#disk.syncDirectory(directory);
  }

  async writeZeros(file: string, bytes: number): Promise<void> {
    await new Promise<void>(this.#turn);
    await this.#disk.writeZeros(file, bytes);
    await new Promise<void>(this.#turn);
  }

  open(file: string, mode: 'create' | 'write' | 'read'): DiskFile {
    const handle = this.#disk.open(file, mode);
    if (mode === 'read') return handle;
    const watcher = this.#watcher;
    let unsynced = 0;
    return {
      ...handle,
      write(buffer, offset, length, position) {
        const records = position < segmentHeaderBytes ? undefined : recordsIn(buffer, offset, length);
        // Reported before the write: one that is cut short may still be whole on the disk.
        if (records !== undefined) {
          watcher.written(records);
          watcher.meanwhile();
        }
        handle.write(buffer, offset, length, position);
        if (records !== undefined) watcher.meanwhile();
        if (records !== undefined) unsynced = records.at(-1)!.rev;
      },
      datasync() {
        handle.datasync();
        if (unsynced > 0) watcher.synced(unsynced);
        unsynced = 0;
      },
    };
  }
}

/** Returns the records of a frame, if a frame is written. */
function recordsIn(bytes: Uint8Array, offset: number, length: number): CommitRecord[] | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset + offset, length);
  if (length < frameHeaderBytes || buffer.readUInt32LE(0) !== magic || buffer.readUInt32LE(8) !== length)
    return undefined;
  const records: CommitRecord[] = [];
  for (let at = frameHeaderBytes; at < length; at += peekRecord(buffer, at).length)
    records.push(decodeRecord(buffer, at));
  return records;
}
