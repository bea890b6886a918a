/**
 * Measures how much well-behaved clients suffer from others: durable writes at a fixed rate over a few connections,
 * window by window, alternately without and with the fault, so that a slow minute of the machine affects both. The
 * verdict compares the medians of the windows' p99.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/** A p99 below this is fine, whatever it was before: other processes on the machine cost as much. */
const floorMs = 25;
const ratioMax = 2;
const pairsMin = 3;
/** After a verdict against the server, more windows are measured to confirm it. */
const pairsMax = 9;

export interface Verdict {
  readonly p99WithoutMs: number;
  readonly p99WithMs: number;
  readonly requests: number;
}

export class FastClients {
  readonly #worker: Worker;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  static async start(port: number, { clients = 8, perSecond = 400 } = {}): Promise<FastClients> {
    const file = new URL('./fast-clients-thread.ts', import.meta.url);
    const worker = new Worker(file, { workerData: { port, clients, perSecond } });
    await once(worker, 'message');
    const fast = new FastClients(worker);
    // The first requests run code that is not compiled yet.
    await fast.window(1000);
    return fast;
  }

  /** @returns the latencies in milliseconds. @throws when one was not answered with 200 */
  async window(ms: number): Promise<number[]> {
    this.#worker.postMessage({ ms });
    const [{ latencies, failed }] = (await once(this.#worker, 'message')) as [
      { latencies: number[]; failed: string[] },
    ];
    assert.deepEqual(failed.slice(0, 5), [], 'every fast client is served, always');
    return latencies;
  }

  /** Measures alternately without and with the fault. `apply` resolves when it is in effect, `lift` when it is over. */
  async compare(
    fault: { readonly apply: () => Promise<void>; readonly lift: () => Promise<void> },
    windowMs: number,
  ): Promise<Verdict> {
    const without: number[] = [];
    const within: number[] = [];
    let requests = 0;
    const measure = async (into: number[]): Promise<void> => {
      const latencies = await this.window(windowMs);
      requests += latencies.length;
      into.push(p99(latencies));
    };
    for (let pairs = 0; pairs < pairsMin || (pairs < pairsMax && !isFine(without, within)); pairs += 1) {
      await measure(without);
      await fault.apply();
      await measure(within);
      await fault.lift();
    }
    const verdict = { p99WithoutMs: rounded(median(without)), p99WithMs: rounded(median(within)), requests };
    const windows = `without ${without.map(rounded).join(', ')}; with ${within.map(rounded).join(', ')}`;
    assert(isFine(without, within), `p99 at most doubled, or below ${floorMs} ms; windows in ms: ${windows}`);
    return verdict;
  }

  async close(): Promise<void> {
    const exit = once(this.#worker, 'exit');
    this.#worker.postMessage('close');
    await exit;
  }
}

function isFine(without: readonly number[], within: readonly number[]): boolean {
  return median(within) <= Math.max(floorMs, ratioMax * median(without));
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? Number.NaN;
}

function p99(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? Number.NaN;
}

export function rounded(ms: number): number {
  return Math.round(ms * 100) / 100;
}
