/**
 * Calls back every quarter of a millisecond, from a thread that only waits. Node's timers have whole milliseconds, and
 * a busy loop would take a core from the server.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const everyMs = 0.25;

export interface Ticker {
  stop(): void;
}

export function startTicker(onTick: () => void): Ticker {
  const stopped = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(new URL(import.meta.url), { workerData: stopped });
  worker.on('message', onTick);
  return {
    stop() {
      Atomics.store(stopped, 0, 1);
      Atomics.notify(stopped, 0);
    },
  };
}

if (!isMainThread && workerData instanceof Int32Array) {
  const stopped = workerData;
  while (Atomics.wait(stopped, 0, 0, everyMs) === 'timed-out') parentPort?.postMessage(0);
}
