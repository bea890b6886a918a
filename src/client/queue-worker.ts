/**
 * A worker: takes messages of a queue, and runs a function for each, so many at a time.
 *
 *     fetching ──messages──► the function ──resolves──► acked
 *                                        └─throws────► nacked, with the text of the error
 *     stop: the fetch is cancelled; what runs may end within `drain`; then signals fire, and what is left is given back
 *
 * Whatever settles behind its lease is no error of the function: it is told to `onError`, and nobody else.
 */
import type { DequeueOperation } from './queue-batch.ts';
import { durationMs, type Duration } from './checks.ts';
import { ReceiptExpiredError, ReleasedError } from './errors.ts';
import type { LeaseClock } from './lease-clock.ts';
import type { QueueMessage } from './queue-message.ts';

/** Options of `queue.consume`. */
export interface ConsumeOptions<Data = unknown> {
  /** How many messages at a time. Default 1. */
  readonly concurrency?: number | undefined;
  /** Milliseconds, or `'60s'`, for which a message is out without a renewal. Default 30 seconds. */
  readonly ttl?: Duration | undefined;
  /** How many messages of one group are taken together. Default 1. */
  readonly groupMax?: number | undefined;
  /** Told of what goes wrong. Default: a warning of the process. */
  readonly onError?: ((error: unknown, message: QueueMessage<Data> | undefined) => void) | undefined;
}

/** Runs for each message. Resolves: the message is acked, if it was not settled. Throws: it is nacked. */
export type Handler<Data> = (message: QueueMessage<Data>, context: { readonly signal: AbortSignal }) => unknown;

export interface WorkerContext<Data> {
  readonly clock: LeaseClock;
  /** Takes messages, or waits for some. */
  take(operation: Omit<DequeueOperation, 'queue'>, signal: AbortSignal): Promise<QueueMessage<Data>[]>;
  /** Called once, when it has stopped. */
  onStop(worker: QueueWorker<Data>): void;
}

/** The server is asked to wait for so long. A proxy takes no longer silence. */
const waitMs = 20_000;
const retryMs = 1000;
const errorCharsMax = 300;

/** Takes messages of a queue, and runs a function for each. Made by `queue.consume`. */
export class QueueWorker<Data = unknown> implements AsyncDisposable {
  readonly #context: WorkerContext<Data>;
  readonly #handler: Handler<Data>;
  readonly #concurrency: number;
  readonly #ttlMs: number;
  readonly #groupMax: number;
  readonly #onError: NonNullable<ConsumeOptions<Data>['onError']>;
  readonly #stop = new AbortController();
  readonly #running = new Map<QueueMessage<Data>, Promise<void>>();
  readonly #loop: Promise<void>;
  #free: PromiseWithResolvers<void> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(context: WorkerContext<Data>, handler: Handler<Data>, options: ConsumeOptions<Data>) {
    const { concurrency = 1, ttl = 30_000, groupMax = 1, onError = warn } = options;
    this.#context = context;
    this.#handler = handler;
    this.#concurrency = concurrency;
    this.#ttlMs = durationMs(ttl, 'ttl');
    this.#groupMax = groupMax;
    this.#onError = onError;
    this.#loop = this.#fetch();
  }

  /** Messages that are being worked on. */
  get active(): number {
    return this.#running.size;
  }

  /**
   * Takes no further messages. What runs may end within `drain` (milliseconds, or `'10s'`; default 10 seconds); then its
   * signal fires, and it is given back to be tried again at once. A second call returns the same promise.
   */
  stop({ drain = 10_000 }: { readonly drain?: Duration | undefined } = {}): Promise<void> {
    this.#stopped ??= this.#end(durationMs(drain, 'drain', { min: 0 }));
    return this.#stopped;
  }

  /** Fires the signals of what runs, now. */
  interrupt(): void {
    for (const message of this.#running.keys()) message.interrupt(new ReleasedError('The worker was stopped.'));
  }

  /** `stop` for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #end(drainMs: number): Promise<void> {
    this.#stop.abort(new ReleasedError('The worker was stopped.'));
    this.#free?.resolve();
    await this.#loop;
    const late = Promise.withResolvers<void>();
    const clear = this.#context.clock.pause(drainMs, late.resolve);
    await Promise.race([Promise.all(this.#running.values()), late.promise]);
    clear();
    const left = [...this.#running.keys()];
    this.interrupt();
    await Promise.all(left.map((message) => this.#giveBack(message, { delay: 0, error: 'The worker was stopped.' })));
    this.#context.onStop(this);
  }

  async #fetch(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const free = this.#concurrency - this.#running.size;
      if (free <= 0) {
        this.#free = Promise.withResolvers<void>();
        await this.#free.promise;
        this.#free = undefined;
        continue;
      }
      try {
        const groupMax = Math.min(this.#groupMax, free);
        const messages = await this.#context.take({ max: free, groupMax, ttl: this.#ttlMs, wait: waitMs }, signal);
        if (signal.aborted) await Promise.all(messages.map((message) => this.#giveBack(message, { return: true })));
        else this.#begin(messages);
      } catch (error) {
        if (signal.aborted) return;
        this.#onError(error, undefined);
        await this.#pause(retryMs);
      }
    }
  }

  #pause(delayMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const clear = this.#context.clock.pause(delayMs, resolve);
    this.#stop.signal.addEventListener('abort', () => resolve(), { once: true });
    return promise.finally(clear);
  }

  /** Messages of one group run one after the other, all others at once. */
  #begin(messages: readonly QueueMessage<Data>[]): void {
    const groups = new Map<string, Promise<boolean>>();
    for (const message of messages) {
      const { group } = message;
      const before = group === undefined ? undefined : groups.get(group);
      const done = this.#run(message, before);
      if (group !== undefined) groups.set(group, done);
      const ended = done.then(() => {
        this.#running.delete(message);
        this.#free?.resolve();
      });
      this.#running.set(message, ended);
    }
  }

  /** @returns whether those behind it in its group may run */
  async #run(message: QueueMessage<Data>, before: Promise<boolean> | undefined): Promise<boolean> {
    if (before !== undefined && !(await before)) {
      // The one before it was given back, and this one with it.
      if (!message.settled) message.forget();
      return false;
    }
    if (this.#stop.signal.aborted && before !== undefined) {
      await this.#giveBack(message, { return: true });
      return false;
    }
    try {
      await this.#handler(message, { signal: message.signal });
    } catch (error) {
      await this.#giveBack(message, { error: textOf(error) });
      this.#onError(error, message);
      return false;
    }
    if (message.settled) return message.wasAcked;
    try {
      await message.ack();
      return true;
    } catch (error) {
      this.#onError(error, message);
      return false;
    }
  }

  async #giveBack(message: QueueMessage<Data>, how: Parameters<QueueMessage['nack']>[0]): Promise<void> {
    if (message.settled) return;
    try {
      await message.nack(how);
    } catch (error) {
      // That its lease has ended means that it is being tried again anyway.
      if (!(error instanceof ReceiptExpiredError)) this.#onError(error, message);
    }
  }
}

function textOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.slice(0, errorCharsMax).toWellFormed();
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : new Error(String(error)), 'DragonLockWarning');
}
