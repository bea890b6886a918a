/**
 * The hosts under which a server without tokens is reached. A web page can give its own name the address 127.0.0.1 (DNS
 * rebinding), and then calls a developer's server as its own origin: the name in `Host` is all that tells. So only
 * names and addresses that nobody else can own are served: loopback addresses, `localhost`, the host of `listen`, and
 * `http.hosts`. A server with tokens needs no such list, because a page does not have the token.
 */
import type { IncomingMessage } from 'node:http';
import { isIPv6 } from 'node:net';
import { failure, type Failure } from '../../protocol/errors.ts';
import { isLoopback } from '../../shared/loopback.ts';
import { shown } from '../../shared/text.ts';

/** Returns why the request's host is not served; undefined if it is. */
export type HostCheck = (request: Pick<IncomingMessage, 'url' | 'headers'>) => Failure | undefined;

/** @param hosts names and addresses to serve besides loopback ones */
export function hostCheck(hosts: readonly string[]): HostCheck {
  const served = new Set(hosts.map((host) => normalHost(host) ?? host));
  // Nearly all requests name the same host.
  let last = '127.0.0.1';
  return (request) => {
    const header = authorityOf(request);
    if (header === last) return undefined;
    const host = header === undefined ? undefined : hostIn(header);
    if (host === undefined || !(isLoopback(host) || served.has(host))) return notServed(header);
    last = header!;
    return undefined;
  };
}

/** A target in absolute form wins over the header (RFC 9112 §3.2.2). */
function authorityOf({ url = '/', headers }: Pick<IncomingMessage, 'url' | 'headers'>): string | undefined {
  if (url.startsWith('/')) return headers.host;
  const absolute = /^[a-z][a-z\d+.-]*:\/\/([^/?#]*)/i.exec(url);
  return absolute === null ? headers.host : absolute[1];
}

function hostIn(authority: string): string | undefined {
  const parts = /^(\[[^\]]*\]|[^:[\]]*)(?::\d{0,5})?$/.exec(authority);
  return parts === null ? undefined : normalHost(parts[1]!);
}

/**
 * Returns a host name or address in the one form in which hosts are compared: lower case, without brackets, without the
 * dot of the root; undefined for anything else.
 */
export function normalHost(text: string): string | undefined {
  const inBrackets = /^\[(.*)\]$/.exec(text)?.[1];
  const address = inBrackets ?? text;
  if (isIPv6(address) && !address.includes('%')) return new URL(`http://[${address}]`).hostname.slice(1, -1);
  if (inBrackets !== undefined) return undefined;
  return /^[a-z\d_-]+(\.[a-z\d_-]+)*\.?$/i.test(text) ? text.toLowerCase().replace(/\.$/, '') : undefined;
}

function notServed(authority: string | undefined): Failure {
  const got =
    authority === undefined || authority === ''
      ? 'The request names no host'
      : `The host ${shown(authority)} is not served`;
  return failure(
    'forbidden',
    `${got}: without tokens, expected Host to be localhost, a loopback address, the host of listen, or one of http.hosts; ` +
      'add it to http.hosts in config.yml, or configure tokens',
  );
}
