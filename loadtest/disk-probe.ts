/**
 * Measures the disk itself, the bound of every durable figure: write 4 KiB into a preallocated file, fdatasync, repeat.
 * A journal cannot be faster for one client alone.
 */
import fs from 'node:fs';
import path from 'node:path';
import { quantile } from './statistics.ts';

export interface DiskProbe {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const fileBytes = 16 * 1024 * 1024;
const writeBytes = 4096;
const tmpfsType = 0x01021994;

export function probeDisk(directory: string, writes: number): DiskProbe {
  const file = path.join(directory, 'fdatasync-probe');
  const fd = fs.openSync(file, 'w');
  try {
    fs.writeSync(fd, Buffer.alloc(fileBytes), 0, fileBytes, 0);
    fs.fsyncSync(fd);
    const bytes = Buffer.alloc(writeBytes, 0x78);
    const durations: number[] = [];
    for (let i = 0; i < writes; i++) {
      const start = performance.now();
      fs.writeSync(fd, bytes, 0, writeBytes, (i * writeBytes) % fileBytes);
      fs.fdatasyncSync(fd);
      durations.push(performance.now() - start);
    }
    return { p50Ms: quantile(durations, 0.5), p99Ms: quantile(durations, 0.99) };
  } finally {
    fs.closeSync(fd);
    fs.unlinkSync(file);
  }
}

/** Whether the directory is on tmpfs, where durable figures mean nothing. */
export function isMemory(directory: string): boolean {
  return fs.statfsSync(directory).type === tmpfsType;
}
