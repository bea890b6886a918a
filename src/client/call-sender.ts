/**
 * Carries calls to the server until each has an answer: one HTTP request for one call, or for an array of batches.
 *
 *     attempt ─► reply ─────────────► resolved, or rejected with the error of its code
 *        ▲         │ passing (overloaded, draining, …): nothing was done
 *        │         ▼
 *        └──── backoff ◄── no reply: not sent, or it may be sent twice (a read, a write under an id)
 *                  │
 *                  └─► time is up: `unreachable` or, for a write that was sent, `outcome_unknown`
 *
 * An array is answered call by call, so that each goes its own way from there; those that need another attempt stay
 * together and in order. The server refuses an array as a whole when one of its batches is malformed or not allowed:
 * then it is halved, until the culprit stands alone.
 *
 * Before the first call, the server is asked for its version: a wrong URL and an old server are told in one clear line.
 */
import type { Settings } from './options.ts';
import { errorOfReply, NotDragonLockError, OutcomeUnknownError, UnreachableError, ClosedError } from './errors.ts';
import type { DragonLockError } from './errors.ts';
import type { LeaseClock, Mark } from './lease-clock.ts';
import { PendingCall, type Answer, type Body, type Call } from './pending-call.ts';
import { backoffMs, isTransient } from './retry.ts';
import { requireVersion } from './server-version.ts';
import { TransportError, type Transport, type WireReply } from './transport.ts';

export interface CallSenderDependencies {
  readonly transport: Transport;
  readonly clock: LeaseClock;
  /** 0 to 1. */
  readonly random: () => number;
}

/** One attempt gets this part of a call's timeout, so that a connection that went dead leaves time for others. */
const attemptPart = 1 / 3;

export class CallSender {
  readonly settings: Settings;
  readonly clock: LeaseClock;
  readonly #transport: Transport;
  readonly #random: () => number;
  /** Resolves when the server has told a version that will do. */
  #versionCheck: Promise<void> | undefined;
  #versionChecked = false;
  #closed = false;
  readonly #onClose = new AbortController();

  constructor(settings: Settings, { transport, clock, random }: CallSenderDependencies) {
    this.settings = settings;
    this.#transport = transport;
    this.clock = clock;
    this.#random = random;
  }

  /** The server has answered, and its version will do. */
  get versionChecked(): boolean {
    return this.#versionChecked;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** One call, by itself. */
  call(call: Call): Promise<Answer> {
    return new Promise((resolve, reject) => {
      void this.send([new PendingCall(call, this.clock.mark(), resolve, reject)]);
    });
  }

  /** Settles all of them; never rejects. More than one: an array of batches, none of which waits. */
  async send(calls: readonly PendingCall[]): Promise<void> {
    try {
      if (!this.#versionChecked) await this.#checkVersion(calls);
      await this.#sendUntilSettled(calls);
    } catch (error) {
      for (const pending of calls) if (!pending.settled) pending.reject(error);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#onClose.abort(new ClosedError());
    await this.#transport.close();
  }

  async #sendUntilSettled(calls: readonly PendingCall[]): Promise<void> {
    let open = calls.filter((pending) => !pending.settled);
    for (let attempt = 1; open.length > 0; attempt += 1) {
      if (this.#closed) throw new ClosedError();
      const sentAt = this.clock.mark();
      let failed: Failed[];
      let hintMs = 0;
      try {
        const reply = await this.#attempt(open);
        if (reply.status >= 400 && open.length > 1) {
          const error = this.#errorOf(reply);
          // One of them spoils the others, and nothing was done: which one, the halves will tell.
          if (!isTransient(error.code)) return await this.#sendHalves(open);
          failed = open.map((pending) => ({ pending, error }));
        } else {
          failed = this.#settle(open, reply, sentAt);
        }
        hintMs = failed.length > 0 ? (reply.retryAfterMs ?? 0) : 0;
      } catch (error) {
        if (!(error instanceof TransportError)) throw error;
        failed = this.#lost(open, error);
      }
      const delayMs = backoffMs(attempt, hintMs, this.#random());
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
    if (leftMs <= 0) throw new TransportError(new Error('its time was up before it could be sent'), false, true);
    return this.#transport.send({
      method: call.method,
      path: call.path,
      body: open.length === 1 ? call.body?.() : `[${open.map((pending) => pending.call.body!()).join(',')}]`,
      idempotencyKey: call.idempotencyKey,
      timeoutMs: Math.min(leftMs, attemptMs),
      waits: waitMs > 0,
      signal: open.length === 1 ? call.signal : undefined,
    });
  }

  /** Tells each how its reply reads. @returns those that may be sent again, because nothing was done */
  #settle(open: readonly PendingCall[], reply: WireReply, sentAt: Mark): Failed[] {
    const failed: Failed[] = [];
    const json = this.#json(reply);
    const items = open.length === 1 ? [{ Status: reply.status, ...(json as Body) }] : (json as Body[]);
    for (const [i, pending] of open.entries()) {
      const body = items[i] ?? {};
      const status = Number(body['Status']);
      if (pending.settled) continue;
      if (status < 400) {
        pending.resolve({ status, body, sentAt });
        continue;
      }
      const error = open.length === 1 ? this.#errorOf(reply) : errorOfReply(status, body);
      if (error === undefined) pending.reject(this.#unexpectedResponse(reply));
      else if (isTransient(error.code)) failed.push({ pending, error });
      else pending.reject(error);
    }
    return failed;
  }

  /** There was no reply. @returns those that may be sent again */
  #lost(open: readonly PendingCall[], error: TransportError): Failed[] {
    const failed: Failed[] = [];
    for (const pending of open) {
      if (pending.settled) continue;
      pending.sent ||= error.sent;
      const again = !error.permanent && (!error.sent || pending.call.retry !== 'unsafe');
      if (again) failed.push({ pending, error });
      else pending.reject(this.#lostError(pending, error));
    }
    return failed;
  }

  /** Rejects those whose time would be up behind the delay. */
  #withTimeLeft(failed: readonly Failed[], delayMs: number): PendingCall[] {
    const open: PendingCall[] = [];
    for (const { pending, error } of failed) {
      if (pending.settled) continue;
      if (this.#leftMs(pending) > delayMs) open.push(pending);
      else pending.reject(error instanceof TransportError ? this.#lostError(pending, error) : error);
    }
    return open;
  }

  #lostError(pending: PendingCall, cause: TransportError): DragonLockError {
    const { url } = this.settings;
    if (pending.sent && pending.call.retry !== 'safe') {
      return new OutcomeUnknownError(
        `No reply from ${url} (${cause.message}): what was asked may have happened or not.`,
        { cause },
      );
    }
    return new UnreachableError(`Cannot reach ${url} (${cause.message}).`, { cause });
  }

  #errorOf(reply: WireReply): DragonLockError {
    return errorOfReply(reply.status, this.#json(reply)) ?? this.#unexpectedResponse(reply);
  }

  #json({ status, text, boot }: WireReply): unknown {
    if (status === 204) return {};
    try {
      const json: unknown = JSON.parse(text);
      if (typeof json === 'object' && json !== null) return json;
    } catch {
      // Told below.
    }
    throw this.#unexpectedResponse({ status, boot });
  }

  #unexpectedResponse({ status, boot }: Pick<WireReply, 'status' | 'boot'>): DragonLockError {
    const who = boot === undefined ? 'is not a Dragon Lock server' : 'speaks of what this client does not know';
    return new NotDragonLockError(`What answers at ${this.settings.url} ${who} (status ${status}).`, { status });
  }

  #timeoutMs(call: Call): number {
    return call.timeoutMs ?? this.settings.timeoutMs;
  }

  #leftMs({ call, startedAt }: PendingCall): number {
    return this.#timeoutMs(call) + (call.waitMs ?? 0) - this.clock.since(startedAt);
  }

  /** Before the next attempt of something that goes on for ever. */
  async pause(attempt: number, signal: AbortSignal | undefined): Promise<void> {
    await this.#pause(backoffMs(attempt, 0, this.#random()), signal);
  }

  /** Ends early when whoever it is for gives up, or the client is closed. */
  async #pause(delayMs: number, asker: AbortSignal | undefined): Promise<void> {
    const signal = asker === undefined ? this.#onClose.signal : AbortSignal.any([this.#onClose.signal, asker]);
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const give = (): void => {
        clear();
        reject(signal.reason as Error);
      };
      const clear = this.clock.pause(delayMs, () => {
        signal.removeEventListener('abort', give);
        resolve();
      });
      signal.addEventListener('abort', give, { once: true });
    });
  }

  /** The calls in hand wait for it as long as they would for their own reply. */
  async #checkVersion(calls: readonly PendingCall[]): Promise<void> {
    const longest = Math.max(...calls.map((pending) => this.#leftMs(pending)));
    const signal = calls.length === 1 ? calls[0]!.call.signal : undefined;
    signal?.throwIfAborted();
    this.#versionCheck ??= this.#fetchVersion(Math.max(longest, 1)).finally(() => (this.#versionCheck = undefined));
    await (signal === undefined ? this.#versionCheck : Promise.race([this.#versionCheck, aborted(signal)]));
  }

  async #fetchVersion(timeoutMs: number): Promise<void> {
    const call: Call = { method: 'GET', path: '/version', retry: 'safe', timeoutMs };
    const body = await new Promise<Answer>((resolve, reject) => {
      const pending = new PendingCall(call, this.clock.mark(), resolve, reject);
      this.#sendUntilSettled([pending]).catch(reject);
    });
    requireVersion(body.body['Version'], this.settings.url);
    this.#versionChecked = true;
  }
}

interface Failed {
  readonly pending: PendingCall;
  readonly error: DragonLockError | TransportError;
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
  );
}
