/** The arguments of `DL.LOCK`, `DL.UNLOCK` and their like. */
import { jsonText } from '../../../protocol/operations/fields.ts';
import type { LockOperation, UnlockOperation } from '../../../protocol/operations/lock.ts';
import { lockDurMsMax, lockLimitMax, lockLimitMin, lockMetaBytesMax, waitMsMax } from '../../../shared/limits.ts';
import { checked, integerBetween, jsonOf, keyOf, optionsOf, syntaxError } from '../argument.ts';
import { refuseCommand } from '../resp-error.ts';

const metaLimit = { bytes: lockMetaBytesMax, name: 'the limit of META' };

/** Reads JSON to be stored, within its limit. */
export function jsonArgument(
  argument: string,
  what: string,
  limit: { readonly bytes: number; readonly name: string },
): string {
  const json = jsonOf(argument, what);
  return checked(() => jsonText(json, what, limit));
}

const lockOptions = ['WAIT', 'OWNER', 'META'] as const;
const sharingOptions = ['MODE', 'LIMIT'] as const;

function lockOperation(
  args: readonly string[],
  { WAIT, OWNER, META }: Partial<Record<(typeof lockOptions)[number], string>>,
): LockOperation {
  return {
    id: keyOf(args[1]!),
    durMs: integerBetween(args[2]!, 1, lockDurMsMax),
    waitMs: WAIT === undefined ? 0 : integerBetween(WAIT, 0, waitMsMax),
    ...(OWNER !== undefined && { owner: keyOf(OWNER) }),
    ...(META !== undefined && { meta: jsonArgument(META, 'META', metaLimit) }),
  };
}

/** `MODE READ` or `LIMIT n`, which a mutex has not. */
export function sharedLock(args: readonly string[]): LockOperation {
  const options = optionsOf(args.slice(3), [...lockOptions, ...sharingOptions]);
  const { MODE, LIMIT } = options;
  const operation = lockOperation(args, options);
  if (MODE === undefined && LIMIT === undefined) return operation;
  if ((MODE !== undefined && LIMIT !== undefined) || (MODE ?? 'READ').toUpperCase() !== 'READ')
    return refuseCommand(syntaxError);
  if (operation.owner === undefined) return refuseCommand('ERR MODE READ and LIMIT need an OWNER');
  if (LIMIT === undefined) return { ...operation, read: true };
  return { ...operation, limit: integerBetween(LIMIT, lockLimitMin, lockLimitMax) };
}

export function plainLock(args: readonly string[]): LockOperation {
  return lockOperation(args, optionsOf(args.slice(3), lockOptions));
}

export function unlockOperation(args: readonly string[]): UnlockOperation {
  const id = keyOf(args[1]!);
  const how = args[2]!.toUpperCase();
  if (how === 'FORCE' && args.length === 3) return { id };
  if (args.length !== 4) return refuseCommand(syntaxError);
  if (how === 'HANDLE') return { id, fence: integerBetween(args[3]!, 1) };
  return how === 'OWNER' ? { id, owner: keyOf(args[3]!) } : refuseCommand(syntaxError);
}
