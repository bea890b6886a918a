/**
 * Sends calls to the server until each is settled: one HTTP request for one call, or for an array of batches.
 *
 *     attempt ─► reply ─────────────► resolved, or rejected with the error of its code
 *        ▲         │ transient (overloaded, draining, …): the server did nothing
 *        │         ▼
 *        └──── backoff ◄── no reply, or one of a gateway: not sent, or safe to repeat (a read, a write with an id)
 *                  │
 *                  └─► time is up: `unreachable` or, for a write that was sent, `outcome_unknown`
 *
 * The reply to an array answers each call separately. Calls that need another attempt stay together and in order. The
 * server refuses a whole array if one of its batches is malformed or not allowed. The sender then halves the array
 * until the culprit is alone.
 */
import type { Settings } from './options.ts';
import { errorOfReply } from './error-of-reply.ts';
import {
  NotDragonLockError,
  OutcomeUnknownError,
  UnreachableError,
  ClosedError,
  type DragonLockError,
} from './errors.ts';
import { FirstContact } from './first-contact.ts';
import type { LeaseClock, Mark } from './lease-clock.ts';
import { PendingCall, type Answer, type Body, type Call } from './pending-call.ts';
import { backoffMs, gatewayHintMs, isTransient } from './retry.ts';
import { checkVersionReply, serverReply } from './server-reply.ts';
import { TransportError, type Transport, type WireReply } from './transport.ts';

export interface CallSenderDependencies {
  readonly transport: Transport;
  readonly clock: LeaseClock;
  /** From 0 to 1. */
  readonly random: () => number;
}

/** Share of a call's timeout for one attempt, so that a dead connection leaves time for other attempts. */
const attemptPart = 1 / 3;

export class CallSender {
  readonly settings: Settings;
  readonly clock: LeaseClock;
  readonly #transport: Transport;
  readonly #random: () => number;
  readonly #contact: FirstContact;
  #closed = false;
  readonly #onClose = new AbortController();

  constructor(settings: Settings, { transport, clock, random }: CallSenderDependencies) {
    this.settings = settings;
    this.#transport = transport;
    this.clock = clock;
    this.#random = random;
    this.#contact = new FirstContact({
      ask: (signal) => this.#askVersion(signal),
      pause: (delayMs, signal) => this.#pause(delayMs, signal),
      atDeadline: (pending, run) => clock.pause(Math.max(0, this.#leftMs(pending)), run),
      lostError: (pending, cause) => this.#lostError(pending, cause),
      random,
    });
  }

  /** The server has reported a supported version. Before that, no call was sent. */
  get contacted(): boolean {
    return this.#contact.made;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Sends one call by itself. */
  call(call: Call): Promise<Answer> {
    return new Promise((resolve, reject) => {
      void this.send([new PendingCall(call, this.clock.mark(), resolve, reject)]);
    });
  }

  /** Settles all calls; never rejects. Several calls form an array of batches, and none of them waits in the server. */
  async send(calls: readonly PendingCall[]): Promise<void> {
    try {
      if (!this.#contact.made) await this.#contact.waitFor(calls);
      await this.#sendUntilSettled(calls);
    } catch (error) {
      for (const pending of calls) if (!pending.settled) pending.reject(error);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const reason = new ClosedError();
    this.#onClose.abort(reason);
    this.#contact.close(reason);
    await this.#transport.close();
  }

  async #sendUntilSettled(calls: readonly PendingCall[]): Promise<void> {
    let open = calls.filter((pending) => !pending.settled);
    for (let attempt = 1; open.length > 0; attempt += 1) {
      if (this.#closed) throw new ClosedError();
      const sentAt = this.clock.mark();
      let failed: FailedCall[];
      let hintMs = 0;
      try {
        const reply = await this.#attempt(open);
        const json = serverReply(reply);
        if (reply.status >= 400 && open.length > 1) {
          const error = this.#errorOf(reply, json);
          // One batch made the server refuse all of them, and nothing was done. Halving finds it.
          if (!isTransient(error.code)) return await this.#sendHalves(open);
          failed = open.map((pending) => ({ pending, error }));
        } else {
          failed = this.#settle(open, { reply, json, sentAt });
        }
        hintMs = failed.length > 0 ? (reply.retryAfterMs ?? 0) : 0;
      } catch (error) {
        if (!(error instanceof TransportError)) throw error;
        failed = this.#lost(open, error);
        hintMs = gatewayHintMs(error.retryAfterMs);
      }
      const random = this.#random();
      // A wait that was cut on its way has taken its time already.
      const waitedMs = open.length === 1 && open[0]!.call.waitMs ? this.clock.since(sentAt) : 0;
      const delayMs = Math.max(backoffMs(attempt, hintMs, random) - waitedMs, backoffMs(1, hintMs, random));
      open = this.#withTimeLeft(failed, delayMs);
      if (open.length > 0) await this.#pause(delayMs, open.length === 1 ? open[0]!.call.signal : undefined);
      open = open.filter((pending) => !pending.settled);
    }
  }

  async #sendHalves(calls: readonly PendingCall[]): Promise<void> {
    const middle = calls.length >> 1;
    await this.#sendUntilSettled(calls.slice(0, middle));
    await this.#sendUntilSettled(calls.slice(middle));
  }

  async #attempt(open: readonly PendingCall[]): Promise<WireReply> {
    const [first] = open;
    const { call } = first!;
    const waitMs = call.waitMs ?? 0;
    const leftMs = this.#leftMs(first!);
    const attemptMs = waitMs + this.#timeoutMs(call) * attemptPart;
    if (leftMs <= 0)
      throw new TransportError(new Error('the timeout passed before the request was sent'), false, false);
    return this.#transport.send({
      method: call.method,
      path: typeof call.path === 'string' ? call.path : call.path(),
      body: open.length === 1 ? call.body?.() : `[${open.map((pending) => pending.call.body!()).join(',')}]`,
      idempotencyKey: call.idempotencyKey,
      contentType: call.contentType,
      timeoutMs: Math.min(leftMs, attemptMs),
      waits: waitMs > 0,
      signal: open.length === 1 && call.ordered !== true ? call.signal : undefined,
    });
  }

  /** Settles each call by its reply. @returns the calls to send again, because the server did nothing for them */
  #settle(open: readonly PendingCall[], { reply, json, sentAt }: Received): FailedCall[] {
    const failed: FailedCall[] = [];
    const items = open.length === 1 ? [{ Status: reply.status, ...(json as Body) }] : (json as Body[]);
    for (const [i, pending] of open.entries()) {
      const body = items[i] ?? {};
      const status = Number(body['Status']);
      if (pending.settled) continue;
      if (status < 400) {
        pending.resolve({ status, body, sentAt });
        continue;
      }
      const error = open.length === 1 ? this.#errorOf(reply, json) : errorOfReply(status, body);
      if (error === undefined) pending.reject(this.#unknownReply(reply));
      else if (isTransient(error.code)) failed.push({ pending, error });
      else pending.reject(error);
    }
    return failed;
  }

  /** Handles a missing reply. @returns the calls to send again */
  #lost(open: readonly PendingCall[], error: TransportError): FailedCall[] {
    const failed: FailedCall[] = [];
    for (const pending of open) {
      if (pending.settled) continue;
      pending.sent ||= error.sent;
      if (!error.sent || pending.call.retry !== 'unsafe') failed.push({ pending, error });
      else pending.reject(this.#lostError(pending, error));
    }
    return failed;
  }

  /** Rejects the calls whose time is up after the delay. @returns the others */
  #withTimeLeft(failed: readonly FailedCall[], delayMs: number): PendingCall[] {
    const open: PendingCall[] = [];
    for (const { pending, error } of failed) {
      if (pending.settled) continue;
      if (this.#leftMs(pending) > delayMs) open.push(pending);
      // An attempt before may have been carried out, whatever the last one says.
      else if (error instanceof TransportError || this.#inDoubt(pending))
        pending.reject(this.#lostError(pending, error));
      else pending.reject(error);
    }
    return open;
  }

  #inDoubt({ sent, call }: PendingCall): boolean {
    return sent && call.retry !== 'safe';
  }

  #lostError(pending: PendingCall, cause: Error): DragonLockError {
    const { url } = this.settings;
    if (this.#inDoubt(pending)) {
      return new OutcomeUnknownError(`No reply from ${url} (${cause.message}): the write may have happened or not.`, {
        cause,
      });
    }
    return new UnreachableError(`Cannot reach ${url} (${cause.message}).`, { cause });
  }

  #errorOf(reply: WireReply, json: object): DragonLockError {
    return errorOfReply(reply.status, json) ?? this.#unknownReply(reply);
  }

  #unknownReply({ status }: WireReply): DragonLockError {
    const { url } = this.settings;
    return new NotDragonLockError(
      `The server at ${url} sent a reply that this client does not know (status ${status}).`,
      {
        status,
      },
    );
  }

  #timeoutMs(call: Call): number {
    return call.timeoutMs ?? this.settings.timeoutMs;
  }

  #leftMs({ call, startedAt }: PendingCall): number {
    return this.#timeoutMs(call) + (call.waitMs ?? 0) - this.clock.since(startedAt);
  }

  /** Waits before the next attempt of a call that is repeated without end. */
  async pause(attempt: number, signal: AbortSignal | undefined): Promise<void> {
    await this.#pause(backoffMs(attempt, 0, this.#random()), signal);
  }

  /** Rejects early if the caller's signal aborts or the client is closed. */
  async #pause(delayMs: number, caller: AbortSignal | undefined): Promise<void> {
    const signal = caller === undefined ? this.#onClose.signal : AbortSignal.any([this.#onClose.signal, caller]);
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => {
        clear();
        reject(signal.reason as Error);
      };
      const clear = this.clock.pause(delayMs, () => {
        signal.removeEventListener('abort', abort);
        resolve();
      });
      signal.addEventListener('abort', abort, { once: true });
    });
  }

  async #askVersion(signal: AbortSignal): Promise<void> {
    const { url, timeoutMs } = this.settings;
    const request = { method: 'GET', path: '/version', timeoutMs: timeoutMs * attemptPart, waits: false } as const;
    const reply = await this.#transport.send({ ...request, signal });
    checkVersionReply(reply, url);
  }
}

interface Received {
  readonly reply: WireReply;
  readonly json: object;
  readonly sentAt: Mark;
}

interface FailedCall {
  readonly pending: PendingCall;
  readonly error: DragonLockError | TransportError;
}
