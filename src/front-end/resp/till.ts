/** Times to live in commands: `EX 10`, `PXAT 1700000000000`. */
import type { Till } from '../../protocol/operations/string-op.ts';
import { tillMsMax } from '../../shared/limits.ts';
import { integerOf } from './argument.ts';
import { refuseCommand } from './resp-error.ts';

export const tillOptions: ReadonlySet<string> = new Set(['EX', 'PX', 'EXAT', 'PXAT']);

/** Reads a time that is yet to come. @param unit one of `tillOptions` */
export function futureTill(unit: string, argument: string, command: string): Till {
  const till = anyTill(unit, argument, command);
  return till.ms > 0 ? till : refuseCommand(`ERR invalid expire time in '${command}' command`);
}

/**
 * As `futureTill`; the time may be over. What Redis takes and is later than a key can end here ends at that latest time,
 * in the year 10889: lock libraries ask for thousands of years when they mean for ever.
 */
export function anyTill(unit: string, argument: string, command: string): Till {
  const n = wideInteger(argument);
  const ms = unit.startsWith('E') ? n * 1000n : n;
  const isAt = unit.endsWith('AT');
  if (ms !== BigInt.asIntN(64, ms) || (!isAt && ms > relativeMax))
    return refuseCommand(`ERR invalid expire time in '${command}' command`);
  if (ms > (isAt ? tillMsMax : farMs)) return { kind: 'at', ms: tillMsMax };
  return { kind: isAt ? 'at' : 'in', ms: Math.max(-tillMsMax, Number(ms)) };
}

/** From now on; later is the latest time. */
const farMs = 2 ** 47;
/** Redis refuses what overflows 64 bits together with the present. */
const relativeMax = 2n ** 63n - 2n ** 41n;

/** Reads an integer of 64 bits. */
function wideInteger(argument: string): bigint {
  if (!/^-?[1-9][0-9]{15,18}$/.test(argument)) return BigInt(integerOf(argument));
  const n = BigInt(argument);
  return n === BigInt.asIntN(64, n) ? n : BigInt(integerOf(argument));
}
