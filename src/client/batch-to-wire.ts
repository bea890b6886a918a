/**
 * Checks a batch and writes it as the HTTP API has it. Every mistake that can be seen here is refused here, in the names
 * that the caller has written: the server would name the fields of the wire, and count in seconds.
 */
import { lockDurMsMax, ttlMsMax, waitMsMax } from '../shared/limits.ts';
import type {
  AtomicOperation,
  Batch,
  BatchIdempotency,
  BatchLock,
  CheckOperation,
  Guard,
  SetOperation,
} from './batch.ts';
import type {
  DequeueOperation,
  EnqueueOperation,
  ExtendOperation,
  MessageReceipt,
  NackOperation,
} from './queue-batch.ts';
import { anId, anInteger, durationMs, invalid, type Duration, type MsRange } from './checks.ts';
import { checkJson } from './json-values.ts';
import { checkList, checkOptions, type NamesOf } from './option-names.ts';

/** Members of a body in the HTTP API. */
export type WireBatch = Record<string, unknown>;

export const batchNames: NamesOf<Batch> = {
  guard: true,
  check: true,
  atomic: true,
  get: true,
  set: true,
  lock: true,
  unlock: true,
  ack: true,
  nack: true,
  extend: true,
  dequeue: true,
  enqueue: true,
  idempotency: true,
};
const guardNames: NamesOf<Guard> = { id: true, fence: true };
const checkNames: NamesOf<CheckOperation> = { key: true, version: true, exists: true };
const addNames = { key: true, add: true, floor: true, ceil: true } as const;
const maxNames = { key: true, max: true } as const;
const minNames = { key: true, min: true } as const;
const counterSetNames = { key: true, set: true, ifEq: true } as const;
const atomicNames = { ...addNames, ...maxNames, ...minNames, ...counterSetNames } as const;
const setNames = { key: true, value: true, version: true, ttl: true, delete: true } as const;
const deleteNames = { key: true, delete: true, version: true } as const;
const batchLockNames: NamesOf<BatchLock> = { id: true, ttl: true, wait: true, owner: true, meta: true };
const receiptNames: NamesOf<MessageReceipt> = { queue: true, id: true, lock: true };
const nackNames: NamesOf<NackOperation> = { ...receiptNames, delay: true, error: true, return: true };
const extendNames: NamesOf<ExtendOperation> = { ...receiptNames, ttl: true };
const dequeueNames: NamesOf<DequeueOperation> = {
  queue: true,
  max: true,
  groupMax: true,
  ttl: true,
  wait: true,
  attempt: true,
};
const enqueueNames: NamesOf<EnqueueOperation> = {
  queue: true,
  data: true,
  group: true,
  dedup: true,
  delay: true,
  ttl: true,
  priority: true,
};
const idempotencyNames: NamesOf<BatchIdempotency> = { ids: true, ttl: true, mode: true };

/** @throws InvalidError, before anything is sent */
export function toWire(batch: Batch): WireBatch {
  checkOptions(batch, batchNames);
  const { guard, check, atomic, get, set, lock, unlock, idempotency } = batch;
  const { ack, nack, extend, dequeue, enqueue } = batch;
  const lists = { guard, check, atomic, get, set, ack, nack, extend, enqueue };
  for (const [name, list] of Object.entries(lists)) checkList(list, name);
  const wire: WireBatch = {};
  if (guard?.length) wire['Guard'] = guard.map(guardToWire);
  if (check?.length) wire['Check'] = check.map(checkToWire);
  if (atomic?.length) wire['Atomic'] = atomic.map(atomicToWire);
  if (get?.length) wire['KVGet'] = get.map((key, i) => anId(key, `get[${i}]`));
  if (set?.length) wire['KVSet'] = set.map(setToWire);
  if (lock !== undefined) addLock(wire, lock);
  if (unlock !== undefined) {
    checkOptions(unlock, guardNames, 'unlock');
    wire['UnlockID'] = anId(unlock.id, 'unlock.id');
    if (unlock.fence !== undefined) wire['Unlock'] = anInteger(unlock.fence, 'unlock.fence', 1);
  }
  if (ack?.length) wire['Ack'] = ack.map((each, i) => receiptToWire(each, `ack[${i}]`, receiptNames));
  if (nack?.length) wire['Nack'] = nack.map(nackToWire);
  if (extend?.length) wire['Extend'] = extend.map(extendToWire);
  if (dequeue !== undefined) wire['Dequeue'] = dequeueToWire(dequeue);
  if (enqueue?.length) wire['Enqueue'] = enqueue.map(enqueueToWire);
  if (idempotency !== undefined) addIdempotency(wire, idempotency);
  return wire;
}

/** A message of this client is a receipt, too. */
function receiptToWire(receipt: MessageReceipt, place: string, names: Readonly<Record<string, true>>): object {
  if (typeof receipt !== 'object' || receipt === null) checkOptions(receipt, names, place);
  if (Object.getPrototypeOf(receipt) === Object.prototype) checkOptions(receipt, names, place);
  const { queue, id, lock } = receipt;
  if (typeof id !== 'string') throw invalid(`${place}.id: expected the ID of a message`);
  return { Queue: anId(queue, `${place}.queue`), ID: id, Lock: integerIf(lock, `${place}.lock`, 1) };
}

function nackToWire(nack: NackOperation, i: number): object {
  const place = `nack[${i}]`;
  const receipt = receiptToWire(nack, place, nackNames);
  return {
    ...receipt,
    Delay: secondsIf(nack.delay, `${place}.delay`, { min: 0, max: ttlMsMax }),
    Error: nack.error,
    Return: nack.return === true ? true : undefined,
  };
}

function extendToWire(extend: ExtendOperation, i: number): object {
  const place = `extend[${i}]`;
  const receipt = receiptToWire(extend, place, extendNames);
  return { ...receipt, LockDur: durationMs(extend.ttl, `${place}.ttl`, { max: lockDurMsMax }) / 1000 };
}

function dequeueToWire(dequeue: DequeueOperation): object {
  checkOptions(dequeue, dequeueNames, 'dequeue');
  const { queue, max, groupMax, ttl, wait, attempt } = dequeue;
  return {
    Queue: anId(queue, 'dequeue.queue'),
    DequeueMax: integerIf(max, 'dequeue.max', 1),
    GroupMax: integerIf(groupMax, 'dequeue.groupMax', 1),
    LockDur: secondsIf(ttl, 'dequeue.ttl', { min: 1, max: lockDurMsMax }),
    LockWait: wait ? secondsIf(wait, 'dequeue.wait', { min: 0, max: waitMsMax }) : undefined,
    AttemptID: attempt === undefined ? undefined : anId(attempt, 'dequeue.attempt'),
  };
}

function enqueueToWire(enqueue: EnqueueOperation, i: number): object {
  const place = `enqueue[${i}]`;
  checkOptions(enqueue, enqueueNames, place);
  const { queue, data, group, dedup, delay, ttl, priority } = enqueue;
  checkJson(data, `${place}.data`);
  return {
    Queue: anId(queue, `${place}.queue`),
    Data: data,
    Group: group === undefined ? undefined : anId(group, `${place}.group`),
    DedupID: dedup === undefined ? undefined : anId(dedup, `${place}.dedup`),
    Delay: secondsIf(delay, `${place}.delay`, { min: 0, max: ttlMsMax }),
    TTL: secondsIf(ttl, `${place}.ttl`, { min: 1, max: ttlMsMax }),
    Priority: integerIf(priority, `${place}.priority`, 0),
  };
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
  const { key, version, exists } = check;
  if ((version === undefined) === (exists === undefined)) {
    throw invalid(`${place}: expected version or exists, got ${version === undefined ? 'neither' : 'both'}`);
  }
  if (exists !== undefined && typeof exists !== 'boolean') throw invalid(`${place}.exists: expected true or false`);
  return { Key: anId(key, `${place}.key`), Version: integerIf(version, `${place}.version`, 0), Exists: exists };
}

function atomicToWire(operation: AtomicOperation, i: number): object {
  const place = `atomic[${i}]`;
  checkOptions(operation, atomicNames, place);
  const Key = anId(operation.key, `${place}.key`);
  if ('add' in operation) {
    checkOptions(operation, addNames, place);
    const { add, floor, ceil } = operation;
    return {
      Key,
      Add: anInteger(add, `${place}.add`),
      Floor: integerIf(floor, `${place}.floor`),
      Ceil: integerIf(ceil, `${place}.ceil`),
    };
  }
  if ('max' in operation) {
    checkOptions(operation, maxNames, place);
    return { Key, Max: anInteger(operation.max, `${place}.max`) };
  }
  if ('min' in operation) {
    checkOptions(operation, minNames, place);
    return { Key, Min: anInteger(operation.min, `${place}.min`) };
  }
  checkOptions(operation, counterSetNames, place);
  if (operation.set === undefined) throw invalid(`${place}: expected add, max, min or set`);
  return { Key, Set: anInteger(operation.set, `${place}.set`), IfEq: integerIf(operation.ifEq, `${place}.ifEq`) };
}

function setToWire(operation: SetOperation, i: number): object {
  const place = `set[${i}]`;
  checkOptions(operation, setNames, place);
  const Key = anId(operation.key, `${place}.key`);
  const Version = integerIf(operation.version, `${place}.version`, 0);
  if ('delete' in operation) {
    checkOptions(operation, deleteNames, place);
    if (!operation.delete) throw invalid(`${place}.delete: expected true, or value instead`);
    return { Key, Delete: true, Version };
  }
  const { value, ttl } = operation;
  checkJson(value, `${place}.value`);
  return { Key, Value: value, Version, TTL: secondsIf(ttl, `${place}.ttl`, { min: 1, max: ttlMsMax }) };
}

function addLock(wire: WireBatch, lock: BatchLock): void {
  checkOptions(lock, batchLockNames, 'lock');
  const { id, ttl, wait, owner, meta } = lock;
  wire['LockID'] = anId(id, 'lock.id');
  wire['LockDur'] = durationMs(ttl, 'lock.ttl', { max: lockDurMsMax }) / 1000;
  if (wait) wire['LockWait'] = durationMs(wait, 'lock.wait', { min: 0, max: waitMsMax }) / 1000;
  if (owner !== undefined) wire['LockOwner'] = anId(owner, 'lock.owner');
  if (meta !== undefined) {
    checkJson(meta, 'lock.meta');
    wire['LockMeta'] = meta;
  }
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

function integerIf(value: number | undefined, name: string, min?: number): number | undefined {
  return value === undefined ? undefined : anInteger(value, name, min);
}

function secondsIf(duration: Duration | undefined, name: string, range: MsRange): number | undefined {
  return duration === undefined ? undefined : durationMs(duration, name, range) / 1000;
}
