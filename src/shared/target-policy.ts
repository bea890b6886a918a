/**
 * Where tasks may send requests: to the internet (target-address.ts), and where the operator allows it with `tasks.allow`,
 * a list of addresses, blocks of them, and `host:port`. What a name leads to is known only when a connection is made.
 */
import { BlockList, isIP } from 'node:net';
import { isRefusedAddress, judgedAddress } from './target-address.ts';

const hostAndPort = /^(?:\[[0-9a-f:.]+\]|[a-z0-9_.-]+):\d{1,5}$/;

/** Returns what is wrong with an entry of `tasks.allow`; undefined: nothing. */
export function flawOfAllowed(entry: string): string | undefined {
  const [address = '', bits, more] = entry.split('/');
  const family = isIP(address);
  if (family !== 0 && more === undefined) {
    const most = family === 4 ? 32 : 128;
    if (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most)) return undefined;
  }
  if (hostAndPort.test(entry) && Number(entry.slice(entry.lastIndexOf(':') + 1)) <= 65_535) return undefined;
  return `expected an address, a block such as "10.0.0.0/8", or "host:port" in lower case, got ${JSON.stringify(entry)}`;
}

export class TargetPolicy {
  readonly #hosts: ReadonlySet<string>;
  readonly #blocks = new BlockList();

  /** @param allow without flaws */
  constructor(allow: readonly string[]) {
    this.#hosts = new Set(allow.filter((entry) => !isBlock(entry)));
    for (const entry of allow.filter(isBlock)) {
      const [address = '', bits] = entry.split('/');
      const family = familyOf(address);
      this.#blocks.addSubnet(address, bits === undefined ? (family === 'ipv4' ? 32 : 128) : Number(bits), family);
    }
  }

  /** Whether a task may connect to this address. */
  allowsAddress(address: string): boolean {
    if (!isRefusedAddress(address)) return true;
    const judged = judgedAddress(address);
    return this.#blocks.check(address, familyOf(address)) || this.#blocks.check(judged, familyOf(judged));
  }

  /** Whether the operator names this host with its port: then it may lead anywhere. */
  allowsHost(hostname: string, port: number): boolean {
    return this.#hosts.size > 0 && this.#hosts.has(`${hostname}:${port}`);
  }

  /** Whether a URL is refused whatever its name leads to. */
  refuses(url: URL): boolean {
    const host = hostOf(url.hostname);
    if (this.allowsHost(url.hostname, portOf(url)) || this.allowsHost(host, portOf(url))) return false;
    if (isIP(host) !== 0) return !this.allowsAddress(host);
    return isLocalName(host) && !loopback.some((address) => this.allowsAddress(address));
  }
}

export const loopback = ['127.0.0.1', '::1'] as const;

/** `localhost` and what is below it lead to this machine, whatever a resolver says. */
export function isLocalName(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost');
}

/** Returns a host without brackets, and without the dot that a full name may end with. */
export function hostOf(hostname: string): string {
  const plain = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
  return plain.replace(/\.$/, '').toLowerCase();
}

function portOf({ port, protocol }: URL): number {
  if (port !== '') return Number(port);
  return protocol === 'https:' ? 443 : 80;
}

/** Whether an entry of `tasks.allow` is an address, or a block of them. */
function isBlock(entry: string): boolean {
  return isIP(entry.split('/')[0]!) !== 0;
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6';
}
