/** Times to live in commands: `EX 10`, `PXAT 1700000000000`. */
import type { Till } from '../../protocol/operations/string-op.ts';
import { integerOf } from './argument.ts';
import { refuseCommand } from './resp-error.ts';

export const tillOptions: ReadonlySet<string> = new Set(['EX', 'PX', 'EXAT', 'PXAT']);

/** Reads a time that is yet to come. @param unit one of `tillOptions` */
export function futureTill(unit: string, argument: string, command: string): Till {
  const till = anyTill(unit, argument, command);
  return till.ms > 0 ? till : refuseCommand(`ERR invalid expire time in '${command}' command`);
}

/** As `futureTill`; the time may be over. */
export function anyTill(unit: string, argument: string, command: string): Till {
  const n = wideInteger(argument);
  const ms = unit.startsWith('E') ? n * 1000 : n;
  if (!Number.isSafeInteger(ms)) return refuseCommand(`ERR invalid expire time in '${command}' command`);
  return { kind: unit.endsWith('AT') ? 'at' : 'in', ms };
}

/** Reads an integer of 64 bits. What a double does not hold is beyond all times anyway. */
function wideInteger(argument: string): number {
  if (!/^-?[1-9][0-9]{15,18}$/.test(argument)) return integerOf(argument);
  const n = BigInt(argument);
  return n === BigInt.asIntN(64, n) ? Number(n) : integerOf(argument);
}
