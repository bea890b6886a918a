/**
 * Checks a batch and writes it as the HTTP API has it. Every mistake that can be seen here is refused here, in the names
 * that the caller has written: the server would name the fields of the wire, and count in seconds.
 */
import {
  limitPerMsMax,
  lockDurMsMax,
  lockLimitMax,
  lockLimitMin,
  lockSetMax,
  ttlMsMax,
  waitMsMax,
} from '../shared/limits.ts';
import type {
  AtomicOperation,
  Batch,
  BatchIdempotency,
  BatchLock,
  BatchLocks,
  BatchRange,
  CheckOperation,
  Guard,
  LimitOperation,
  SetOperation,
} from './batch.ts';
import {
  dequeueToWire,
  enqueueToWire,
  extendToWire,
  nackToWire,
  receiptNames,
  receiptToWire,
} from './queue-to-wire.ts';
import { cancelToWire, taskToWire } from './task-batch.ts';
import { anId, anInteger, durationMs, gotText, integerIf, invalid, secondsIf } from './checks.ts';
import { checkJson } from './json-values.ts';
import { checkList, checkOptions, type NamesOf } from './option-names.ts';

/** Members of a body in the HTTP API. */
export type WireBatch = Record<string, unknown>;

export const batchNames: NamesOf<Batch> = {
  guard: true,
  check: true,
  limit: true,
  atomic: true,
  get: true,
  range: true,
  set: true,
  lock: true,
  unlock: true,
  locks: true,
  unlocks: true,
  ack: true,
  nack: true,
  extend: true,
  dequeue: true,
  enqueue: true,
  tasks: true,
  cancelTasks: true,
  idempotency: true,
};
const guardNames: NamesOf<Guard> = { id: true, fence: true };
const unlockNames = { ...guardNames, reason: true } as const;
const checkNames = { key: true, counter: true, version: true, exists: true, equals: true } as const;
const limitNames: NamesOf<LimitOperation> = { key: true, rate: true, per: true, burst: true, cost: true, wait: true };
const rangeNames: NamesOf<BatchRange> = { prefix: true, after: true, limit: true };
const addNames = { key: true, add: true, floor: true, ceil: true, ttl: true } as const;
const maxNames = { key: true, max: true, ttl: true } as const;
const minNames = { key: true, min: true, ttl: true } as const;
const counterSetNames = { key: true, set: true, ifEq: true, ttl: true } as const;
const atomicNames = { ...addNames, ...maxNames, ...minNames, ...counterSetNames } as const;
const setNames = { key: true, value: true, merge: true, version: true, ttl: true, delete: true, old: true } as const;
const mergeNames = { key: true, merge: true, version: true, ttl: true, old: true } as const;
const deleteNames = { key: true, delete: true, version: true, old: true } as const;
const batchLockNames: NamesOf<BatchLock> = {
  id: true,
  ttl: true,
  wait: true,
  owner: true,
  meta: true,
  read: true,
  limit: true,
};
const batchLocksNames: NamesOf<BatchLocks> = { ids: true, ttl: true, wait: true, owner: true, meta: true };
const unlocksNames = { ids: true, fence: true } as const;
const idempotencyNames: NamesOf<BatchIdempotency> = { ids: true, ttl: true, mode: true };

/** @throws InvalidError, before anything is sent */
export function toWire(batch: Batch): WireBatch {
  checkOptions(batch, batchNames);
  const { guard, check, limit, atomic, get, range, set, lock, unlock, idempotency } = batch;
  const { locks, unlocks, ack, nack, extend, dequeue, enqueue, tasks, cancelTasks } = batch;
  const lists = { guard, check, limit, atomic, get, set, ack, nack, extend, enqueue, tasks, cancelTasks };
  for (const [name, list] of Object.entries(lists)) checkList(list, name);
  const wire: WireBatch = {};
  if (guard?.length) wire['Guard'] = guard.map(guardToWire);
  if (check?.length) wire['Check'] = check.map(checkToWire);
  if (limit?.length) wire['Limit'] = limit.map((operation, i) => limitToWire(operation, i, lock !== undefined));
  if (atomic?.length) wire['Atomic'] = atomic.map(atomicToWire);
  const keys = (get ?? []).map((key, i) => anId(key, `get[${i}]`));
  if (range !== undefined) wire['KVGet'] = [...keys, rangeToWire(range)];
  else if (keys.length > 0) wire['KVGet'] = keys;
  if (set?.length) wire['KVSet'] = set.map(setToWire);
  if (lock !== undefined) addLock(wire, lock);
  if (locks !== undefined) addLocks(wire, locks);
  if (unlocks !== undefined) {
    checkOptions(unlocks, unlocksNames, 'unlocks');
    wire['UnlockIDs'] = setOfIds(unlocks.ids, 'unlocks.ids');
    if (unlocks.fence !== undefined) wire['Unlock'] = anInteger(unlocks.fence, 'unlocks.fence', 1);
  }
  if (unlock !== undefined) {
    checkOptions(unlock, unlockNames, 'unlock');
    wire['UnlockID'] = anId(unlock.id, 'unlock.id');
    if (unlock.fence !== undefined) wire['Unlock'] = anInteger(unlock.fence, 'unlock.fence', 1);
    if (unlock.reason !== undefined) wire['UnlockReason'] = unlock.reason;
  }
  if (ack?.length) wire['Ack'] = ack.map((each, i) => receiptToWire(each, `ack[${i}]`, receiptNames));
  if (nack?.length) wire['Nack'] = nack.map(nackToWire);
  if (extend?.length) wire['Extend'] = extend.map(extendToWire);
  if (dequeue !== undefined) wire['Dequeue'] = dequeueToWire(dequeue);
  if (enqueue?.length) wire['Enqueue'] = enqueue.map(enqueueToWire);
  if (cancelTasks?.length) wire['TaskCancel'] = cancelTasks.map(cancelToWire);
  if (tasks?.length) wire['Tasks'] = tasks.map((task, i) => taskToWire(task, `tasks[${i}].`));
  if (idempotency !== undefined) addIdempotency(wire, idempotency);
  return wire;
}

/** A lock that is held is a guard, too. */
function guardToWire(guard: Guard, i: number): object {
  if (typeof guard !== 'object' || guard === null) checkOptions(guard, guardNames, `guard[${i}]`);
  if (Object.getPrototypeOf(guard) === Object.prototype) checkOptions(guard, guardNames, `guard[${i}]`);
  return { LockID: anId(guard.id, `guard[${i}].id`), Lock: anInteger(guard.fence, `guard[${i}].fence`, 1) };
}

function checkToWire(check: CheckOperation, i: number): object {
  const place = `check[${i}]`;
  checkOptions(check, checkNames, place);
  const { key, counter, version, exists, equals } = check as Partial<Record<keyof typeof checkNames, unknown>>;
  const given = Object.entries({ version, exists, equals }).flatMap(([name, value]) =>
    value === undefined ? [] : name,
  );
  if (given.length !== 1)
    throw invalid(
      `${place}: expected version, exists or equals, got ${given.length === 0 ? 'none' : given.join(' and ')}`,
    );
  if (counter !== undefined) {
    if (key !== undefined) throw invalid(`${place}: expected key or counter, got both`);
    return {
      Counter: anId(counter as string, `${place}.counter`),
      Equals: anInteger(equals as number, `${place}.equals`),
    };
  }
  if (exists !== undefined && typeof exists !== 'boolean') throw invalid(`${place}.exists: expected true or false`);
  if (equals !== undefined) checkJson(equals, `${place}.equals`);
  const Version = integerIf(version as number | undefined, `${place}.version`, 0);
  return { Key: anId(key as string, `${place}.key`), Version, Exists: exists, Equals: equals };
}

function rangeToWire(range: BatchRange): object {
  checkOptions(range, rangeNames, 'range');
  const { prefix, after, limit } = range;
  if (typeof prefix !== 'string') throw invalid(`range.prefix: expected a string, got ${gotText(prefix)}`);
  return {
    Prefix: prefix,
    After: after === undefined ? undefined : anId(after, 'range.after'),
    Limit: integerIf(limit, 'range.limit', 1),
  };
}

function limitToWire(operation: LimitOperation, i: number, hasLock: boolean): object {
  const place = `limit[${i}]`;
  checkOptions(operation, limitNames, place);
  const { key, rate, per, burst, cost, wait } = operation;
  if (typeof rate !== 'number' || !(rate > 0 && rate < Infinity))
    throw invalid(`${place}.rate: expected a number above 0, got ${gotText(rate)}`);
  const Wait = secondsIf(wait, `${place}.wait`, { min: 0, max: waitMsMax });
  if (hasLock && Wait) throw invalid(`${place}.wait: not together with lock, whose lease would run meanwhile`);
  return {
    Key: anId(key, `${place}.key`),
    Rate: rate,
    Per: secondsIf(per, `${place}.per`, { min: 1, max: limitPerMsMax }),
    Burst: integerIf(burst, `${place}.burst`, 1),
    Cost: integerIf(cost, `${place}.cost`, 0),
    Wait,
  };
}

function atomicToWire(operation: AtomicOperation, i: number): object {
  const place = `atomic[${i}]`;
  checkOptions(operation, atomicNames, place);
  const named = {
    Key: anId(operation.key, `${place}.key`),
    TTL: secondsIf(operation.ttl, `${place}.ttl`, { min: 1, max: ttlMsMax }),
  };
  if ('add' in operation) {
    checkOptions(operation, addNames, place);
    const { add, floor, ceil } = operation;
    const Floor = integerIf(floor, `${place}.floor`);
    return { ...named, Add: anInteger(add, `${place}.add`), Floor, Ceil: integerIf(ceil, `${place}.ceil`) };
  }
  if ('max' in operation) {
    checkOptions(operation, maxNames, place);
    return { ...named, Max: anInteger(operation.max, `${place}.max`) };
  }
  if ('min' in operation) {
    checkOptions(operation, minNames, place);
    return { ...named, Min: anInteger(operation.min, `${place}.min`) };
  }
  checkOptions(operation, counterSetNames, place);
  if (operation.set === undefined) throw invalid(`${place}: expected add, max, min or set`);
  const IfEq = integerIf(operation.ifEq, `${place}.ifEq`);
  return { ...named, Set: anInteger(operation.set, `${place}.set`), IfEq };
}

function setToWire(operation: SetOperation, i: number): object {
  const place = `set[${i}]`;
  checkOptions(operation, setNames, place);
  const Key = anId(operation.key, `${place}.key`);
  const Version = integerIf(operation.version, `${place}.version`, 0);
  const old = operation.old === true ? { Old: true } : {};
  if ('delete' in operation) {
    checkOptions(operation, deleteNames, place);
    if (!operation.delete) throw invalid(`${place}.delete: expected true, or value instead`);
    return { Key, Delete: true, Version, ...old };
  }
  const TTL = secondsIf(operation.ttl, `${place}.ttl`, { min: 1, max: ttlMsMax });
  if ('merge' in operation) {
    checkOptions(operation, mergeNames, place);
    checkJson(operation.merge, `${place}.merge`);
    return { Key, Merge: operation.merge, Version, TTL, ...old };
  }
  const { value } = operation;
  checkJson(value, `${place}.value`);
  return { Key, Value: value, Version, TTL, ...old };
}

function addLock(wire: WireBatch, lock: BatchLock): void {
  checkOptions(lock, batchLockNames, 'lock');
  const { id, owner, read, limit } = lock;
  wire['LockID'] = anId(id, 'lock.id');
  addTerms(wire, lock);
  addSharing(wire, { read, limit, hasOwner: owner !== undefined });
}

function addLocks(wire: WireBatch, locks: BatchLocks): void {
  checkOptions(locks, batchLocksNames, 'locks');
  wire['LockIDs'] = setOfIds(locks.ids, 'locks.ids');
  addTerms(wire, locks);
}

/** @throws InvalidError unless these can be the names of locks that are taken together */
export function setOfIds(ids: readonly string[], place: string): readonly string[] {
  if (!Array.isArray(ids) || ids.length === 0 || ids.length > lockSetMax)
    throw invalid(`${place}: expected an array of 1 to ${lockSetMax} ids, got ${gotText(ids)}`);
  return ids.map((id, i) => anId(id as string, `${place}[${i}]`));
}

function addTerms(wire: WireBatch, { ttl, wait, owner, meta }: Omit<BatchLocks, 'ids'>): void {
  wire['LockDur'] = durationMs(ttl, 'lock.ttl', { max: lockDurMsMax }) / 1000;
  if (wait) wire['LockWait'] = durationMs(wait, 'lock.wait', { min: 0, max: waitMsMax }) / 1000;
  if (owner !== undefined) wire['LockOwner'] = anId(owner, 'lock.owner');
  if (meta !== undefined) {
    checkJson(meta, 'lock.meta');
    wire['LockMeta'] = meta;
  }
}

function addSharing(
  wire: WireBatch,
  { read, limit, hasOwner }: Pick<BatchLock, 'read' | 'limit'> & { readonly hasOwner: boolean },
): void {
  if (read !== undefined && typeof read !== 'boolean') throw invalid('lock.read: expected true or false');
  if (read !== true && limit === undefined) return;
  if (read === true && limit !== undefined) throw invalid('lock: expected read or limit, got both');
  if (!hasOwner) throw invalid('lock.owner: missing; a lock that is shared needs the name of this holder');
  if (limit === undefined) wire['RLock'] = true;
  else wire['LockLimit'] = permitsOf(limit, 'lock.limit');
}

/** @throws InvalidError unless it can be a number of permits */
export function permitsOf(limit: number, place: string): number {
  if (Number.isInteger(limit) && limit >= lockLimitMin && limit <= lockLimitMax) return limit;
  throw invalid(`${place}: expected an integer from ${lockLimitMin} to ${lockLimitMax}, got ${gotText(limit)}`);
}

function addIdempotency(wire: WireBatch, idempotency: BatchIdempotency): void {
  checkOptions(idempotency, idempotencyNames, 'idempotency');
  const { ids, ttl, mode } = idempotency;
  if (!Array.isArray(ids) || ids.length === 0) throw invalid('idempotency.ids: expected an array with at least one id');
  wire['IdempotencyIDs'] = ids.map((id: string, i) => anId(id, `idempotency.ids[${i}]`));
  if (ttl !== undefined) wire['IdempotencyTTL'] = secondsIf(ttl, 'idempotency.ttl', { min: 1, max: ttlMsMax });
  if (mode !== undefined && mode !== 'replay' && mode !== 'refuse') {
    throw invalid(`idempotency.mode: expected "replay" or "refuse", got ${JSON.stringify(mode)}`);
  }
  if (mode === 'replay') wire['IdempotencyMode'] = mode;
}
