import { isIPv4, isIPv6 } from 'node:net';
import { isLoopback } from '../../shared/loopback.ts';
import type { Config } from '../../front-end/config-schema.ts';
import { listenText, type Listen } from '../../front-end/listen.ts';
import type { ActivatedSockets } from './activated-sockets.ts';

/** What an address may be, for messages. */
export const listenForms = 'host:port, [IPv6]:port, unix:/PATH or fd:NAME';

/** A Unix socket's path has so many bytes in the kernel. */
const unixPathBytesMax = 107;

/**
 * Parses `127.0.0.1:8081`, `localhost:0`, `[::1]:8081`, `unix:/run/dragonlock/sock`, `fd:NAME`.
 * @returns undefined for anything else, and for the name of a socket that systemd did not pass
 */
export function parseListen(text: string, activated?: ActivatedSockets): Listen | undefined {
  if (text.startsWith('unix:')) return unixSocket(text.slice('unix:'.length));
  if (text.startsWith('fd:')) return activated?.take(text.slice('fd:'.length));
  const bracketed = /^\[([^\]]+)\]:(\d{1,5})$/.exec(text);
  const plain = /^([A-Za-z0-9.-]+):(\d{1,5})$/.exec(text);
  const host = bracketed?.[1] ?? plain?.[1];
  const port = Number(bracketed?.[2] ?? plain?.[2]);
  if (host === undefined || port > 65_535) return undefined;
  if (bracketed !== null && !isIPv6(host)) return undefined;
  // DNS would look up digits and dots that are not an address as a name.
  if (plain !== null && /^[\d.]+$/.test(host) && !isIPv4(host)) return undefined;
  return { kind: 'tcp', host, port };
}

function unixSocket(path: string): Listen | undefined {
  const isPath = path.startsWith('/') && !path.includes('\0') && Buffer.byteLength(path) <= unixPathBytesMax;
  return isPath ? { kind: 'unix', path } : undefined;
}

/** Returns whether what others send crosses a network in the clear, for all that is known. */
export function isReadByOthers({ listen, http }: Pick<Config, 'listen' | 'http'>): boolean {
  return http.tls === undefined && !http.behind_proxy && listen.some(isReachable);
}

/** Returns whether other machines can connect for all that is known. Where systemd listens is seen only then. */
export function isReachable(listen: Listen): boolean {
  return listen.kind === 'tcp' && !isLoopback(listen.host);
}

/** Returns whether two servers would listen at one address, and share its connections out. */
export function isAmong(place: Listen, others: readonly Listen[]): boolean {
  return (place.kind !== 'tcp' || place.port !== 0) && others.some((one) => listenText(one) === listenText(place));
}
