/** Locks that several may hold at once: readers, as many as come, or holders of permits, so many as the limit says. */
import { Type } from 'typebox';
import { lockLimitMax, lockLimitMin } from '../../shared/limits.ts';
import { refuseField } from '../refusal.ts';
import { integerParameter, wordParameter } from './call.ts';
import { yesOrNo } from './fields.ts';

/** How the lock is shared. Neither member: with nobody. Never both. */
export interface Sharing {
  readonly read?: true;
  /** The permits of the lock, of which the holder has one. */
  readonly limit?: number;
}

export const sharingSchema = {
  RLock: Type.Optional(yesOrNo),
  LockLimit: Type.Optional(
    Type.Integer({
      minimum: lockLimitMin,
      maximum: lockLimitMax,
      expected: `an integer from ${lockLimitMin} to ${lockLimitMax}: how many may hold the lock at once`,
    }),
  ),
};

export const sharingParameters = {
  read: wordParameter('true'),
  limit: integerParameter(lockLimitMin, lockLimitMax),
} as const;

interface SharingBody {
  readonly RLock?: boolean;
  readonly LockLimit?: number;
}

export function readSharing(
  { RLock, LockLimit }: SharingBody,
  { root, hasOwner, isExtension }: { root: string; hasOwner: boolean; isExtension: boolean },
): Sharing | undefined {
  if (RLock !== true && LockLimit === undefined) return undefined;
  const name = RLock === true ? 'RLock' : 'LockLimit';
  if (RLock === true && LockLimit !== undefined)
    return refuseField(`${root}LockLimit`, 'given beside RLock; expected one of them: readers need no permits');
  if (isExtension) return refuseField(root + name, 'given for an extension, which keeps the mode of its lease');
  if (!hasOwner) return refuseField(`${root}LockOwner`, needsOwner(name));
  return RLock === true ? { read: true } : { limit: LockLimit! };
}

export function sharingGiven(
  { read, limit }: { readonly read?: string; readonly limit?: number },
  hasOwner: boolean,
): Sharing | undefined {
  if (read === undefined && limit === undefined) return undefined;
  if (!hasOwner) return refuseField('?owner', needsOwner(read === undefined ? '?limit=' : '?read=true'));
  return read === undefined ? { limit: limit! } : { read: true };
}

/** A reply that is lost must not leak a share of the lock: whoever asks again with the owner is told again. */
function needsOwner(name: string): string {
  return `missing; ${name} needs the name of this holder, so that asking again takes no second share`;
}
