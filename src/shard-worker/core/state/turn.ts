import type { Outbox } from './outbox.ts';
import type { ShardState } from './state.ts';

/** One turn of a shard: its state, the time of the turn, and what it sends out. */
export interface Turn {
  readonly state: ShardState;
  /** Wall-clock milliseconds; it stands still for the whole turn. */
  readonly now: number;
  readonly out: Outbox;
}
