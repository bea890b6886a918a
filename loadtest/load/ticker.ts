/**
 * A thread that does nothing but wait, and rings every quarter of a millisecond: Node's timers know whole milliseconds
 * only, and a loop that spins would take a core from the server.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const everyMs = 0.25;

export interface Pacemaker {
  stop(): void;
}

export function startPacemaker(onBeat: () => void): Pacemaker {
  const stopped = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(new URL(import.meta.url), { workerData: stopped });
  worker.on('message', onBeat);
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
