/**
 * Connections to targets of tasks. Each address is judged right before a connection is made to it, and it is this very
 * address that is connected to: nobody resolves the name a second time. Literal addresses are judged by themselves, because
 * Node does not look them up.
 *
 * Names are resolved by DNS directly and not by the system's resolver: that blocks one of the few threads which the journal
 * needs, for as long as a name server likes that belongs to whoever made the task. Names that the operator allows with their
 * ports are his own, and go through the system.
 */
import { lookup as lookupOfSystem } from 'node:dns';
import { isIP } from 'node:net';
import { buildConnector } from 'undici';
import { hostOf, isLocalName, loopback, type TargetPolicy } from '../../shared/target-policy.ts';

/** Resolves a name. @throws Error */
export type Resolve = (hostname: string) => Promise<readonly string[]>;

type Lookup = NonNullable<import('node:net').TcpNetConnectOpts['lookup']>;

const connectMsMax = 10_000;

export function guardedConnector(policy: TargetPolicy, resolve: Resolve): buildConnector.connector {
  const lookup: Lookup = (hostname, options, answer) => {
    addressesOf(hostname).then(
      (addresses) => {
        const found = addresses.map((address) => ({ address, family: isIP(address) }));
        if (options.all === true) return answer(null, found);
        answer(null, found[0]!.address, found[0]!.family);
      },
      (error: unknown) => answer(error instanceof Error ? error : new Error(String(error)), ''),
    );
  };
  async function addressesOf(hostname: string): Promise<readonly string[]> {
    const host = hostOf(hostname);
    const all = isLocalName(host) ? loopback : await resolve(host);
    const allowed = all.filter((address) => policy.allowsAddress(address));
    if (allowed.length === 0) throw new Error(refusal(host));
    return allowed;
  }
  const options = { timeout: connectMsMax, allowH2: false };
  const judged = buildConnector({ ...options, lookup });
  const trusted = buildConnector({ ...options, lookup: lookupOfSystem });
  return (target, connected) => {
    const host = hostOf(target.hostname);
    const port = Number(target.port) || (target.protocol === 'https:' ? 443 : 80);
    if (policy.allowsHost(host, port)) return trusted(target, connected);
    if (isIP(host) !== 0 && !policy.allowsAddress(host)) return connected(new Error(refusal(host)), null);
    judged(target, connected);
  };
}

/** Does not tell the addresses: that would show names of a network which is not the caller's. */
function refusal(host: string): string {
  return `${JSON.stringify(host)} has no address on the internet, and tasks.allow does not name it`;
}
