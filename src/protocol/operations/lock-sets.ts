/** Several locks at once, under one fencing token: all of them are granted in one commit, or none. */
import { Type } from 'typebox';
import { lockSetMax } from '../../shared/limits.ts';
import { refuseField } from '../refusal.ts';
import { keyField, readFence, readKey } from './fields.ts';
import { readTerms, type LockBody, type LockOperation, type LockResult, type UnlockOperation } from './lock.ts';
import { listSection } from './section.ts';

const names = { minItems: 1, maxItems: lockSetMax };
const aSet = `a list of 1 to ${lockSetMax} names of locks`;
const setField = Type.Array(keyField, { ...names, expected: aSet });

interface SetBody extends LockBody {
  readonly LockIDs?: readonly string[];
  readonly UnlockIDs?: readonly string[];
}

export const locksSection = listSection<LockOperation, LockResult>({
  body: 'LockIDs',
  schema: { LockIDs: Type.Optional(setField) },
  key: ({ id }) => id,
  effect: () => 'write',
  scope: () => 'write',
  read: (body: SetBody, { root }) => {
    const { LockIDs, LockID, RLock, LockLimit } = body;
    if (LockIDs === undefined) return undefined;
    if (LockID !== undefined) return refuseField(`${root}LockID`, 'given beside LockIDs; expected one of them');
    if (RLock !== undefined || LockLimit !== undefined)
      return refuseField(
        `${root}${RLock === undefined ? 'LockLimit' : 'RLock'}`,
        'given with LockIDs, which are held alone',
      );
    const ids = readSet(LockIDs, `${root}LockIDs`);
    const extend = extendedFence(body, ids, root);
    const terms = readTerms(body, root);
    const extending = extend === undefined ? {} : { extend };
    return ids.map((id) => ({ id, ...terms, ...extending }));
  },
});

export const unlocksSection = listSection<UnlockOperation, never>({
  body: 'UnlockIDs',
  schema: { UnlockIDs: Type.Optional(setField) },
  key: ({ id }) => id,
  effect: () => 'free',
  scope: () => 'write',
  read: (body: SetBody, { root }) => {
    const { UnlockIDs, UnlockID, Unlock } = body;
    if (UnlockIDs === undefined) return undefined;
    if (UnlockID !== undefined) return refuseField(`${root}UnlockID`, 'given beside UnlockIDs; expected one of them');
    const ids = readSet(UnlockIDs, `${root}UnlockIDs`);
    if (isSame(body.LockIDs, ids)) return undefined;
    const both = ids.find((id) => id === body.LockID || body.LockIDs?.includes(id) === true);
    if (both !== undefined)
      return refuseField(
        `${root}UnlockIDs`,
        `${JSON.stringify(both)} is to be taken as well; expected other locks, or all that are taken to extend them`,
      );
    if (Unlock === undefined)
      return refuseField(
        `${root}Unlock`,
        'missing; expected the fencing token of the locks (a force names one UnlockID)',
      );
    const fence = readFence(Unlock, `${root}Unlock`);
    return ids.map((id) => ({ id, fence }));
  },
});

function readSet(given: readonly string[], place: string): string[] {
  const ids = given.map((id, i) => readKey(id, `${place}[${i}]`));
  const twice = ids.findIndex((id, i) => ids.indexOf(id) !== i);
  return twice < 0 ? ids : refuseField(`${place}[${twice}]`, 'the same lock a second time; expected each once');
}

function isSame(some: readonly string[] | undefined, ids: readonly string[]): boolean {
  return some?.length === ids.length && ids.every((id) => some.includes(id));
}

/** LockIDs that are UnlockIDs, too, are extended, as a lock whose LockID is UnlockID. */
function extendedFence(body: SetBody, ids: readonly string[], root: string): number | undefined {
  const { UnlockID, UnlockIDs, Unlock, LockWait } = body;
  if (UnlockID !== undefined && ids.includes(UnlockID))
    return refuseField(`${root}UnlockID`, 'one of LockIDs; to extend them all, name them all in UnlockIDs');
  if (UnlockIDs === undefined || !isSame(UnlockIDs, ids)) return undefined;
  if (Unlock === undefined)
    return refuseField(`${root}Unlock`, 'missing; expected the fencing token of the locks to extend');
  if (LockWait) return refuseField(`${root}LockWait`, 'extending locks (LockIDs = UnlockIDs) never waits');
  return readFence(Unlock, `${root}Unlock`);
}

/** Whether the batch takes several locks, which a coordinator reserves one by one. */
export function takesSet({ locks }: { readonly locks?: readonly LockOperation[] }): boolean {
  return locks !== undefined && locks[0]!.extend === undefined;
}
