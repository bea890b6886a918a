/** Sends the calls that do not wait through the call queue: batches as batches, the rest as REST calls. */
import { ttlMsMax } from '../shared/limits.ts';
import { fromWire, heldMsIn } from './batch-from-wire.ts';
import { namesIn } from './call-names.ts';
import type { Batch } from './batch.ts';
import type { BatchResult } from './batch-result.ts';
import { toWire } from './batch-to-wire.ts';
import type { CallSender } from './call-sender.ts';
import type { Answer, Call, Retry } from './pending-call.ts';
import { durationMs } from './checks.ts';
import { inClientNames, type Renaming } from './client-names.ts';
import { DuplicateRequestError } from './errors.ts';
import type { CallQueue } from './call-queue.ts';
import { checkOptions, type NamesOf } from './option-names.ts';
import type { Settings } from './options.ts';
import { retryId } from './retry-id.ts';

/** Options of every call. */
export interface CallOptions {
  /** Rejects the call with the signal's reason. A request that was already sent may still happen. */
  readonly signal?: AbortSignal | undefined;
}

/** What only calls of the client know of a batch. */
export interface BatchCallOptions extends CallOptions {
  /** Tells more of the batch than can be seen of it. */
  readonly retry?: Retry;
  /** The names that the caller has written, for messages. */
  readonly renaming?: Renaming;
}

const callNames: NamesOf<CallOptions> = { signal: true };

/** @throws InvalidError */
export function checkCallOptions(options: CallOptions | undefined): void {
  checkOptions(options, callNames);
}

export class StoreCalls {
  readonly #queue: CallQueue;
  readonly #sender: CallSender;
  readonly #settings: Settings;

  constructor(queue: CallQueue, sender: CallSender) {
    this.#queue = queue;
    this.#sender = sender;
    this.#settings = sender.settings;
  }

  async batch(batch: Batch, options: BatchCallOptions = {}): Promise<BatchResult> {
    try {
      return await this.#batch(batch, options);
    } catch (error) {
      throw inClientNames(error, options.renaming);
    }
  }

  async #batch(batch: Batch, { signal, retry }: BatchCallOptions): Promise<BatchResult> {
    const wire = toWire(batch);
    const ownId = this.#addId(batch, wire);
    const text = JSON.stringify(wire);
    const call: Call = {
      method: 'POST',
      path: `/db/${this.#settings.account}`,
      body: () => text,
      retry: retry ?? (ownId === undefined ? retryOf(batch) : 'idempotent'),
      waitMs: waitMsOf(batch),
      signal,
    };
    try {
      const answer = await this.#run(call, batch, text);
      await this.#sitOut(answer, signal);
      return fromWire(answer.body);
    } catch (error) {
      // The reply to our own first attempt was lost. The error holds it.
      if (ownId !== undefined && error instanceof DuplicateRequestError && error.ids.includes(ownId)) {
        return fromWire(error.response as object);
      }
      throw error;
    }
  }

  /**
   * Sends a call that cannot be written as a batch.
   * @param body a string is the source of a script
   * @param id under which a write is done once; empty: it may be repeated
   * @returns the body of the reply
   */
  async rest(
    method: Call['method'],
    path: string,
    names: readonly string[],
    { signal, id: given }: CallOptions & { readonly id?: string } = {},
    body?: object | string,
  ): Promise<Answer['body']> {
    const read = method === 'GET';
    const own = !read && this.#settings.retryWrites ? retryId(this.#sender.clock.mark().wallMs) : undefined;
    const id = given === '' ? undefined : (given ?? own);
    const retry: Retry = read || given === '' ? 'safe' : id === undefined ? 'unsafe' : 'idempotent';
    try {
      const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
      const contentType = typeof body === 'string' ? 'text/javascript' : undefined;
      const call = { method, path, contentType, idempotencyKey: id, retry, signal, names };
      return (await this.#queue.run(text === undefined ? call : { ...call, body: () => text })).body;
    } catch (error) {
      throw inClientNames(error);
    }
  }

  #run(call: Call, batch: Batch, text: string): Promise<Answer> {
    // A page is as good as several values.
    const reads = (batch.get?.length ?? 0) + (batch.range === undefined ? 0 : 2);
    const names = namesIn(batch);
    if (call.waitMs) return this.#sender.call(call);
    // Several values may exceed the share of one batch in the reply to an array.
    // Several locks are taken by no batch of an array.
    if (reads > 1 || batch.locks !== undefined) return this.#queue.run({ ...call, names });
    return this.#queue.run({ ...call, names, batch: text, reads: reads > 0 });
  }

  /** Waits for the rest of the time for which a server that has stopped meanwhile would have held its reply. */
  async #sitOut({ body, sentAt }: Answer, signal: AbortSignal | undefined): Promise<void> {
    const heldMs = heldMsIn(body);
    if (heldMs === 0) return;
    const { clock } = this.#sender;
    const restMs = heldMs - clock.since(sentAt);
    if (restMs <= 0) return;
    await new Promise<void>((resolve, reject) => {
      const stop = clock.pause(restMs, () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      });
      const abort = (): void => {
        stop();
        reject(signal!.reason as Error);
      };
      if (signal?.aborted === true) abort();
      else signal?.addEventListener('abort', abort, { once: true });
    });
  }

  /** Adds an id with which the batch can be sent again, if it needs one. @returns the id */
  #addId(batch: Batch, wire: Record<string, unknown>): string | undefined {
    if (!this.#settings.retryWrites || !needsId(batch)) return undefined;
    const id = retryId(this.#sender.clock.mark().wallMs);
    wire['IdempotencyIDs'] = [...(batch.idempotency?.ids ?? []), id];
    if (batch.idempotency === undefined) {
      wire['IdempotencyMode'] = 'replay';
      // The client sends nothing again after the timeout.
      wire['IdempotencyTTL'] = Math.min(this.#settings.timeoutMs * 2, ttlMsMax) / 1000;
    }
    return id;
  }
}

/** The longest time for which the server may hold its reply. */
function waitMsOf({ lock, locks, limit, dequeue }: Batch): number {
  const { wait: lockWait } = lock ?? locks ?? {};
  const lockMs = lockWait === undefined ? 0 : durationMs(lockWait, 'lock.wait', { min: 0 });
  const limitMs = (limit ?? []).map(({ wait = 0 }, i) => durationMs(wait, `limit[${i}].wait`, { min: 0 }));
  const messagesMs = dequeue?.wait === undefined ? 0 : durationMs(dequeue.wait, 'dequeue.wait', { min: 0 });
  return Math.max(lockMs, messagesMs, ...limitMs);
}

/**
 * A batch that takes a lock gets no id: with an id, the server would keep the lock for a retry even after its client
 * has gone. Such a batch can be sent again if it has an owner and does nothing else.
 */
function needsId(batch: Batch): boolean {
  return retryOf(batch) === 'unsafe' && (batch.lock ?? batch.locks ?? batch.dequeue) === undefined;
}

/** Classifies a batch as it stands, without an id of the client. */
function retryOf({ guard, limit, atomic, set, idempotency, ...others }: Batch): Retry {
  if (idempotency?.mode === 'replay') return 'idempotent';
  const { ack, nack, extend, dequeue, enqueue } = others;
  const [lock, unlock] = [others.lock ?? others.locks, others.unlock ?? others.unlocks];
  if (idempotency !== undefined || atomic?.length || set?.length || enqueue?.length) return 'unsafe';
  if (dequeue !== undefined)
    return dequeue.attempt !== undefined && !ack?.length && !nack?.length && !limit?.length ? 'idempotent' : 'unsafe';
  // What is taken twice of a limit for one call was too much at worst, and no limit is exceeded. A receipt acts once: who
  // repeats it is told that it has gone.
  if (limit?.length || ack?.length || nack?.length || extend?.length)
    return lock === undefined && unlock === undefined ? 'idempotent' : 'unsafe';
  if (lock !== undefined) return lock.owner !== undefined && unlock === undefined ? 'idempotent' : 'unsafe';
  if (unlock !== undefined) return unlock.fence !== undefined && !guard?.length ? 'idempotent' : 'unsafe';
  return 'safe';
}
