/**
 * Shared by all fuzzers. A fuzzer runs `count` inputs. Input i depends on the seed `seed + i` alone, so that a failure
 * can be repeated with its own seed and a count of 1.
 */
import { seededRandom, type SeededRandom } from '../support/seeded-random.ts';

export interface FuzzReport {
  readonly inputs: number;
  /** How often each outcome occurred. A run that never met something interesting has tested nothing. */
  readonly seen: Readonly<Record<string, number>>;
}

export type Progress = (report: FuzzReport) => void;
export type Fuzz = (seed: number, count: number, onProgress?: Progress) => Promise<FuzzReport>;

export class Tally {
  inputs = 0;
  readonly seen: Record<string, number> = {};

  note(what: string, count = 1): void {
    this.seen[what] = (this.seen[what] ?? 0) + count;
  }
}

export class FuzzFailure extends Error {
  override name = 'FuzzFailure';

  constructor(target: string, seed: number, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super(`${target}, seed ${seed}: ${why}\nagain: node test/fuzz/run.ts ${target} ${seed} 1`, { cause });
  }
}

/** Runs one input; throws when the tested promise is broken. */
export type OneInput = (random: SeededRandom, tally: Tally, seed: number) => void | Promise<void>;

export interface FuzzOptions {
  readonly target: string;
  readonly seed: number;
  readonly count: number;
  readonly onProgress: Progress | undefined;
  /** Inputs that run at the same time. */
  readonly inFlight?: number;
}

/** Runs the inputs in order of their seeds. */
export async function fuzzEach(options: FuzzOptions, one: OneInput): Promise<FuzzReport> {
  const { target, seed, count, onProgress, inFlight = 1 } = options;
  const tally = new Tally();
  let next = 0;
  let told = performance.now();
  let failed = false;
  const worker = async (): Promise<void> => {
    while (next < count && !failed) {
      const own = seed + next;
      next += 1;
      try {
        const pending = one(seededRandom(own), tally, own);
        if (pending !== undefined) await pending;
      } catch (error) {
        failed = true;
        throw new FuzzFailure(target, own, error);
      }
      tally.inputs += 1;
      if (onProgress !== undefined && performance.now() - told > 500) {
        told = performance.now();
        onProgress(tally);
        // Let timers and signals run.
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(inFlight, count) }, worker));
  return tally;
}

export function pick<T>(random: SeededRandom, items: readonly T[]): T {
  return items[random.below(items.length)]!;
}

export function chance(random: SeededRandom, probability: number): boolean {
  return random.next() < probability;
}
