/**
 * A message that this client has taken. Its lease is renewed until the message is settled; its signal fires before the
 * lease can have ended. Messages of one group that came together have one lease, so one of them renews it for all.
 */
import type { Batch } from './batch.ts';
import type { BatchResult } from './batch-result.ts';
import type { Delivery, NackOperation } from './queue-batch.ts';
import { showCallers } from './caller.ts';
import { durationMs, invalid, type Duration } from './checks.ts';
import { DragonLockError, ReceiptExpiredError, ReleasedError } from './errors.ts';
import { LeaseKeeper } from './lease.ts';
import type { LeaseClock, Mark } from './lease-clock.ts';
import { checkOptions, type NamesOf } from './option-names.ts';
import type { StoreCalls } from './store-calls.ts';

/** Options of `message.nack`. */
export type NackOptions = Omit<NackOperation, 'queue' | 'id' | 'lock'>;

/** Options of `message.batch`. */
export interface MessageBatchOptions {
  /** Ack the message in the same commit. */
  readonly ack?: boolean | undefined;
}

const nackNames: NamesOf<NackOptions> = { delay: true, error: true, return: true };
const batchNames: NamesOf<MessageBatchOptions> = { ack: true };

export interface MessageContext {
  readonly calls: StoreCalls;
  readonly clock: LeaseClock;
  readonly ttlMs: number;
  /** When the client sent the request that delivered it. */
  readonly sentAt: Mark;
}

/** A message that is out to this client. */
export class QueueMessage<Data = unknown> implements Delivery<Data> {
  static {
    showCallers(this, 'ack', 'nack', 'extend', 'batch');
  }

  readonly queue: string;
  readonly id: string;
  readonly data: Data;
  readonly group?: string;
  readonly attempts: number;
  readonly at: number;
  readonly lock: number;
  readonly till: number;
  readonly lastError?: string;
  /** Fires before the lease can have ended without this client knowing. */
  readonly signal: AbortSignal;
  readonly #context: MessageContext;
  readonly #lease: LeaseKeeper;
  #settled = false;
  #acked = false;

  constructor(delivery: Delivery<Data>, context: MessageContext) {
    const { queue, id, data, group, attempts, at, lock, till, lastError } = delivery;
    this.queue = queue;
    this.id = id;
    this.data = data;
    if (group !== undefined) this.group = group;
    this.attempts = attempts;
    this.at = at;
    this.lock = lock;
    this.till = till;
    if (lastError !== undefined) this.lastError = lastError;
    this.#context = context;
    const { clock, ttlMs, sentAt } = context;
    this.#lease = new LeaseKeeper({
      name: `message ${id} of the queue ${JSON.stringify(queue)}`,
      ttlMs,
      clock,
      sentAt,
      renew: async (timeoutMs) => {
        const started = clock.mark();
        await this.#extend(ttlMs, AbortSignal.timeout(Math.max(1, Math.floor(timeoutMs))));
        return started;
      },
    });
    this.signal = this.#lease.signal;
  }

  /** Whether it was acked or nacked by this client. */
  get settled(): boolean {
    return this.#settled;
  }

  /** Whether this client has acked it. */
  get wasAcked(): boolean {
    return this.#acked;
  }

  /** @internal The server has given it back already, with another of its group. */
  forget(): void {
    this.#settled = true;
    this.#lease.release();
  }

  /** Milliseconds for which it is certainly out to this client without a renewal. */
  get remaining(): number {
    return Math.max(0, this.#lease.remaining);
  }

  /** The message is done: it is deleted. @throws ReceiptExpiredError if the lease had ended */
  async ack(): Promise<void> {
    this.#settle();
    await this.#once(() => this.#context.calls.batch({ ack: [this.#receipt()] }));
    this.#acked = true;
  }

  /** Gives the message back, to be tried again. @throws ReceiptExpiredError if the lease had ended */
  async nack(options: NackOptions = {}): Promise<void> {
    checkOptions(options, nackNames);
    this.#settle();
    await this.#context.calls.batch({ nack: [{ ...this.#receipt(), ...options }] });
  }

  /** Keeps the message for so long from now on, and renews for as long. */
  async extend(ttl: Duration): Promise<void> {
    const ttlMs = durationMs(ttl, 'ttl');
    const sentAt = this.#context.clock.mark();
    await this.#extend(ttlMs);
    this.#lease.extended(sentAt, ttlMs);
  }

  /**
   * Runs a batch, with `ack: true` together with the ack: everything or nothing, in one commit.
   * @throws ReceiptExpiredError if the lease had ended: then nothing has happened
   */
  async batch(batch: Batch, options: MessageBatchOptions = {}): Promise<BatchResult> {
    checkOptions(options, batchNames);
    if (options.ack !== true) return await this.#context.calls.batch(batch);
    if (this.#settled) throw settledError(this);
    const result = await this.#context.calls.batch({ ...batch, ack: [...(batch.ack ?? []), this.#receipt()] });
    this.#settle();
    this.#acked = true;
    return result;
  }

  /** @internal Its consumer is told to stop: the signal fires. */
  interrupt(reason: ReleasedError): void {
    this.#lease.interrupt(reason);
  }

  #receipt(): { queue: string; id: string; lock: number } {
    const { queue, id, lock } = this;
    return { queue, id, lock };
  }

  #settle(): void {
    if (this.#settled) throw settledError(this);
    this.#settled = true;
    this.#lease.release();
  }

  async #extend(ttlMs: number, signal?: AbortSignal): Promise<void> {
    await this.#context.calls.batch({ extend: [{ ...this.#receipt(), ttl: ttlMs }] }, { signal });
  }

  /** A repeat that finds the message gone within its own lease was the ack: nobody else can have made it go. */
  async #once(run: () => Promise<unknown>): Promise<void> {
    const { clock, sentAt, ttlMs } = this.#context;
    try {
      await run();
    } catch (error) {
      const isOwn = error instanceof ReceiptExpiredError && error.why === 'gone' && clock.since(sentAt) < ttlMs;
      if (!isOwn) throw error;
    }
  }
}

function settledError({ id }: { readonly id: string }): DragonLockError {
  return invalid(`The message ${id} was settled before.`);
}
