/**
 * How a shard gets fences for its mutexes (protocol/epochs.ts), and how the shard that counts epochs gives them.
 *
 *   fences are low ─► ask ─► (main thread) ─► take: a commit in the next turn ─► durable ─► (main thread) ─► add
 *
 * On a full disk `take` waits.
 */
import type { Journal } from '../protocol/journal.ts';
import type { ShardState } from './core/state/state.ts';
import type { Turn } from './core/state/turn.ts';
import { takeEpoch } from './core/take-epoch.ts';

interface EpochExchangeOptions {
  readonly state: ShardState;
  readonly journal: Pick<Journal, 'whenDurable'>;
  readonly askForEpoch?: () => void;
  readonly wake: (delayMs: number) => void;
}

export class EpochExchange {
  readonly #options: EpochExchangeOptions;
  #takers: ((epoch: number) => void)[] = [];
  #asked = false;

  constructor(options: EpochExchangeOptions) {
    this.#options = options;
  }

  /** On the shard that counts epochs: calls `taken` with the next one once it is durable. */
  take(taken: (epoch: number) => void): void {
    this.#takers.push(taken);
    this.#options.wake(0);
  }

  /** Call at the start of each turn. */
  begin(turn: Turn): void {
    if (this.#takers.length === 0 || turn.state.outOfSpace?.space === 'full') return;
    const takers = this.#takers;
    this.#takers = [];
    for (const taken of takers) {
      const { epoch, rev } = takeEpoch(turn);
      this.#options.journal.whenDurable(rev, () => taken(epoch));
    }
  }

  /** Call at the end of each turn. */
  end(): void {
    if (this.#asked || !this.#options.state.mutexes.fences.low) return;
    this.#asked = true;
    this.#options.askForEpoch?.();
  }

  /** Takes the epoch that was asked for. */
  add(epoch: number): void {
    this.#asked = false;
    this.#options.state.mutexes.fences.add(epoch);
  }
}
