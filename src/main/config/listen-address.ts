import { isIPv4, isIPv6 } from 'node:net';
import type { Listen } from '../../front-end/config-schema.ts';

/** Parses `127.0.0.1:8081`, `localhost:0`, `[::1]:8081`; returns undefined for anything else. */
export function parseListen(text: string): Listen | undefined {
  const bracketed = /^\[([^\]]+)\]:(\d{1,5})$/.exec(text);
  const plain = /^([A-Za-z0-9.-]+):(\d{1,5})$/.exec(text);
  const host = bracketed?.[1] ?? plain?.[1];
  const port = Number(bracketed?.[2] ?? plain?.[2]);
  if (host === undefined || port > 65_535) return undefined;
  if (bracketed !== null && !isIPv6(host)) return undefined;
  // DNS would look up digits and dots that are not an address as a name.
  if (plain !== null && /^[\d.]+$/.test(host) && !isIPv4(host)) return undefined;
  return { host, port };
}

export { isLoopback } from '../../shared/loopback.ts';
