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
import { Parcel, type Answer, type Body, type Call } from './pending-call.ts';
import { backoffMs, passes } from './retry.ts';
import { needVersion } from './server-version.ts';
import { TransportError, type Transport, type WireReply } from './transport.ts';

export interface CarrierSeams {
  readonly transport: Transport;
  readonly clock: LeaseClock;
  /** 0 to 1. */
  readonly random: () => number;
}

/** One attempt gets this part of a call's timeout, so that a connection that went dead leaves time for others. */
const attemptPart = 1 / 3;

export class Carrier {
  readonly settings: Settings;
  readonly clock: LeaseClock;
  readonly #transport: Transport;
  readonly #random: () => number;
  /** Resolves when the server has told a version that will do. */
  #greeting: Promise<void> | undefined;
  #greeted = false;
  #closed = false;
  readonly #onClose = new AbortController();

  constructor(settings: Settings, { transport, clock, random }: CarrierSeams) {
    this.settings = settings;
    this.#transport = transport;
    this.clock = clock;
    this.#random = random;
  }

  /** The server has answered, and its version will do. */
  get greeted(): boolean {
    return this.#greeted;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** One call, by itself. */
  call(call: Call): Promise<Answer> {
    return new Promise((resolve, reject) => {
      void this.carry([new Parcel(call, this.clock.mark(), resolve, reject)]);
    });
  }

  /** Settles all of them; never rejects. More than one: an array of batches, none of which waits. */
  async carry(parcels: readonly Parcel[]): Promise<void> {
    try {
      if (!this.#greeted) await this.#greet(parcels);
      await this.#carry(parcels);
    } catch (error) {
      for (const parcel of parcels) if (!parcel.settled) parcel.reject(error);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#onClose.abort(new ClosedError());
    await this.#transport.close();
  }

  async #carry(parcels: readonly Parcel[]): Promise<void> {
    let open = parcels.filter((parcel) => !parcel.settled);
    for (let attempt = 1; open.length > 0; attempt += 1) {
      if (this.#closed) throw new ClosedError();
      const sentAt = this.clock.mark();
      let failed: Failed[];
      let hintMs = 0;
      try {
        const reply = await this.#send(open);
        if (reply.status >= 400 && open.length > 1) {
          const error = this.#errorOf(reply);
          // One of them spoils the others, and nothing was done: which one, the halves will tell.
          if (!passes(error.code)) return await this.#carryHalves(open);
          failed = open.map((parcel) => ({ parcel, error }));
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
      open = open.filter((parcel) => !parcel.settled);
    }
  }

  async #carryHalves(parcels: readonly Parcel[]): Promise<void> {
    const middle = parcels.length >> 1;
    await this.#carry(parcels.slice(0, middle));
    await this.#carry(parcels.slice(middle));
  }

  async #send(open: readonly Parcel[]): Promise<WireReply> {
    const [first] = open;
    const { call } = first!;
    const waitMs = call.waitMs ?? 0;
    const leftMs = this.#leftMs(first!);
    const attemptMs = waitMs + this.#timeoutMs(call) * attemptPart;
    if (leftMs <= 0) throw new TransportError(new Error('its time was up before it could be sent'), false, true);
    return this.#transport.send({
      method: call.method,
      path: call.path,
      body: open.length === 1 ? call.body?.() : `[${open.map((parcel) => parcel.call.body!()).join(',')}]`,
      idempotencyKey: call.idempotencyKey,
      timeoutMs: Math.min(leftMs, attemptMs),
      waits: waitMs > 0,
      signal: open.length === 1 ? call.signal : undefined,
    });
  }

  /** Tells each how its reply reads. @returns those that may be sent again, because nothing was done */
  #settle(open: readonly Parcel[], reply: WireReply, sentAt: Mark): Failed[] {
    const failed: Failed[] = [];
    const json = this.#json(reply);
    const items = open.length === 1 ? [{ Status: reply.status, ...(json as Body) }] : (json as Body[]);
    for (const [i, parcel] of open.entries()) {
      const body = items[i] ?? {};
      const status = Number(body['Status']);
      if (parcel.settled) continue;
      if (status < 400) {
        parcel.resolve({ status, body, sentAt });
        continue;
      }
      const error = open.length === 1 ? this.#errorOf(reply) : errorOfReply(status, body);
      if (error === undefined) parcel.reject(this.#stranger(reply));
      else if (passes(error.code)) failed.push({ parcel, error });
      else parcel.reject(error);
    }
    return failed;
  }

  /** There was no reply. @returns those that may be sent again */
  #lost(open: readonly Parcel[], error: TransportError): Failed[] {
    const failed: Failed[] = [];
    for (const parcel of open) {
      if (parcel.settled) continue;
      parcel.sent ||= error.sent;
      const again = !error.permanent && (!error.sent || parcel.call.effect !== 'once');
      if (again) failed.push({ parcel, error });
      else parcel.reject(this.#lostError(parcel, error));
    }
    return failed;
  }

  /** Rejects those whose time would be up behind the delay. */
  #withTimeLeft(failed: readonly Failed[], delayMs: number): Parcel[] {
    const open: Parcel[] = [];
    for (const { parcel, error } of failed) {
      if (parcel.settled) continue;
      if (this.#leftMs(parcel) > delayMs) open.push(parcel);
      else parcel.reject(error instanceof TransportError ? this.#lostError(parcel, error) : error);
    }
    return open;
  }

  #lostError(parcel: Parcel, cause: TransportError): DragonLockError {
    const { url } = this.settings;
    if (parcel.sent && parcel.call.effect !== 'read') {
      return new OutcomeUnknownError(
        `No reply from ${url} (${cause.message}): what was asked may have happened or not.`,
        { cause },
      );
    }
    return new UnreachableError(`Cannot reach ${url} (${cause.message}).`, { cause });
  }

  #errorOf(reply: WireReply): DragonLockError {
    return errorOfReply(reply.status, this.#json(reply)) ?? this.#stranger(reply);
  }

  #json({ status, text, boot }: WireReply): unknown {
    if (status === 204) return {};
    try {
      const json: unknown = JSON.parse(text);
      if (typeof json === 'object' && json !== null) return json;
    } catch {
      // Told below.
    }
    throw this.#stranger({ status, boot });
  }

  #stranger({ status, boot }: Pick<WireReply, 'status' | 'boot'>): DragonLockError {
    const who = boot === undefined ? 'is not a Dragon Lock server' : 'speaks of what this client does not know';
    return new NotDragonLockError(`What answers at ${this.settings.url} ${who} (status ${status}).`, { status });
  }

  #timeoutMs(call: Call): number {
    return call.timeoutMs ?? this.settings.timeoutMs;
  }

  #leftMs({ call, startedAt }: Parcel): number {
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
  async #greet(parcels: readonly Parcel[]): Promise<void> {
    const longest = Math.max(...parcels.map((parcel) => this.#leftMs(parcel)));
    const signal = parcels.length === 1 ? parcels[0]!.call.signal : undefined;
    signal?.throwIfAborted();
    this.#greeting ??= this.#askVersion(Math.max(longest, 1)).finally(() => (this.#greeting = undefined));
    await (signal === undefined ? this.#greeting : Promise.race([this.#greeting, aborted(signal)]));
  }

  async #askVersion(timeoutMs: number): Promise<void> {
    const call: Call = { method: 'GET', path: '/version', effect: 'read', timeoutMs };
    const body = await new Promise<Answer>((resolve, reject) => {
      const parcel = new Parcel(call, this.clock.mark(), resolve, reject);
      this.#carry([parcel]).catch(reject);
    });
    needVersion(body.body['Version'], this.settings.url);
    this.#greeted = true;
  }
}

interface Failed {
  readonly parcel: Parcel;
  readonly error: DragonLockError | TransportError;
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
  );
}
