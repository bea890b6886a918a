/**
 * The log of requests: one JSON line for each that is worth it, by `log.requests`. Lines are collected and written a few
 * times a second. Nobody waits for them: what does not fit in `pendingBytesMax`, or is not taken by whoever writes, is
 * lost and counted. A line holds no key unless `log.keys` says so, and never a token, a fence or a value.
 *
 * Slow is a request that took longer than `log.slow_ms` and does not wait for a lock, a message or a change; those are
 * counted in any case.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { wallMs, type After } from '../shared/clock.ts';
import type { Access } from './access.ts';
import { SlowRequests } from './slow-requests.ts';
import type { RequestLogSettings } from './request-log-settings.ts';

/** What is known of a request besides its outcome; of one that was refused early, not all. */
export interface LoggedRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly access?: Access;
}

export interface EndedRequest {
  readonly operation: string;
  readonly account: string | undefined;
  readonly status: number;
  readonly ms: number;
  /** It may have waited for a lock, a message or a change. */
  readonly waits: boolean;
  /** Of the reply's body. */
  readonly bytes: number;
  /** Of an error. */
  readonly requestId: string | undefined;
  /** Of the connection. */
  readonly address: string | undefined;
  readonly request: LoggedRequest | undefined;
}

export interface RequestLogOptions {
  readonly settings: RequestLogSettings;
  readonly trustedProxies: readonly string[];
  /** Takes lines, each with its line feed. @returns false: they are lost */
  readonly write: (text: string, lines: number) => boolean;
  readonly onLost: (lines: number) => void;
  readonly after: After;
}

/** What a line says, see docs/operations.md. */
export type LoggedMembers = Omit<EndedRequest, 'request' | 'address' | 'waits'> & {
  readonly time: number;
  readonly msg: string;
  readonly waits?: boolean;
  readonly token?: string;
  readonly address: string | undefined;
  readonly traceparent: string | undefined;
  readonly method?: string | undefined;
  readonly url?: string | undefined;
};

const flushMs = 100;
const pendingBytesMax = 64 * 1024;
/** A longer path is cut. */
const urlLengthMax = 1024;

export class RequestLog {
  readonly slow = new SlowRequests<LoggedMembers>();
  readonly #options: RequestLogOptions;
  readonly #proxies: BlockList | undefined;
  /** The lowest status that is logged whatever it took. */
  #statusMin = Infinity;
  #logsSlow = false;
  #slowMs = Infinity;
  #keys = false;
  #pending = '';
  #lines = 0;
  #timed = false;

  constructor(options: RequestLogOptions) {
    this.#options = options;
    this.#proxies = options.trustedProxies.length === 0 ? undefined : listOf(options.trustedProxies);
    this.replace(options.settings);
  }

  /** From the next request on. */
  replace({ requests, slow_ms, keys }: RequestLogSettings): void {
    this.#statusMin = requests === 'all' ? 0 : requests === 'off' ? Infinity : 400;
    this.#logsSlow = requests === 'slow' || requests === 'all';
    this.#slowMs = slow_ms;
    this.#keys = keys;
  }

  isSlow(ms: number, waits: boolean): boolean {
    return !waits && ms >= this.#slowMs;
  }

  wants(status: number, slow: boolean): boolean {
    return status >= this.#statusMin || (slow && this.#logsSlow);
  }

  add(ended: EndedRequest, slow: boolean): void {
    const line = `${JSON.stringify({ level: slow ? warn : info, ...this.#membersOf(ended, slow) })}\n`;
    if (this.#pending.length + line.length > pendingBytesMax) this.flush();
    this.#pending += line;
    this.#lines += 1;
    if (this.#timed) return;
    this.#timed = true;
    this.#options.after(flushMs, () => {
      this.#timed = false;
      this.flush();
    });
  }

  /** Writes what is collected. */
  flush(): void {
    if (this.#lines === 0) return;
    const { write, onLost } = this.#options;
    if (!write(this.#pending, this.#lines)) onLost(this.#lines);
    this.#pending = '';
    this.#lines = 0;
  }

  /** Remembers a slow request, whether or not it is logged. */
  remember(ended: EndedRequest): void {
    this.slow.add(this.#membersOf(ended, true));
  }

  #membersOf({ request, address, waits, ...ended }: EndedRequest, slow: boolean): LoggedMembers {
    const { headers, method, url, access } = request ?? { headers: {} };
    const ms = Math.round(ended.ms * 100) / 100;
    const traceparent = traceOf(headers['traceparent']);
    return {
      time: wallMs(),
      msg: slow ? 'slow request' : 'request',
      ...ended,
      ms,
      ...(waits && { waits }),
      // Without configured tokens nobody has a name.
      ...(access !== undefined && access.name !== '' && { token: access.name }),
      address: this.#clientOf(address, headers['x-forwarded-for']),
      traceparent,
      ...(this.#keys && { method, url: url?.slice(0, urlLengthMax) }),
    };
  }

  /** The last address that no trusted proxy has: whoever is in front of that may have made the rest up. */
  #clientOf(address: string | undefined, forwarded: string | string[] | undefined): string | undefined {
    let client = address;
    if (this.#proxies === undefined || forwarded === undefined) return client;
    for (const hop of String(forwarded).split(',').toReversed()) {
      if (client === undefined || !isIn(this.#proxies, client)) return client;
      const text = hop.trim();
      if (isIP(text) === 0) return client;
      client = text;
    }
    return client;
  }
}

const info = 30;
const warn = 40;

/** Returns a `traceparent` of W3C's form; any other is ignored. */
export function traceOf(header: string | string[] | undefined): string | undefined {
  if (typeof header !== 'string') return undefined;
  const parts = /^(?!ff)[\da-f]{2}-([\da-f]{32})-([\da-f]{16})-[\da-f]{2}$/.exec(header);
  if (parts === null || /^0+$/.test(parts[1]!) || /^0+$/.test(parts[2]!)) return undefined;
  return header;
}

/** @param ranges addresses, or ranges such as `10.0.0.0/8` */
function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', bits] = range.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return list;
}

function isIn(list: BlockList, address: string): boolean {
  return list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}
