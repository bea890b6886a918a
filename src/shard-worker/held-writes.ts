/**
 * Writes wait while checkpoints are behind, instead of being refused: the memory for what no checkpoint holds yet is
 * nearly full, and clients write faster than the store takes it.
 *
 *   pressure 'large'   batches that write much wait; small writes, locks and reads go on, with the last eighth of the memory
 *   pressure 'all'     every batch that adds to the store waits
 *
 * What waits lies in the shard's mailbox, where each account has a lane of its own: a lane whose first message waits is
 * passed over, so that the messages of an account keep their order. `limits.inflight_bytes_max` and that of each account
 * bound its memory. What has waited for `limits.write_wait_ms` is answered `overloaded`.
 */
import type { Batch } from '../protocol/operations/operations.ts';
import { addsToStore } from './core/batch/space.ts';
import type { CoreMessage } from './core/state/core-message.ts';
import type { ToShard } from '../protocol/wire/shard-messages.ts';

export type WritePressure = 'none' | 'large' | 'all';

/** A batch that writes more characters of values than this waits first. */
const smallMax = 1024;
/** What waits is looked at this often, and less often where many accounts wait. */
const lookMs = 5;
const lanesPerMs = 200;

export interface Waiting {
  readonly message: CoreMessage | Extract<ToShard, { kind: 'stats' }>;
  /** Milliseconds on the server's clock. */
  readonly since: number;
}

export class HeldWrites {
  readonly #waitMs: number;
  #pressure: WritePressure = 'none';
  #now = 0;
  #nextLook = 0;
  readonly #holds = ({ message, since }: Waiting): boolean => {
    const batch = batchOf(message);
    return batch !== undefined && this.#now - since < this.#waitMs && this.#mustWait(batch);
  };

  /** @param waitMs `limits.write_wait_ms` */
  constructor(waitMs: number) {
    this.#waitMs = waitMs;
  }

  /** Begins a turn. @returns whether lanes that were passed over should have their turn again */
  begin(pressure: WritePressure, now: number, lanes: number): boolean {
    this.#pressure = pressure;
    this.#now = now;
    if (lanes === 0 || (pressure !== 'none' && now < this.#nextLook)) return false;
    this.#nextLook = now + lookMs + lanes / lanesPerMs;
    return true;
  }

  /** Says which messages wait; undefined: none does. */
  get holds(): ((waiting: Waiting) => boolean) | undefined {
    return this.#pressure === 'none' ? undefined : this.#holds;
  }

  /** Whether a message that was taken has waited for too long. */
  isLate({ message }: Waiting): boolean {
    if (this.#pressure === 'none') return false;
    const batch = batchOf(message);
    return batch !== undefined && this.#mustWait(batch);
  }

  #mustWait(batch: Batch): boolean {
    return this.#pressure === 'all' ? addsToStore(batch) : writesMuch(batch);
  }
}

function batchOf(message: Waiting['message']): Batch | undefined {
  if (message.kind === 'item') return message.batch;
  return message.kind === 'request' && message.command.kind === 'batch' ? message.command : undefined;
}

function writesMuch({ set }: Batch): boolean {
  if (set === undefined) return false;
  let chars = 0;
  for (const { value } of set) if (value !== undefined) chars += value.length;
  return chars > smallMax;
}
