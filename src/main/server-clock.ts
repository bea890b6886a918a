/**
 * Sets the server's time at start, follows wall time while the server runs, and keeps what the next start needs.
 *
 * The wall clock of a machine may be wrong by hours at one start and right at the next, and it may be set at any moment
 * in between. Deadlines of leases, keys and idempotency ids are moments of the server's time, which therefore must
 * advance as real time does, over a restart too:
 *
 *   at start         the same boot of the machine   server time then + what the machine's boot clock has advanced
 *                    another boot, or unknown       wall time - the offset that was kept (0 in a new data directory)
 *                    the two differ by < 250 ms     wall time, which is finer; so is a kept offset below that dropped
 *                    always                         not before the last frame of the journal, nor the time kept
 *   while it runs    the monotonic clock of the process; time that the machine slept is added when it wakes;
 *                    wall time ahead of ours        1 ms in ten seconds is added: a lock of 30 s ends 3 ms early, less
 *                                                   than the clocks of two machines differ by
 *                    wall time behind ours          1 ms a second is left out: a key of 5 s lives for 5 ms more
 *
 * So an offset from wall time stays for long (a second ahead is gone after 17 minutes, behind after three hours). That
 * hurts nobody, because replies have `Now` and `TTLMs` beside `Till`; a jump would end leases early, or let keys live
 * on. The log says each change of the offset, and `dragonlock_clock_offset_seconds` has it.
 *
 * What a crash leaves: of the process, the last file, from which the same boot computes exactly; of the machine, perhaps
 * no file. Then the start takes wall time, not before the last frame of the journal.
 */
import { clockDifference, readClock, setClock, shiftClock, type Every } from '../shared/clock.ts';
import type { JournalLog } from '../journal/file/journal-options.ts';
import type { ClockRecord } from './data-directory/clock-file.ts';

export interface ClockSources {
  /** Milliseconds since the Unix epoch, as the machine has it. */
  readonly wall: () => number;
  /** `processMs`: it stands still while the machine sleeps. */
  readonly monotonic: () => number;
  readonly machine: () => { readonly bootId: string; readonly bootMs: number } | undefined;
}

export interface ServerClockOptions {
  readonly memory: SharedArrayBuffer;
  readonly sources: ClockSources;
  readonly every: Every;
  /** Keeps a record for the next start. @throws errors of the file system */
  readonly keep: (record: ClockRecord, durable: boolean) => void;
  readonly log: JournalLog;
}

const tickMs = 1000;
const forwardTicks = 10;
/** The log says a change of the offset by as much. */
const toldMs = 1000;
/** A smaller difference of the two clocks may come from reading them at different moments. */
const sleptMs = 1000;
const keepTicks = 60;
/**
 * Clocks that differ by less agree: they are read one after the other by a thread that may have to wait, and the boot
 * clock has hundredths of a second. At a start wall time is taken then, so that many restarts do not add up.
 */
const agreeMs = 250;

/** The server's time at a start. */
export function timeAtStart(
  kept: ClockRecord | undefined,
  now: { readonly wall: number; readonly machine: ReturnType<ClockSources['machine']> },
  floor: number,
): number {
  const { wall, machine } = now;
  if (kept === undefined) return Math.max(wall, floor);
  // A container may have a boot clock of its own, which begins anew.
  const sameBoot = machine !== undefined && machine.bootId === kept.bootId && machine.bootMs >= kept.bootMs;
  const offset = kept.wall - kept.time;
  const byWall = wall - (Math.abs(offset) > agreeMs ? offset : 0);
  const byBoot = sameBoot ? kept.time + machine.bootMs - kept.bootMs : byWall;
  const time = Math.abs(byBoot - byWall) > agreeMs ? byBoot : byWall;
  return Math.max(time, kept.time, floor);
}

export class ServerClock {
  readonly #options: ServerClockOptions;
  readonly #end: () => void;
  #toldOffset = 0;
  #ticks = 0;
  #keepFailed = false;
  /** When both clocks were last read. */
  #read: { readonly monotonic: number; readonly bootMs: number } | undefined;

  /**
   * Sets the clock and begins to follow wall time.
   * @param kept what the last run has kept
   * @param floor the time of the journal's last frame, 0 without one
   */
  constructor(options: ServerClockOptions, kept: ClockRecord | undefined, floor: number) {
    this.#options = options;
    const { memory, sources, every } = options;
    const machine = sources.machine();
    const ahead = clockDifference(sources.wall, sources.monotonic);
    const monotonic = sources.monotonic();
    setClock(memory, timeAtStart(kept, { wall: monotonic + ahead, machine }, floor), monotonic);
    if (machine !== undefined) this.#read = { monotonic: sources.monotonic(), bootMs: machine.bootMs };
    this.#tell(this.#offset());
    this.#keep(true);
    this.#end = every(tickMs, () => this.tick());
  }

  tick(): void {
    const { memory } = this.#options;
    this.#ticks += 1;
    const slept = this.#slept();
    if (slept > sleptMs) {
      shiftClock(memory, slept);
      this.#options.log('info', `The machine slept for ${Math.round(slept / 1000)} s, which count as time`);
    }
    const offset = this.#offset();
    if (offset > 1 && this.#ticks % forwardTicks === 0) shiftClock(memory, 1);
    else if (offset < -1) shiftClock(memory, -1);
    const told = this.#tell(offset);
    if (told || slept > sleptMs || this.#ticks % keepTicks === 0) this.#keep(told);
  }

  /** Keeps the time for the next start. */
  stop(): void {
    this.#end();
    this.#keep(true);
  }

  /** By how much wall time is ahead of the server's. */
  #offset(): number {
    const { wall, monotonic } = this.#options.sources;
    return Math.round(clockDifference(wall, monotonic) - clockDifference(() => this.#now(), monotonic));
  }

  #now(): number {
    return readClock(this.#options.memory, this.#options.sources.monotonic());
  }

  /** How long the machine has slept since the last call; less rather than more when this thread had to wait. */
  #slept(): number {
    const { monotonic, machine } = this.#options.sources;
    const before = monotonic();
    const bootMs = machine()?.bootMs;
    const after = monotonic();
    const last = this.#read;
    this.#read = bootMs === undefined ? undefined : { monotonic: before, bootMs };
    if (bootMs === undefined || last === undefined) return 0;
    return Math.round(bootMs - last.bootMs - (after - last.monotonic));
  }

  #tell(offset: number): boolean {
    if (Math.abs(offset - this.#toldOffset) < toldMs) return false;
    this.#toldOffset = offset;
    const by = `${Math.abs(offset / 1000).toFixed(1)} s ${offset > 0 ? 'ahead of' : 'behind'} the server's time`;
    this.#options.log(
      'warn',
      `The machine's clock is ${by}; leases and keys last as long as they were given, and the server follows slowly`,
      { offsetMs: offset },
    );
    return true;
  }

  #keep(durable: boolean): void {
    const { sources, keep, log } = this.#options;
    const { bootId, bootMs } = sources.machine() ?? { bootId: undefined, bootMs: 0 };
    try {
      keep({ bootId, bootMs, time: this.#now(), wall: Math.round(sources.wall()) }, durable);
      this.#keepFailed = false;
    } catch (error) {
      // It only makes the next start less exact; a full disk is said once.
      if (!this.#keepFailed) log('warn', `The time cannot be kept for the next start: ${(error as Error).message}`);
      this.#keepFailed = true;
    }
  }
}
