/**
 * Checks that the memory of a process is flat. Collections between two readings are noise, so a level is the lowest of
 * several readings. The level after the last rounds is compared with that after the first: a leak grows with every
 * round, a plateau does not.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { sleep } from '../support/crash-trial.ts';

export const mib = 1024 * 1024;

/** @returns undefined where there is no /proc */
function residentBytes(pid: number): number | undefined {
  const file = `/proc/${pid}/status`;
  if (!fs.existsSync(file)) return undefined;
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(fs.readFileSync(file, 'utf8'))?.[1]) * 1024;
}

/** Connections among them. */
export function openFiles(pid: number): number {
  return fs.readdirSync(`/proc/${pid}/fd`).length;
}

export class Memory {
  readonly #pid: number;
  readonly #levels: number[] = [];
  #peak = 0;
  readonly #watch: NodeJS.Timeout;

  constructor(pid: number) {
    this.#pid = pid;
    this.#watch = setInterval(() => this.#read(), 100).unref();
  }

  /** The end of a round. */
  async level(): Promise<void> {
    let lowest = Infinity;
    for (let i = 0; i < 5; i += 1) {
      lowest = Math.min(lowest, this.#read());
      await sleep(50);
    }
    this.#levels.push(lowest);
  }

  /** The highest reading, in MiB. */
  get peakMib(): number {
    return Math.round(this.#peak / mib);
  }

  get levelsMib(): readonly number[] {
    return this.#levels.map((bytes) => Math.round(bytes / mib));
  }

  /** @param growthMib what may come on top of the first rounds' highest level: caches that fill, a heap that settles */
  assertFlat(growthMib: number): void {
    clearInterval(this.#watch);
    const half = Math.ceil(this.#levels.length / 2);
    const first = Math.max(...this.#levels.slice(0, half));
    const last = Math.min(...this.#levels.slice(half));
    const seen = `levels in MiB: ${this.levelsMib.join(', ')}; peak ${this.peakMib}`;
    assert(this.#levels.length >= 4, 'enough rounds to tell');
    assert(last <= first + growthMib * mib, `flat: at most ${growthMib} MiB more after the later rounds; ${seen}`);
  }

  /** @param limitMib over what it was when all began */
  assertPeakBelow(limitMib: number): void {
    assert(this.peakMib <= limitMib, `never more than ${limitMib} MiB; it was ${this.peakMib}`);
  }

  #read(): number {
    let bytes = 0;
    try {
      bytes = residentBytes(this.#pid) ?? 0;
    } catch {
      // It has just ended.
    }
    this.#peak = Math.max(this.#peak, bytes);
    return bytes;
  }
}
