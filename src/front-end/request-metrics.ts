/**
 * What front ends count: plain numbers in typed arrays, because every request touches them. All front ends share the
 * memory; each has a row of its own and is the only one to write it. The front end that answers `/metrics` adds up all
 * rows, and need not ask a thread that might not answer. `metrics-registry.ts` turns the sums into Prometheus' form.
 * Labels are the operation and the status; never a key, an account or anything else that a client can make up.
 *
 *     one row of Float64: broken connections │ open connections │ loop started at │ loop idle for │ slow │
 *                         replays │ connections handed over, by reason │
 *                         for each operation: count by status (600), count by bucket (25), seconds
 */
import { callList, type CallName } from '../protocol/operations/operations.ts';
import type { Histogram } from '../protocol/stats.ts';
import { respCommandNames } from './resp/command-names.ts';

/** Requests that are not REST calls. */
const otherOperations = [
  'batch',
  'batch_array',
  'script_call',
  'script_eval',
  'watch',
  'watch_stream',
  'server',
  'admin',
  'unknown',
] as const;

type LabelOf<Name extends string> = Name extends `${infer Noun}.${infer Verb}` ? `${Noun}_${Verb}` : never;
type RespLabel = `resp_${string}`;
export type Operation = LabelOf<CallName> | (typeof otherOperations)[number] | RespLabel;

/** The label of a call: `kv.get` is `kv_get`. */
export function operationOfCall(name: CallName): Operation {
  return name.replace('.', '_') as Operation;
}

const unknownCommand: RespLabel = 'resp_unknown';
const respOperations: ReadonlyMap<string, RespLabel> = new Map(
  respCommandNames.map((name) => [name, `resp_${name.replace('.', '_')}`]),
);

/** The label of a command of a Redis client: `dl.lock` is `resp_dl_lock`; undefined: there is no such command. */
export function operationOfCommand(name: string | undefined): Operation {
  return respOperations.get(name ?? '') ?? unknownCommand;
}

export const operations: readonly Operation[] = [
  ...callList.map(([name]) => operationOfCall(name)),
  ...otherOperations,
  ...respOperations.values(),
  unknownCommand,
];

/** Buckets double from 32 µs to about 268 s; the last one is +Inf. */
const firstBucketMicros = 32;
export const bucketCount = 25;
const statusMax = 600;

/**
 * Why the fast lane hands a connection to Node's server: the request is none that it takes, or not plain (`head`); its
 * body is too large (`body`); it does not come to its end (`slow`); the server does not serve (`state`).
 */
export const handOvers = ['head', 'body', 'slow', 'state'] as const;
export type HandOver = (typeof handOvers)[number];

const cells = {
  brokenConnections: 0,
  connections: 1,
  loopStartedAt: 2,
  loopIdleMs: 3,
  slow: 4,
  replays: 5,
  handOvers: 6,
  operations: 6 + handOvers.length,
};
const operationCells = statusMax + bucketCount + 1;
const rowCells = cells.operations + operations.length * operationCells;
const startOf: ReadonlyMap<Operation, number> = new Map(
  operations.map((operation, i) => [operation, cells.operations + i * operationCells]),
);

export class RequestMetrics {
  /** Milliseconds of a monotonic clock, with fractions. */
  readonly now: () => number;
  readonly #rows: readonly Float64Array[];
  readonly #own: Float64Array;

  /** @param frontEnd index of the row to write */
  constructor(memory: SharedArrayBuffer, frontEnd: number, now: () => number) {
    this.now = now;
    const rowBytes = rowCells * Float64Array.BYTES_PER_ELEMENT;
    this.#rows = Array.from(
      { length: memory.byteLength / rowBytes },
      (_, row) => new Float64Array(memory, row * rowBytes, rowCells),
    );
    this.#own = this.#rows[frontEnd]!;
  }

  static allocate(frontEnds: number): SharedArrayBuffer {
    return new SharedArrayBuffer(frontEnds * rowCells * Float64Array.BYTES_PER_ELEMENT);
  }

  /** @returns milliseconds since the start */
  count(operation: Operation, status: number, startedAt: number): number {
    const start = startOf.get(operation)!;
    const ms = this.now() - startedAt;
    if (status < statusMax) this.#own[start + status]! += 1;
    this.#own[start + statusMax + bucketOf(ms * 1000)]! += 1;
    this.#own[start + statusMax + bucketCount]! += ms / 1000;
    return ms;
  }

  /** Counts a connection whose input could not be read as HTTP. */
  countBrokenConnection(): void {
    this.#own[cells.brokenConnections]! += 1;
  }

  countSlow(): void {
    this.#own[cells.slow]! += 1;
  }

  /** Counts a request that was answered with the stored reply of an earlier one. */
  countReplay(): void {
    this.#own[cells.replays]! += 1;
  }

  get replays(): number {
    return this.#sum(cells.replays);
  }

  get slow(): number {
    return this.#sum(cells.slow);
  }

  /** Counts a connection that the fast lane has handed to Node's server. */
  countHandOver(why: HandOver): void {
    this.#own[cells.handOvers + handOvers.indexOf(why)]! += 1;
  }

  connections(change: 1 | -1): void {
    this.#own[cells.connections]! += change;
  }

  /** @param startedAt on the clock of all threads */
  loop(startedAt: number, idleMs: number): void {
    this.#own[cells.loopStartedAt] = startedAt;
    this.#own[cells.loopIdleMs] = idleMs;
  }

  get brokenConnections(): number {
    return this.#sum(cells.brokenConnections);
  }

  handedOver(why: HandOver): number {
    return this.#sum(cells.handOvers + handOvers.indexOf(why));
  }

  /** @param now on the clock of all threads */
  frontEnds(now: number): FrontEndLoad[] {
    return this.#rows.map((row) => {
      const startedAt = row[cells.loopStartedAt]!;
      const idle = row[cells.loopIdleMs]! / (now - startedAt);
      // Idle time was reported a moment ago; a loop that has not begun is not busy.
      const busyShare = startedAt === 0 ? 0 : Math.min(1, Math.max(0, 1 - idle));
      return { connections: row[cells.connections]!, busyShare };
    });
  }

  /** Calls `visit` for each operation and status that has occurred. */
  forEachStatus(visit: (operation: Operation, status: number, count: number) => void): void {
    for (const [operation, start] of startOf) {
      for (let status = 0; status < statusMax; status += 1) {
        const count = this.#sum(start + status);
        if (count > 0) visit(operation, status, count);
      }
    }
  }

  /** Seconds from the head of a request to its reply, waiting included; undefined if the operation never occurred. */
  durations(operation: Operation): Histogram | undefined {
    const start = startOf.get(operation)! + statusMax;
    const counts: number[] = [];
    let count = 0;
    for (let bucket = 0; bucket < bucketCount; bucket += 1) counts.push((count += this.#sum(start + bucket)));
    return count === 0 ? undefined : { bounds: bucketBounds, counts, sum: this.#sum(start + bucketCount), count };
  }

  #sum(cell: number): number {
    let sum = 0;
    for (const row of this.#rows) sum += row[cell]!;
    return sum;
  }
}

export interface FrontEndLoad {
  readonly connections: number;
  /** Share of the time since its event loop started. */
  readonly busyShare: number;
}

/** Seconds. */
export const bucketBounds = Array.from({ length: bucketCount - 1 }, (_, i) => (firstBucketMicros * 2 ** i) / 1e6);

/** Returns the first bucket whose bound is not below. */
export function bucketOf(micros: number): number {
  if (micros <= firstBucketMicros) return 0;
  const doublings = 32 - Math.clz32(Math.min(Math.ceil(micros / firstBucketMicros) - 1, 0x7fffffff));
  return Math.min(doublings, bucketCount - 1);
}
