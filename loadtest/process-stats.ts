/** Reads from /proc: CPU time by thread, memory, limits. */
import fs from 'node:fs';

/** USER_HZ; 100 on every Linux that Node runs on. */
const microsPerTick = 10_000;

export interface CpuTimes {
  /** User and system time since the process started, over all threads and child processes, also ended ones. */
  readonly micros: number;
  /** Thread name → the same for threads that still run; threads with one name are added up. */
  readonly byThread: ReadonlyMap<string, number>;
}

export function cpuTimes(pid: number): CpuTimes {
  const byThread = new Map<string, number>();
  const tasks = `/proc/${pid}/task`;
  const children: CpuTimes[] = [];
  for (const task of fs.readdirSync(tasks)) {
    const stat = readIfThere(`${tasks}/${task}/stat`);
    if (stat === undefined) continue;
    addTo(byThread, stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')), ticksOf(stat) * microsPerTick);
    // PostgreSQL forks for each connection, Redis to rewrite its log.
    const ids = readIfThere(`${tasks}/${task}/children`) ?? '';
    for (const child of ids.split(' ').filter((id) => id !== '')) {
      const times = cpuTimesIfThere(Number(child));
      if (times !== undefined) children.push(times);
    }
  }
  for (const child of children) for (const [name, micros] of child.byThread) addTo(byThread, name, micros);
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
  const own = (ticksOf(stat) + endedChildrenTicks(stat)) * microsPerTick;
  return { micros: children.reduce((sum, { micros }) => sum + micros, own), byThread };
}

function cpuTimesIfThere(pid: number): CpuTimes | undefined {
  try {
    return cpuTimes(pid);
  } catch {
    return undefined; // The process has ended since it was listed.
  }
}

function addTo(map: Map<string, number>, name: string, micros: number): void {
  map.set(name, (map.get(name) ?? 0) + micros);
}

/** CPU time between two readings, busiest thread first. */
export function cpuBetween(before: CpuTimes, after: CpuTimes): CpuTimes {
  const byThread = [...after.byThread]
    .map(([name, micros]) => [name, micros - (before.byThread.get(name) ?? 0)] as const)
    .filter(([, micros]) => micros > 0)
    .toSorted(([, a], [, b]) => b - a);
  return { micros: after.micros - before.micros, byThread: new Map(byThread) };
}

/** For how long threads that still run could have run and had no core. */
export function waitedMicros(pid: number): number {
  const tasks = `/proc/${pid}/task`;
  const waited = (task: string): number => Number(readIfThere(`${tasks}/${task}/schedstat`)?.split(' ')[1] ?? 0);
  return fs.readdirSync(tasks).reduce((sum, task) => sum + waited(task), 0) / 1000;
}

export interface Memory {
  readonly residentBytes: number;
  /** The part that no file backs: heaps and buffers, without pages of a mapped store, which the kernel may drop. */
  readonly anonymousBytes: number;
}

export function memoryOf(pid: number): Memory {
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024;
  return { residentBytes: bytes('VmRSS'), anonymousBytes: bytes('RssAnon') };
}

/** The hard limit: Node raises its own soft limit to it at start. */
export function openFilesMax(): number {
  const limit = /^Max open files\s+\S+\s+(\S+)/m.exec(fs.readFileSync('/proc/self/limits', 'utf8'))?.[1];
  return limit === 'unlimited' ? Infinity : Number(limit);
}

/** CPU time of the whole machine so far: all processes, and the time that a hypervisor took away. */
export function machineMicros(): number {
  // user nice system idle iowait irq softirq steal
  const ticks = fs.readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]!.trim().split(/\s+/).slice(1).map(Number);
  return [0, 1, 2, 5, 6, 7].reduce((sum, field) => sum + (ticks[field] ?? 0), 0) * microsPerTick;
}

/** CPU time of all ended children of this process. */
export function childMicros(): number {
  return endedChildrenTicks(fs.readFileSync('/proc/self/stat', 'utf8')) * microsPerTick;
}

/** CPU time of this process and of all its ended children. */
export function selfAndChildrenMicros(): number {
  const stat = fs.readFileSync('/proc/self/stat', 'utf8');
  return (ticksOf(stat) + endedChildrenTicks(stat)) * microsPerTick;
}

/** utime + stime */
function ticksOf(stat: string): number {
  const fields = statFields(stat);
  return Number(fields[11]) + Number(fields[12]);
}

/** cutime + cstime */
function endedChildrenTicks(stat: string): number {
  const fields = statFields(stat);
  return Number(fields[13]) + Number(fields[14]);
}

/** The fields after the name, which itself may hold spaces and parentheses. */
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
