/** What Linux says of a process: CPU time by thread, memory, limits. */
import fs from 'node:fs';

/** USER_HZ; 100 on every Linux that Node runs on. */
const microsPerTick = 10_000;

export interface CpuTimes {
  /** User and system time over all threads, since the process started. */
  readonly micros: number;
  /** Thread name → the same; threads of one name together. */
  readonly byThread: ReadonlyMap<string, number>;
}

export function cpuTimes(pid: number): CpuTimes {
  const byThread = new Map<string, number>();
  const tasks = `/proc/${pid}/task`;
  for (const task of fs.readdirSync(tasks)) {
    const stat = readIfThere(`${tasks}/${task}/stat`);
    if (stat === undefined) continue;
    const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
    byThread.set(name, (byThread.get(name) ?? 0) + ticksOf(stat) * microsPerTick);
  }
  return { micros: ticksOf(fs.readFileSync(`/proc/${pid}/stat`, 'utf8')) * microsPerTick, byThread };
}

/** Between two readings, busiest thread first. */
export function cpuBetween(before: CpuTimes, after: CpuTimes): CpuTimes {
  const byThread = [...after.byThread]
    .map(([name, micros]) => [name, micros - (before.byThread.get(name) ?? 0)] as const)
    .filter(([, micros]) => micros > 0)
    .toSorted(([, a], [, b]) => b - a);
  return { micros: after.micros - before.micros, byThread: new Map(byThread) };
}

export function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) * 1024;
}

/** Node raises its own limit to the hard one at start, so that only that one counts. */
export function openFilesMax(): number {
  const limit = /^Max open files\s+\S+\s+(\S+)/m.exec(fs.readFileSync('/proc/self/limits', 'utf8'))?.[1];
  return limit === 'unlimited' ? Infinity : Number(limit);
}

/** CPU time of the whole machine so far: everybody's, and what a hypervisor took away. */
export function machineMicros(): number {
  // user nice system idle iowait irq softirq steal
  const ticks = fs.readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]!.trim().split(/\s+/).slice(1).map(Number);
  return [0, 1, 2, 5, 6, 7].reduce((sum, field) => sum + (ticks[field] ?? 0), 0) * microsPerTick;
}

/** CPU time of this process and of all its children that have ended. */
export function ownMicros(): number {
  const fields = statFields(fs.readFileSync('/proc/self/stat', 'utf8'));
  return [11, 12, 13, 14].reduce((sum, field) => sum + Number(fields[field]), 0) * microsPerTick;
}

/** utime + stime */
function ticksOf(stat: string): number {
  const fields = statFields(stat);
  return Number(fields[11]) + Number(fields[12]);
}

/** The fields behind the name, which itself may hold anything. */
function statFields(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function readIfThere(file: string): string | undefined {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return undefined; // The thread has ended since it was listed.
  }
}
