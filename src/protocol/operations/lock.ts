/** Durable locks: acquire, extend, release, guard, inspect and list. */
import { Type } from 'typebox';
import {
  auditReasonCharsMax,
  lockDurMsDefault,
  lockDurMsMax,
  lockMetaBytesMax,
  waitMsMax,
} from '../../shared/limits.ts';
import type { AccountId } from '../ids.ts';
import { refuseField } from '../refusal.ts';
import { call, integerParameter, keyParameter, secondsParameter, wordParameter, type GivenToCall } from './call.ts';
import { readReason } from './audit.ts';
import type { CommandSpec, PageRequest } from './command.ts';
import {
  anyJson,
  closed,
  fenceField,
  readFence,
  jsonText,
  keyField,
  readKey,
  listField,
  secondsToMs,
  secondsField,
} from './fields.ts';
import { pageOf, pageParameters } from './kv-pages.ts';
import { readSharing, sharingGiven, sharingParameters, sharingSchema, type Sharing } from './lock-sharing.ts';
import { listSection, singleSection } from './section.ts';

export interface LockOperation extends Sharing {
  readonly id: string;
  readonly durMs: number;
  /** 0: try once. */
  readonly waitMs: number;
  /** The client chooses it for one lock instance; a secret. */
  readonly owner?: string;
  /** JSON text. */
  readonly meta?: string;
  /** Present: extend the lease held with this fence instead of taking the lock. */
  readonly extend?: number;
}

export interface LockResult {
  /** 0: the revision of this commit. */
  readonly fence: number;
  readonly till: number;
  /** Permits that are left. */
  readonly free?: number;
  readonly recover?: { readonly fence: number; readonly meta?: string; readonly why: string };
}

/** Releases a lock, by fence or by owner. With neither, the lock is forced, which needs a scope of its own. */
export interface UnlockOperation {
  readonly id: string;
  readonly fence?: number;
  readonly owner?: string;
  /** Of a force. The shard reads it from the entry of the audit log, see `audited`. */
  readonly reason?: string;
}

export interface GuardOperation {
  readonly id: string;
  readonly fence: number;
}

const metaLimit = { bytes: lockMetaBytesMax, name: 'the limit of LockMeta' };

const lockSchema = {
  LockID: Type.Optional(keyField),
  LockDur: Type.Optional(secondsField('zero', lockDurMsMax)),
  LockWait: Type.Optional(secondsField('or zero', waitMsMax)),
  LockOwner: Type.Optional(keyField),
  LockMeta: Type.Optional(anyJson),
  ...sharingSchema,
};
const unlockSchema = {
  UnlockID: Type.Optional(keyField),
  Unlock: Type.Optional(fenceField),
  UnlockReason: Type.Optional(Type.String({ expected: `a string of 1 to ${auditReasonCharsMax} characters` })),
};
const lockAndUnlock = Type.Object({ ...lockSchema, ...unlockSchema });
export type LockBody = Type.Static<typeof lockAndUnlock>;
/** With members of `lock-sets.ts`, which share those of a single lock. */
type AnyLockBody = LockBody & { readonly LockIDs?: unknown; readonly UnlockIDs?: unknown };

export const lockSection = singleSection<LockOperation, LockResult>({
  body: 'LockID',
  schema: lockSchema,
  key: ({ id }) => id,
  effect: () => 'write',
  scope: () => 'write',
  read: (body: AnyLockBody, { root }) => {
    if (body.LockID === undefined) return body.LockIDs === undefined ? refuseWithoutLock(body, root) : undefined;
    const extend = extendedFence(body, root);
    const hasOwner = body.LockOwner !== undefined;
    const sharing = readSharing(body, { root, hasOwner, isExtension: extend !== undefined });
    return {
      id: readKey(body.LockID, `${root}LockID`),
      ...readTerms(body, root),
      ...(extend !== undefined && { extend }),
      ...sharing,
    };
  },
});

/** Reads for how long, for whom and with what a lock is taken. */
export function readTerms(body: LockBody, root: string): Omit<LockOperation, 'id'> {
  if (body.LockDur === undefined)
    return refuseField(`${root}LockDur`, 'missing; expected the seconds to hold the lock for');
  return {
    durMs: secondsToMs(body.LockDur),
    waitMs: secondsToMs(body.LockWait ?? 0),
    ...(body.LockOwner !== undefined && { owner: readKey(body.LockOwner, `${root}LockOwner`) }),
    ...(body.LockMeta !== undefined && { meta: jsonText(body.LockMeta, `${root}LockMeta`, metaLimit) }),
  };
}

/** Refuses LockDur and the like without LockID. Nearly every batch has no lock, so a fast check by name comes first. */
function refuseWithoutLock(body: LockBody, root: string): undefined {
  const { LockDur, LockWait, LockOwner, LockMeta, RLock, LockLimit } = body;
  if ((LockDur ?? LockWait ?? LockOwner ?? RLock ?? LockLimit) === undefined && LockMeta === undefined) return;
  for (const field of ['LockDur', 'LockWait', 'LockOwner', 'LockMeta', 'RLock', 'LockLimit'] as const) {
    if (body[field] !== undefined) refuseField(root + field, 'given without LockID');
  }
}

/** Returns the fence of the lock to extend: LockID = UnlockID extends a lock that the client holds. */
function extendedFence(body: LockBody, root: string): number | undefined {
  if (body.LockID !== body.UnlockID) return undefined;
  if (body.Unlock === undefined)
    return refuseField(`${root}Unlock`, 'missing; expected the fencing token of the lock to extend');
  if (body.LockWait) return refuseField(`${root}LockWait`, 'extending a lock (LockID = UnlockID) never waits');
  return readFence(body.Unlock, `${root}Unlock`);
}

export const unlockSection = singleSection<UnlockOperation, never>({
  body: 'Unlock',
  schema: unlockSchema,
  key: ({ id }) => id,
  effect: () => 'free',
  scope: unlockScope,
  read: (body: AnyLockBody, { root }) => {
    const { UnlockReason: reason } = body;
    const isForce = body.UnlockID !== undefined && body.Unlock === undefined && body.UnlockID !== body.LockID;
    if (reason !== undefined && !isForce)
      return refuseField(`${root}UnlockReason`, 'only for a force: expected UnlockID without Unlock');
    if (body.UnlockID === undefined)
      return body.Unlock === undefined || body.UnlockIDs !== undefined
        ? undefined
        : refuseField(`${root}Unlock`, 'given without UnlockID');
    if (body.UnlockID === body.LockID) return undefined;
    const id = readKey(body.UnlockID, `${root}UnlockID`);
    if (body.Unlock !== undefined) return { id, fence: readFence(body.Unlock, `${root}Unlock`) };
    return reason === undefined ? { id } : { id, reason: readReason(reason, `${root}UnlockReason`) };
  },
});

/** Unlocking with neither fence nor owner ends a lock by force, since nothing shows that the client holds it. */
export function unlockScope({ fence, owner }: UnlockOperation): 'force' | 'write' {
  return fence === undefined && owner === undefined ? 'force' : 'write';
}

export const guardItem = Type.Object(
  { LockID: keyField, Lock: fenceField },
  { ...closed, expected: '{"LockID","Lock"}' },
);

export const guardSection = listSection<GuardOperation, never>({
  body: 'Guard',
  schema: { Guard: Type.Optional(listField(guardItem, 'a list of {"LockID","Lock"}')) },
  key: ({ id }) => id,
  effect: () => 'read',
  scope: () => 'condition',
  read: ({ Guard }: { Guard?: Type.Static<typeof guardItem>[] }, { root }) =>
    Guard?.map((item, i) => ({
      id: readKey(item.LockID, `${root}Guard[${i}].LockID`),
      fence: readFence(item.Lock, `${root}Guard[${i}].Lock`),
    })),
});

export interface LockInspect {
  readonly kind: 'lock.inspect';
  readonly account: AccountId;
  readonly id: string;
  /** Succeed only while this fence holds the lock. */
  readonly fence?: number;
}

export interface LockList extends PageRequest {
  readonly kind: 'lock.list';
}

export const lockInspect = {
  scope: () => 'read',
  keys: ({ id }) => [id],
} as const satisfies CommandSpec<LockInspect>;

export const lockList = {
  scope: () => 'read',
  prefix: ({ prefix }) => prefix,
  list: 'Locks',
} as const satisfies CommandSpec<LockList>;

/**
 * The client chooses the owner for one lock instance, so that it can ask again after a lost reply. `id` is its first
 * name, which scripts have.
 */
export const lockParameters = {
  owner: keyParameter,
  id: keyParameter,
  dur: secondsParameter('zero', lockDurMsMax),
  wait: secondsParameter('or zero', waitMsMax),
  meta: { type: 'string', bytesMax: metaLimit.bytes, limitName: metaLimit.name },
} as const;

export const durableLockParameters = { ...lockParameters, ...sharingParameters } as const;

export const unlockParameters = {
  owner: keyParameter,
  id: keyParameter,
  lock: integerParameter(1),
  force: wordParameter('1'),
} as const;

const reasonParameter = { type: 'string', bytesMax: 4 * 1024, limitName: 'the limit of a reason' } as const;

const forceParameters = { force: wordParameter('1'), reason: reasonParameter } as const;

function reasonOf({ query: { force, reason } }: GivenToCall<typeof forceParameters>): string {
  if (force === undefined) return refuseField('?reason', 'only for a force; expected ?force=1 with it');
  return readReason(JSON.parse(reason!) as string, '?reason');
}

/** Parameters of which a call may have one. */
export const ownerNames = ['owner', 'id'] as const;
export const waysToUnlock = ['owner', 'id', 'lock', 'force'] as const;
/** Refuses an unlock with none of them, because it would end the lease of anybody. */
export const noWayToUnlock =
  "nothing shows that it is yours; expected ?owner= or ?lock= of your lease, or ?force=1 to end anybody's";

export function lockGiven({ id, query }: GivenToCall<typeof lockParameters>): LockOperation {
  const { id: firstName, owner = firstName, dur = lockDurMsDefault, wait = 0, meta } = query;
  return { id, durMs: dur, waitMs: wait, ...(owner !== undefined && { owner }), ...(meta !== undefined && { meta }) };
}

function durableLockGiven({ query, ...given }: GivenToCall<typeof durableLockParameters>): LockOperation {
  const lock = lockGiven({ ...given, query });
  const sharing = sharingGiven(query, lock.owner !== undefined);
  return sharing === undefined ? lock : { ...lock, ...sharing };
}

export function unlockGiven({ id, query }: GivenToCall<typeof unlockParameters>): UnlockOperation {
  const { id: firstName, owner = firstName, lock } = query;
  return { id, ...(owner !== undefined && { owner }), ...(lock !== undefined && { fence: lock }) };
}

export const lockCalls = {
  'lock.list': call({
    method: 'GET',
    path: 'lock',
    summary: 'List locks that are held, below a prefix',
    query: pageParameters,
    command: (given) => ({ kind: 'lock.list', ...pageOf(given) }) as const,
  }),
  'lock.get': call({
    method: 'GET',
    path: 'lock/*',
    summary: 'See whether a lock is held, until when, and how many wait for it',
    query: { fence: integerParameter(1) },
    command: ({ account, id, query: { fence } }) =>
      ({ kind: 'lock.inspect', account, id, ...(fence !== undefined && { fence }) }) as const,
  }),
  'lock.acquire': call({
    method: 'POST',
    path: 'lock/*',
    summary: 'Take a lock, or extend it',
    query: durableLockParameters,
    onlyOneOf: ownerNames,
    command: (given) => {
      const { read, limit } = given.query;
      if (read !== undefined && limit !== undefined)
        return refuseField('?limit', 'given beside ?read=true; expected one of them: readers need no permits');
      return { kind: 'batch', account: given.account, format: 'lock.acquire', lock: durableLockGiven(given) } as const;
    },
  }),
  'lock.release': call({
    method: 'DELETE',
    path: 'lock/*',
    summary: 'Give a lock back',
    query: { ...unlockParameters, ...forceParameters },
    onlyOneOf: waysToUnlock,
    withoutAny: noWayToUnlock,
    command: (given) => {
      const { reason } = given.query;
      const unlock = { ...unlockGiven(given), ...(reason !== undefined && { reason: reasonOf(given) }) };
      return { kind: 'batch', account: given.account, format: 'lock.release', unlock } as const;
    },
  }),
} as const;
