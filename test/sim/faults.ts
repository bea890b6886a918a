/** Faults around a simulated server: disk calls, disk space, the wall clock. Each counts when it takes effect. */
import type { DiskCall, DiskOperation } from '../support/fault-disk.ts';
import type { World } from './world.ts';

/** The calls that may fail with a code. `size`, `list` and `close` never do here: durability does not depend on them. */
const mayFail = {
  EIO: ['mkdir', 'open', 'rename', 'unlink', 'syncDirectory', 'writeZeros', 'read', 'write', 'datasync', 'sync'],
  ENOSPC: ['mkdir', 'write', 'writeZeros', 'rename', 'open', 'syncDirectory'],
  // Those that need a file. The journal's directory is open while it serves (`diskWithReserve`).
  EMFILE: ['open', 'writeZeros'],
  ENFILE: ['open', 'writeZeros'],
  EACCES: ['mkdir', 'open', 'rename', 'unlink', 'syncDirectory', 'writeZeros'],
} as const satisfies Record<string, readonly DiskOperation[]>;

export type FailureCode = keyof typeof mayFail;

export const failureCodes = Object.keys(mayFail) as FailureCode[];

/** What a server that serves lives through: it waits for room, and then goes on. All else ends it. */
const passes = new Set<FailureCode>(['ENOSPC', 'EMFILE', 'ENFILE']);
/** A reader of history ends alone when its call fails. */
const onlyRead = new Set<DiskOperation>(['open', 'read']);
/** Commits that waited for disk space go on at the next attempt to prepare a spare segment. */
const recoversMs = 1000;

export class Faults {
  checkpointRoom = true;
  readonly #world: World;
  #fullUntil = 0;
  #fatal: string | undefined;

  constructor(world: World) {
    this.#world = world;
  }

  /** Makes one of the next calls end the process, or fail. */
  armCall(what: 'power' | FailureCode, within: number): void {
    const { disk, random } = this.#world;
    const at = disk.calls + 1 + random.below(within);
    if (what === 'power') {
      disk.crashAt = at;
      return;
    }
    this.failFrom(at, what);
  }

  /** From this number on, the first call that may fail does so, once. */
  failFrom(at: number, what: FailureCode): void {
    const operations: readonly DiskOperation[] = mayFail[what];
    const world = this.#world;
    const { disk, trace, counts } = world;
    disk.inject = ({ number, operation }: DiskCall) => {
      if (number < at || !operations.includes(operation)) return undefined;
      disk.inject = undefined;
      trace.note(`${what} for ${operation}`);
      counts.add(`${what} ${operation}`);
      // The server tries again later to prepare a spare segment, and commits may wait for it.
      if (passes.has(what)) this.#fullUntil = world.now + recoversMs;
      else if (!onlyRead.has(operation)) this.#fatal = `${what} for ${operation}`;
      return what;
    };
  }

  /** The failure of this life that must have ended the process. */
  takeFatal(): string | undefined {
    const fatal = this.#fatal;
    this.#fatal = undefined;
    return fatal;
  }

  fillDisk(): void {
    const { disk, random, trace } = this.#world;
    trace.note('the disk is full');
    disk.freeBytes = random.below(2) * random.below(4096);
    if (random.below(2) === 0) this.checkpointRoom = false;
  }

  freeDisk(): void {
    const { disk, now } = this.#world;
    // Nobody may have asked whether it was full in between.
    if (disk.freeBytes !== Infinity) this.#fullUntil = now + recoversMs;
    disk.freeBytes = Infinity;
    this.checkpointRoom = true;
  }

  /** Commits may still wait for space. */
  diskWasFull(): boolean {
    const { disk, now } = this.#world;
    if (disk.freeBytes !== Infinity) this.#fullUntil = now + recoversMs;
    return now < this.#fullUntil;
  }

  hasCheckpointRoom(): boolean {
    if (!this.checkpointRoom) this.#world.counts.add('no room for a checkpoint');
    return this.checkpointRoom;
  }

  /** A restart has only wall time, which may be wrong. The disk may be full after it. */
  jumpClock(): void {
    const world = this.#world;
    const { random, counts, disk, timeline } = world;
    const jump = random.below(3) === 0 ? random.below(120_000) - 60_000 : random.below(2000);
    if (jump < 0) counts.add('clock set back');
    if (jump > 10_000) counts.add('clock set forward');
    world.now += jump;
    this.#fullUntil = 0;
    disk.freeBytes = random.below(12) === 0 && timeline.last > 0 ? 0 : Infinity;
  }
}
