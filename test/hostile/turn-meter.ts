/**
 * Loaded into a server with `--import`: writes each long turn of each of its threads to the file `TURN_FILE`, one JSON
 * text a line. A turn is measured in the time that the thread had a core, so that a busy machine does not count.
 *
 *   {"thread", "call": ms, "type"}    one callback from the event loop, and what it was for
 *   {"thread", "loop": ms}            one pass of the event loop
 */
import { createHook } from 'node:async_hooks';
import fs from 'node:fs';
import { isMainThread, threadName } from 'node:worker_threads';

/** Shorter ones are not written. */
const longMicros = 4000;
/** Until then the server compiles its code. */
const warmUpMs = 2500;

const file = process.env['TURN_FILE'];
if (file !== undefined) watch(file);

function watch(path: string): void {
  const thread = isMainThread ? 'main' : (threadName ?? '');
  const types = new Map<number, string>();
  let depth = 0;
  let type = '';
  let callStart = 0;
  let pass = -1;
  let passStart = 0;
  let last = 0;
  const write = (what: object): void => {
    if (performance.now() > warmUpMs) fs.appendFileSync(path, `${JSON.stringify({ thread, ...what })}\n`);
  };
  createHook({
    init(id, kind) {
      if (kind !== 'PROMISE') types.set(id, kind);
      if (types.size > 200_000) types.clear();
    },
    before(id) {
      depth += 1;
      if (depth > 1) return;
      const now = cpuMicros();
      const current = performance.nodeTiming.uvMetricsInfo.loopCount;
      if (current !== pass) {
        if (last - passStart >= longMicros) write({ loop: (last - passStart) / 1000 });
        pass = current;
        passStart = now;
      }
      type = types.get(id) ?? 'other';
      callStart = now;
    },
    after() {
      if (depth === 0) return;
      depth -= 1;
      if (depth > 0) return;
      last = cpuMicros();
      if (last - callStart >= longMicros) write({ call: (last - callStart) / 1000, type });
    },
  }).enable();
}

function cpuMicros(): number {
  // Linux brings the thread's own time up to date only when it is asked for that of the process.
  process.cpuUsage();
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

/** Returns the longest turns of a file, by thread and kind, in milliseconds. */
export function longestTurns(path: string): string[] {
  const longest = new Map<string, number[]>();
  for (const line of fs.readFileSync(path, 'utf8').split('\n')) {
    if (line === '') continue;
    const turn = JSON.parse(line) as { thread: string; call?: number; loop?: number; type?: string };
    const name = turn.call === undefined ? `${turn.thread} pass` : `${turn.thread} ${turn.type}`;
    longest.set(name, [...(longest.get(name) ?? []), turn.call ?? turn.loop!]);
  }
  return [...longest]
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([name, all]) => {
      const first = all.toSorted((a, b) => b - a).slice(0, 5);
      return `  ${name.padEnd(30)} ${String(all.length).padStart(5)} long: ${first.map((ms) => ms.toFixed(1)).join(' ')} ms`;
    });
}
