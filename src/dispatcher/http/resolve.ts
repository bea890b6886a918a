/** Resolves names by asking the name servers of /etc/resolv.conf, with the names of /etc/hosts left out. */
import { Resolver } from 'node:dns/promises';
import type { Resolve } from './connector.ts';

/** Addresses of one name that are tried. */
const addressesMax = 16;

export function dnsResolver(): Resolve {
  const resolver = new Resolver({ timeout: 2000, tries: 2 });
  return async (hostname) => {
    const [four, six] = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)]);
    const found = [four, six].flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
    if (found.length > 0) return found.slice(0, addressesMax);
    const why = four.status === 'rejected' ? (four.reason as { code?: string }).code : undefined;
    throw new Error(`${JSON.stringify(hostname)} cannot be resolved${why === undefined ? '' : ` (${why})`}`);
  };
}
