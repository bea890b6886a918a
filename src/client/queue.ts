/** Queues: `client.queue(name)` sends, takes and consumes; `client.queues` lists. */
import type { Delivery, DequeueOperation, SendOptions, SendResult } from './queue-batch.ts';
import { queueName } from './call-names.ts';
import { showCallers } from './caller.ts';
import { anId, anInteger, durationMs, gotText, invalid, type Duration } from './checks.ts';
import { ReceiptExpiredError } from './errors.ts';
import { checkListArguments, checkPage, type PageOptions } from './kv.ts';
import { leavable } from './leavable.ts';
import type { LeaseClock } from './lease-clock.ts';
import { checkOptions, type NamesOf } from './option-names.ts';
import { pathOf } from './paths.ts';
import { QueueMessage } from './queue-message.ts';
import { QueueWorker, type ConsumeOptions, type Handler } from './queue-worker.ts';
import {
  policyToWire,
  statsOf,
  type PeekedMessage,
  type PeekOptions,
  type QueuePolicyOptions,
  type QueueStats,
  type RedriveOptions,
  type TakeOptions,
} from './queue-options.ts';
import { checkCallOptions, type CallOptions, type StoreCalls } from './store-calls.ts';

const takeNames: NamesOf<TakeOptions> = { max: true, groupMax: true, ttl: true, wait: true, signal: true };
const sendNames: NamesOf<SendOptions & CallOptions> = {
  group: true,
  dedup: true,
  delay: true,
  ttl: true,
  priority: true,
  signal: true,
};
const consumeNames: NamesOf<ConsumeOptions> = { concurrency: true, ttl: true, groupMax: true, onError: true };
const peekNames: NamesOf<PeekOptions> = { state: true, after: true, limit: true, signal: true };
const redriveNames: NamesOf<RedriveOptions> = { id: true, group: true, limit: true, signal: true };

export interface QueueContext {
  readonly calls: StoreCalls;
  readonly account: string;
  readonly clock: LeaseClock;
  /** Workers that must be stopped before the client is closed. */
  readonly workers: Set<{ stop(options: { drain: number }): Promise<void> }>;
}

const ttlMsDefault = 30_000;

/** A queue. It needs no declaration: it is there once a message is. */
export class Queue<Data = unknown> {
  static {
    showCallers(this, 'send', 'take', 'consume', 'messages', 'stats', 'peek');
    showCallers(this, 'pause', 'resume', 'purge', 'redrive', 'setPolicy', 'delete');
  }

  /** Its name. */
  readonly name: string;
  readonly #context: QueueContext;

  constructor(name: string, context: QueueContext) {
    this.name = anId(name, 'name');
    this.#context = context;
  }

  /** Enqueues a message. In one commit with other writes: `client.batch({ set, enqueue })`. */
  async send(data: Data, options: SendOptions & CallOptions = {}): Promise<SendResult> {
    checkOptions(options, sendNames);
    const { signal, ...how } = options;
    const enqueue = [{ queue: this.name, data, ...how }];
    const renaming = { 'enqueue[0].': '' };
    return (await this.#context.calls.batch({ enqueue }, { signal, renaming })).enqueue![0]!;
  }

  /** Takes messages; none if there are none. Each is renewed until it is settled. */
  async take(options: TakeOptions = {}): Promise<QueueMessage<Data>[]> {
    checkOptions(options, takeNames);
    const { signal, ...operation } = options;
    return await this.#take(operation, signal);
  }

  /**
   * Runs a function for each message: `await using worker = queue.consume(async (message) => …)`. When it resolves, the
   * message is acked; when it throws, the message is nacked with the text of the error.
   */
  consume(handler: Handler<Data>, options: ConsumeOptions<Data> = {}): QueueWorker<Data> {
    if (typeof handler !== 'function') throw invalid(`the handler: expected a function, got ${gotText(handler)}`);
    checkOptions(options, consumeNames);
    const { concurrency = 1, groupMax = 1 } = options;
    anInteger(concurrency, 'concurrency', 1);
    anInteger(groupMax, 'groupMax', 1);
    const { clock, workers } = this.#context;
    const worker = new QueueWorker<Data>(
      {
        clock,
        take: (operation, signal) => this.#take(operation, signal),
        onStop: (stopped) => workers.delete(stopped),
      },
      handler,
      options,
    );
    workers.add(worker);
    return worker;
  }

  /** Messages one after the other, without end. Ack each before the next: one that was not is given back. */
  messages(options: Omit<TakeOptions, 'max' | 'groupMax' | 'wait'> = {}): AsyncGenerator<QueueMessage<Data>, void> {
    checkOptions(options, { ttl: true, signal: true });
    return leavable(options.signal, (signal) => this.#messages(options.ttl, signal));
  }

  async *#messages(
    ttl: Duration | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<QueueMessage<Data>, void, undefined> {
    for (;;) {
      const [message] = await this.#take({ ttl, wait: 20_000 }, signal);
      if (message === undefined) continue;
      try {
        yield message;
      } finally {
        if (!message.settled) await message.nack({ return: true }).catch(() => undefined);
      }
    }
  }

  async #take(operation: Omit<DequeueOperation, 'queue'>, signal?: AbortSignal): Promise<QueueMessage<Data>[]> {
    const { calls, clock } = this.#context;
    const ttlMs = operation.ttl === undefined ? ttlMsDefault : durationMs(operation.ttl, 'ttl');
    const renaming = { 'dequeue.': '' };
    const sentAt = clock.mark();
    const { messages = [] } = await calls.batch(
      { dequeue: { queue: this.name, ...operation, ttl: ttlMs } },
      { signal, renaming },
    );
    const taken = messages as readonly Delivery<Data>[];
    if (clock.since(sentAt) < ttlMs / 3)
      return taken.map((one) => new QueueMessage(one, { calls, clock, ttlMs, sentAt }));
    // After a wait nobody knows when the lease began. An extension has a beginning.
    const extended = taken.map((one) => this.#extended(one, ttlMs));
    return (await Promise.all(extended)).filter((message) => message !== undefined);
  }

  /** Undefined: its lease had ended before the reply came; it is delivered again. */
  async #extended(delivery: Delivery<Data>, ttlMs: number): Promise<QueueMessage<Data> | undefined> {
    const { calls, clock } = this.#context;
    const { queue, id, lock } = delivery;
    const sentAt = clock.mark();
    try {
      await calls.batch({ extend: [{ queue, id, lock, ttl: ttlMs }] });
      return new QueueMessage(delivery, { calls, clock, ttlMs, sentAt });
    } catch (error) {
      if (error instanceof ReceiptExpiredError) return undefined;
      throw error;
    }
  }

  /** What is in the queue, and its policy. */
  async stats(options?: CallOptions): Promise<QueueStats> {
    checkCallOptions(options);
    return statsOf(await this.#rest('GET', 'queue', {}, options));
  }

  /** Looks at messages and takes none. `after` of the result leads to the next page. */
  async peek(
    options: PeekOptions = {},
  ): Promise<{ readonly messages: readonly PeekedMessage[]; readonly after?: string }> {
    checkOptions(options, peekNames);
    const { signal, ...query } = options;
    const body = (await this.#rest('GET', 'peek', query, { signal })) as unknown as {
      Messages: readonly {
        ID: string;
        Data: unknown;
        Group?: string;
        State: string;
        Attempts: number;
        At: number;
        LastError?: string;
      }[];
      After?: string;
    };
    const messages = body.Messages.map(({ ID, Data: data, Group, State, Attempts, At, LastError }) => ({
      id: ID,
      data,
      ...(Group !== undefined && { group: Group }),
      state: State,
      attempts: Attempts,
      at: At,
      ...(LastError !== undefined && { lastError: LastError }),
    }));
    return { messages, ...(body.After !== undefined && { after: body.After }) };
  }

  /** Delivers nothing until `resume`. Requires the scope `admin`. */
  async pause(options?: CallOptions): Promise<void> {
    checkCallOptions(options);
    await this.#rest('POST', 'pause/queue', {}, options);
  }

  /** Delivers again. Requires the scope `admin`. */
  async resume(options?: CallOptions): Promise<void> {
    checkCallOptions(options);
    await this.#rest('POST', 'resume/queue', {}, options);
  }

  /** Empties the queue at once. Requires the scope `admin`. @returns how many messages are gone */
  async purge(options?: CallOptions): Promise<number> {
    checkCallOptions(options);
    return Number((await this.#rest('POST', 'purge', {}, options))['Purged']);
  }

  /** Purges the queue, and forgets its policy and what it has seen. Requires the scope `admin`. */
  async delete(options?: CallOptions): Promise<number> {
    checkCallOptions(options);
    return Number((await this.#rest('DELETE', 'queue', {}, options))['Purged']);
  }

  /** Tries dead and blocked messages again, or drops them. Requires the scope `admin`. @returns how many */
  async redrive(how: 'retry' | 'skip', options: RedriveOptions = {}): Promise<number> {
    checkOptions(options, redriveNames);
    const { signal, ...query } = options;
    const body = await this.#rest('POST', 'redrive', { do: how, ...query }, { signal });
    return Number(body['Redriven']) + Number(body['Skipped']);
  }

  /** Sets the policy as a whole. Requires the scope `admin`. */
  async setPolicy(policy: QueuePolicyOptions, options?: CallOptions): Promise<void> {
    checkCallOptions(options);
    const path = pathOf(this.#context.account, 'queue', this.name);
    await this.#context.calls.rest('PUT', path, [queueName(this.name)], options, policyToWire(policy));
  }

  async #rest(
    method: 'GET' | 'POST' | 'DELETE',
    thing: Parameters<typeof pathOf>[1],
    query: Parameters<typeof pathOf>[3],
    options: CallOptions | undefined,
  ): Promise<Readonly<Record<string, unknown>>> {
    const path = pathOf(this.#context.account, thing, this.name, query);
    return await this.#context.calls.rest(method, path, [queueName(this.name)], options);
  }
}

/** The queues of the account. */
export class Queues {
  static {
    showCallers(this, 'list');
  }

  readonly #context: QueueContext;

  constructor(context: QueueContext) {
    this.#context = context;
  }

  /** Iterates over the queues whose names begin with the prefix. Each page shows one moment. */
  list(prefix: string, options: Omit<PageOptions, 'prefix'> = {}): AsyncGenerator<QueueStats, void, undefined> {
    checkListArguments(prefix, options);
    checkPage({ prefix, ...options });
    return leavable(options.signal, (signal) => this.#list(prefix, { ...options, signal }));
  }

  async *#list(prefix: string, options: Omit<PageOptions, 'prefix'>): AsyncGenerator<QueueStats, void, undefined> {
    const { calls, account } = this.#context;
    const { limit, signal } = options;
    let { after } = options;
    do {
      const path = pathOf(account, 'queue', undefined, { prefix, after, limit });
      const body = (await calls.rest('GET', path, [], { signal })) as unknown as {
        Queues: readonly Readonly<Record<string, unknown>>[];
        After?: string;
      };
      yield* body.Queues.map(statsOf);
      after = body.After;
    } while (after !== undefined);
  }
}
