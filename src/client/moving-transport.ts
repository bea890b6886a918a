/**
 * Follows an account to the machine that it is on. Where several machines share out the accounts, any of them answers
 * 421 `moved` with the address of the right one, and has done nothing; the transport asks there at once, and from then
 * on. When that one cannot be reached, the next request goes to the first address again: the map may have changed.
 */
import type { Settings } from './options.ts';
import type { Transport, WireReply, WireRequest } from './transport.ts';

/** Of one request. Machines whose maps differ for a moment could send it to and fro. */
const hopsMax = 3;

export class MovingTransport implements Transport {
  readonly #settings: Settings;
  readonly #connect: (settings: Settings) => Transport;
  readonly #machines = new Map<string, Transport>();
  #url: string;

  constructor(settings: Settings, connect: (settings: Settings) => Transport) {
    this.#settings = settings;
    this.#connect = connect;
    this.#url = settings.url;
  }

  async send(request: WireRequest): Promise<WireReply> {
    for (let hops = 0; ; hops += 1) {
      const url = this.#url;
      const reply = await this.#sendTo(url, request);
      const owner = this.#ownerIn(reply);
      if (owner === undefined || hops === hopsMax) return reply;
      // Another request may have found it before.
      if (this.#url === url) this.#url = owner;
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#machines.values()].map((machine) => machine.close()));
  }

  async #sendTo(url: string, request: WireRequest): Promise<WireReply> {
    let machine = this.#machines.get(url);
    if (machine === undefined) {
      machine = this.#connect({ ...this.#settings, url });
      this.#machines.set(url, machine);
    }
    try {
      return await machine.send(request);
    } catch (error) {
      if (this.#url === url && request.signal?.aborted !== true) this.#url = this.#settings.url;
      throw error;
    }
  }

  /** @returns undefined: the reply is for the caller */
  #ownerIn({ status, boot, text }: WireReply): string | undefined {
    if (status !== 421 || boot === undefined) return undefined;
    const { Owner } = JSON.parse(text) as { readonly Owner?: unknown };
    if (typeof Owner !== 'string' || !URL.canParse(Owner)) return undefined;
    const { protocol } = new URL(Owner);
    // A token that was sent over TLS never leaves without it.
    const isSafe = protocol === 'https:' || (protocol === 'http:' && !this.#settings.url.startsWith('https:'));
    return isSafe ? Owner.replace(/\/+$/, '') : undefined;
  }
}
