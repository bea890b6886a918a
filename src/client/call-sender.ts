/**
 * Sends calls to the server until each is settled: one HTTP request for one call, or for an array of batches.
 *
 *     attempt ─► reply ─────────────► resolved, or rejected with the error of its code
 *        ▲         │ transient (overloaded, draining, …): the server did nothing
 *        │         ▼
 *        └──── backoff ◄── no reply: not sent, or safe to repeat (a read, a write with an id)
 *                  │
 *                  └─► time is up: `unreachable` or, for a write that was sent, `outcome_unknown`
 *
 * The reply to an array answers each call separately. Calls that need another attempt stay together and in order. The
 * server refuses a whole array if one of its batches is malformed or not allowed. The sender then halves the array
 * until the culprit is alone.
 *
 * Before the first call the sender checks the server's version, so that a wrong URL or an old server is reported in one
 * clear line.
 */
import type { Settings } from './options.ts';
import {
  errorOfReply,
  NotDragonLockError,
  OutcomeUnknownError,
  UnreachableError,
  ClosedError,
  type DragonLockError,
} from './errors.ts';
import type { LeaseClock, Mark } from './lease-clock.ts';
import { PendingCall, type Answer, type Body, type Call } from './pending-call.ts';
import { backoffMs, isTransient } from './retry.ts';
import { requireVersion } from './server-version.ts';
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
  /** Resolves once the server has reported a supported version. */
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

  /** The server has reported a supported version. */
  get versionChecked(): boolean {
    return this.#versionChecked;
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
      let failed: FailedCall[];
      let hintMs = 0;
      try {
        const reply = await this.#attempt(open);
        if (reply.status >= 400 && open.length > 1) {
          const error = this.#errorOf(reply);
          // One batch made the server refuse all of them, and nothing was done. Halving finds it.
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
    if (leftMs <= 0) throw new TransportError(new Error('the timeout passed before the request was sent'), false, true);
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

  /** Settles each call by its reply. @returns the calls to send again, because the server did nothing for them */
  #settle(open: readonly PendingCall[], reply: WireReply, sentAt: Mark): FailedCall[] {
    const failed: FailedCall[] = [];
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

  /** Handles a missing reply. @returns the calls to send again */
  #lost(open: readonly PendingCall[], error: TransportError): FailedCall[] {
    const failed: FailedCall[] = [];
    for (const pending of open) {
      if (pending.settled) continue;
      pending.sent ||= error.sent;
      const again = !error.permanent && (!error.sent || pending.call.retry !== 'unsafe');
      if (again) failed.push({ pending, error });
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
      else pending.reject(error instanceof TransportError ? this.#lostError(pending, error) : error);
    }
    return open;
  }

  #lostError(pending: PendingCall, cause: TransportError): DragonLockError {
    const { url } = this.settings;
    if (pending.sent && pending.call.retry !== 'safe') {
      return new OutcomeUnknownError(`No reply from ${url} (${cause.message}): the write may have happened or not.`, {
        cause,
      });
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
      // Reported below.
    }
    throw this.#unexpectedResponse({ status, boot });
  }

  #unexpectedResponse({ status, boot }: Pick<WireReply, 'status' | 'boot'>): DragonLockError {
    const who = boot === undefined ? 'is not a Dragon Lock server' : 'sent a reply that this client does not know';
    return new NotDragonLockError(`The server at ${this.settings.url} ${who} (status ${status}).`, { status });
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

  /** Checks the server's version. The calls wait for it no longer than for their own reply. */
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

interface FailedCall {
  readonly pending: PendingCall;
  readonly error: DragonLockError | TransportError;
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
  );
}
