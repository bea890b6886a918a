/**
 * Which addresses a task may send requests to: those of the internet, and what the operator allows. Clients choose the URL,
 * and the server stands in a network that they do not.
 *
 * Refused are all blocks that IANA lists for special purposes and not as globally reachable, and multicast. An IPv6 address
 * that embeds one of IPv4 (::ffff:0:0/96, 64:ff9b::/96, 2002::/16) is judged by that address alone.
 */
import { BlockList, isIP, isIPv4 } from 'node:net';

const refused4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
] as const;
/** Within those, globally reachable. */
const reachable4 = ['192.0.0.9/32', '192.0.0.10/32'] as const;

const refused6 = [
  '::/96',
  '64:ff9b:1::/48',
  '100::/64',
  '100:0:0:1::/64',
  '2001::/23',
  '2001:db8::/32',
  '3fff::/20',
  '5f00::/16',
  'fc00::/7',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
] as const;
const reachable6 = [
  '2001:1::1/128',
  '2001:1::2/128',
  '2001:1::3/128',
  '2001:3::/32',
  '2001:4:112::/48',
  '2001:20::/28',
  '2001:30::/28',
] as const;

const refused = blockList([...refused4, ...refused6]);
const reachable = blockList([...reachable4, ...reachable6]);

/** Returns whether no task may connect to this address. @param address of IPv4 or IPv6, without a zone */
export function isRefusedAddress(address: string): boolean {
  const judged = judgedAddress(address);
  const family = isIPv4(judged) ? 'ipv4' : 'ipv6';
  return refused.check(judged, family) && !reachable.check(judged, family);
}

/** Returns the address that decides. */
export function judgedAddress(address: string): string {
  return (isIPv4(address) ? undefined : embeddedIPv4(address)) ?? address;
}

/** The address of IPv4 that an address of IPv6 leads to; undefined: it leads to none. */
function embeddedIPv4(address: string): string | undefined {
  const groups = groupsOf(address);
  const at = (index: number): number => groups[index] ?? 0;
  const startsWith = (...first: readonly number[]): boolean => first.every((group, index) => at(index) === group);
  if (startsWith(0, 0, 0, 0, 0, 0xffff) || startsWith(0x64, 0xff9b, 0, 0, 0, 0)) return dotted(at(6), at(7));
  return at(0) === 0x2002 ? dotted(at(1), at(2)) : undefined;
}

/** The eight groups of an address of IPv6. `URL` writes each address in one way, with hexadecimal groups only. */
function groupsOf(address: string): readonly number[] {
  const plain = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [head = '', tail] = plain.split('::');
  const [first, last] = [numbersOf(head), tail === undefined ? [] : numbersOf(tail)];
  return [...first, ...Array.from({ length: 8 - first.length - last.length }, () => 0), ...last];
}

function numbersOf(groups: string): number[] {
  return groups === '' ? [] : groups.split(':').map((group) => parseInt(group, 16));
}

function dotted(high: number, low: number): string {
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

function blockList(blocks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const block of blocks) {
    const [address = '', bits = ''] = block.split('/');
    list.addSubnet(address, Number(bits), isIP(address) === 4 ? 'ipv4' : 'ipv6');
  }
  return list;
}
