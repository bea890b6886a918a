/**
 * Clock for leases on a machine that may be suspended: also counts the time since the machine's start, suspends
 * included (CLOCK_BOOTTIME), which nobody sets. So after a suspend the lease is over at the first look, even if the
 * wall clock was set back meanwhile.
 */
import { systemLeaseClock, type LeaseClock, type Mark } from '../client/lease-clock.ts';
import { readProc } from './files.ts';

interface BootMark extends Mark {
  readonly bootMs: number;
}

/** /proc/uptime has hundredths of a second. */
const stepMs = 10;

/** @param bootMs time since the machine's start */
export function withBootTime(clock: LeaseClock, bootMs: () => number): LeaseClock {
  return {
    ...clock,
    mark: (): BootMark => ({ ...clock.mark(), bootMs: bootMs() }),
    since: (mark) => {
      const { bootMs: from } = mark as Partial<BootMark>;
      const passed = from === undefined ? 0 : bootMs() - from + stepMs;
      return Math.max(clock.since(mark), passed);
    },
  };
}

/** Milliseconds since the machine's start; the wall clock where there is no /proc. */
export function machineBootMs(): number {
  const uptime = Number(readProc('uptime')?.toString('latin1').split(' ')[0]);
  return Number.isNaN(uptime) ? systemLeaseClock.mark().wallMs : Math.round(uptime * 1000);
}

export const bootLeaseClock: LeaseClock = withBootTime(systemLeaseClock, machineBootMs);
