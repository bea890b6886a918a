/**
 * Batches on the wire to a shard (see `protocol/wire/shard-wire.ts`): common members are flattened into the list, rare
 * ones are encoded as JSON text.
 *
 *   account, format, replyBytesMax, which, [rest],
 *   [id, durMs, waitMs, owner, meta, extend],  [id, fence, owner],
 *   lock, [n]                                  unlock
 *   n, n × (key, value, version, ttlMs),  n, n × key,  n, n × (key, op, n, ifEq, floor, ceil, ttlMs)
 *   set                                   get          counter
 *
 * `which` is the sum of 1 (there is a lock), 2 (an unlock), 8 (the lock is shared: `n` is the number of permits, 0 for
 * readers) and 4: `rest` is the JSON text of the batch's other members.
 * The `ttlMs` of a set is four times the time, and one more for a merge, two more to see what was there before.
 * Absent: 0 for replyBytesMax, value, owner, meta, extend and fence, −1 for version and ttlMs, '' for ifEq, floor,
 * ceil and a counter's ttlMs; a list that is absent and one that is empty are the same to a shard.
 *
 * A batch in the format `ops` has its operations first (`protocol/wire/ops-wire.ts`), and in most cases nothing else:
 *
 *   account, 'ops', replyBytesMax, n, n × operation,  0    or    1, all from `which` on
 *
 * The batches of an array share the first three pieces. Most of those of a body only set keys:
 *
 *   account, format, replyBytesMax, n,  n × ( n, n × (key, value, version, ttlMs)    or    −1, all from `which` on )
 *   account, 'ops', replyBytesMax, n,  n × ( all from the number of operations on )
 */
import { assert } from '../../shared/assert.ts';
import { accountId, type AccountId } from '../ids.ts';
import type { CounterOperation } from '../operations/counter.ts';
import type { LockOperation, UnlockOperation } from '../operations/lock.ts';
import type { Batch, ReplyFormat } from '../operations/operations.ts';
import type { SetOperation } from '../operations/kv.ts';
import { putOps, takeOp } from './ops-wire.ts';
import type { Pieces, WireReader } from './wire-reader.ts';

type Mutable<Value> = { -readonly [Member in keyof Value]: Value[Member] };

/** The members of a batch that are encoded as JSON. */
type Rest = Omit<
  Batch,
  'kind' | 'account' | 'format' | 'replyBytesMax' | 'set' | 'get' | 'counter' | 'lock' | 'unlock'
>;

const hasLock = 1;
const hasUnlock = 2;
const hasRest = 4;
const isShared = 8;

export function putBatch(wire: Pieces, batch: Batch): void {
  wire.push(batch.account, batch.format, batch.replyBytesMax ?? 0);
  if (batch.format === 'ops') putOpsBatch(wire, batch);
  else putMembers(wire, batch);
}

export function takeBatch(wire: WireReader): Batch {
  const batch = newBatch(accountId(wire.text()), wire.text() as ReplyFormat, wire.number());
  if (batch.format === 'ops') takeOpsBatch(wire, batch);
  else takeMembers(wire, batch);
  return batch;
}

function putOpsBatch(wire: Pieces, batch: Batch): void {
  const { ops = [], ...others } = batch;
  putOps(wire, ops);
  const { set, get, counter } = others;
  const alone = (set ?? get ?? counter) === undefined && membersIn(others) === 0;
  wire.push(alone ? 0 : 1);
  if (!alone) putMembers(wire, others);
}

function takeOpsBatch(wire: WireReader, batch: Mutable<Batch>): void {
  const ops = takeList(wire, takeOp);
  if (wire.number() === 1) takeMembers(wire, batch);
  if (ops !== undefined) batch.ops = ops;
}

export function putArray(wire: Pieces, batches: readonly Batch[]): void {
  const { account, format, replyBytesMax } = batches[0]!;
  assert(format === 'batch' || format === 'ops', 'the batches of an array are no calls');
  wire.push(account, format, replyBytesMax ?? 0, batches.length);
  for (const batch of batches) {
    assert(
      batch.account === account && batch.format === format && batch.replyBytesMax === replyBytesMax,
      'the batches of an array are of a piece',
    );
    if (format === 'ops') putOpsBatch(wire, batch);
    else if (batch.set !== undefined && onlySets(batch)) {
      putSets(wire, batch.set);
    } else {
      wire.push(-1);
      putMembers(wire, batch);
    }
  }
}

export function takeArray(wire: WireReader): Batch[] {
  const account = accountId(wire.text());
  const format = wire.text() as ReplyFormat;
  const replyBytesMax = wire.number();
  const length = wire.number();
  const batches: Batch[] = [];
  while (batches.length < length) {
    const batch = newBatch(account, format, replyBytesMax);
    batches.push(batch);
    if (format === 'ops') {
      takeOpsBatch(wire, batch);
      continue;
    }
    const sets = wire.number();
    if (sets < 0) takeMembers(wire, batch);
    else batch.set = takeItems(wire, sets, takeSet);
  }
  return batches;
}

function newBatch(account: AccountId, format: ReplyFormat, replyBytesMax: number): Mutable<Batch> {
  const batch: Mutable<Batch> = { kind: 'batch', account, format };
  if (replyBytesMax > 0) batch.replyBytesMax = replyBytesMax;
  return batch;
}

function onlySets(batch: Batch): boolean {
  return batch.get === undefined && batch.counter === undefined && membersIn(batch) === 0;
}

function putMembers(wire: Pieces, batch: Batch): void {
  const { set = [], get = [], counter = [] } = batch;
  const which = membersIn(batch);
  wire.push(which);
  if (which !== 0) putRare(wire, batch, which);
  putSets(wire, set);
  wire.push(get.length);
  for (const key of get) wire.push(key);
  wire.push(counter.length);
  for (const { key, op, n, ifEq = '', floor = '', ceil = '', ttlMs = '' } of counter)
    wire.push(key, op, n, ifEq, floor, ceil, ttlMs);
}

function takeMembers(wire: WireReader, batch: Mutable<Batch>): void {
  const which = wire.number();
  if ((which & hasRest) !== 0) Object.assign(batch, JSON.parse(wire.text()) as Rest);
  if ((which & hasLock) !== 0) batch.lock = takeLock(wire, (which & isShared) !== 0);
  if ((which & hasUnlock) !== 0) batch.unlock = takeUnlock(wire);
  const set = takeList(wire, takeSet);
  if (set !== undefined) batch.set = set;
  const get = takeList(wire, takeText);
  if (get !== undefined) batch.get = get;
  const counter = takeList(wire, takeCounter);
  if (counter !== undefined) batch.counter = counter;
}

function membersIn(batch: Batch): number {
  const { lock, unlock, guard, check, idempotency, sequence, limit, ops, clear, range } = batch;
  const { ack, nack, extend, dequeue, enqueue, queueChange, audit, locks, unlocks, wipe, load } = batch;
  const { tasks, taskCancel, taskChange, taskEnd, taskSetting, same, script, answer } = batch;
  let which = lock === undefined ? 0 : hasLock;
  if (lock !== undefined && (lock.read !== undefined || lock.limit !== undefined)) which |= isShared;
  if (unlock !== undefined) which |= hasUnlock;
  const first = guard ?? check ?? idempotency ?? sequence ?? limit ?? ops ?? clear ?? range ?? wipe ?? load;
  const second = ack ?? nack ?? extend ?? dequeue ?? enqueue ?? queueChange ?? audit ?? locks ?? unlocks;
  const third = tasks ?? taskCancel ?? taskChange ?? taskEnd ?? taskSetting ?? same ?? script ?? answer;
  if ((first ?? second ?? third) !== undefined) which |= hasRest;
  return which;
}

function putRare(wire: Pieces, batch: Batch, which: number): void {
  const { lock, unlock } = batch;
  if ((which & hasRest) !== 0) wire.push(restOf(batch));
  if (lock !== undefined) {
    const { id, durMs, waitMs, owner = 0, meta = 0, extend = 0 } = lock;
    wire.push(id, durMs, waitMs, owner, meta, extend);
    if ((which & isShared) !== 0) wire.push(lock.limit ?? 0);
  }
  if (unlock !== undefined) wire.push(unlock.id, unlock.fence ?? 0, unlock.owner ?? 0);
}

function restOf(batch: Batch): string {
  const { guard, check, idempotency, sequence, limit, ops, clear, range } = batch;
  const { ack, nack, extend, dequeue, enqueue, queueChange, audit, locks, unlocks, wipe, load } = batch;
  const { tasks, taskCancel, taskChange, taskEnd, taskSetting, same, script, answer } = batch;
  const queue = { ack, nack, extend, dequeue, enqueue, queueChange };
  const task = { tasks, taskCancel, taskChange, taskEnd, taskSetting };
  const locking = { guard, check, idempotency, locks, unlocks };
  const scripts = { same, script, answer };
  const rest = { ...locking, sequence, limit, ops, clear, range, audit, wipe, load, ...queue, ...task, ...scripts };
  return JSON.stringify(rest satisfies Record<keyof Rest, unknown>);
}

function takeLock(wire: WireReader, shared: boolean): LockOperation {
  const lock: Mutable<LockOperation> = { id: wire.text(), durMs: wire.number(), waitMs: wire.number() };
  const owner = wire.next();
  if (typeof owner === 'string') lock.owner = owner;
  const meta = wire.next();
  if (typeof meta === 'string') lock.meta = meta;
  const extend = wire.number();
  if (extend !== 0) lock.extend = extend;
  if (!shared) return lock;
  const limit = wire.number();
  if (limit === 0) lock.read = true;
  else lock.limit = limit;
  return lock;
}

function takeUnlock(wire: WireReader): UnlockOperation {
  const unlock: Mutable<UnlockOperation> = { id: wire.text() };
  const fence = wire.number();
  if (fence !== 0) unlock.fence = fence;
  const owner = wire.next();
  if (typeof owner === 'string') unlock.owner = owner;
  return unlock;
}

function putSets(wire: Pieces, sets: readonly SetOperation[]): void {
  wire.push(sets.length);
  for (const { key, value = 0, version = -1, ttlMs = -1, merge, old } of sets)
    wire.push(key, value, version, ttlMs * 4 + (merge === true ? 1 : 0) + (old === true ? 2 : 0));
}

function takeList<Item>(wire: WireReader, take: (wire: WireReader) => Item): Item[] | undefined {
  const length = wire.number();
  return length === 0 ? undefined : takeItems(wire, length, take);
}

function takeItems<Item>(wire: WireReader, length: number, take: (wire: WireReader) => Item): Item[] {
  const items: Item[] = [];
  while (items.length < length) items.push(take(wire));
  return items;
}

function takeSet(wire: WireReader): SetOperation {
  const operation: Mutable<SetOperation> = { key: wire.text() };
  const value = wire.next();
  if (typeof value === 'string') operation.value = value;
  const version = wire.number();
  if (version >= 0) operation.version = version;
  const ttlAndFlags = wire.number();
  if (ttlAndFlags === -4) return operation;
  const ttlMs = Math.floor(ttlAndFlags / 4);
  if (ttlMs >= 0) operation.ttlMs = ttlMs;
  const flags = ttlAndFlags - ttlMs * 4;
  if (flags % 2 === 1) operation.merge = true;
  if (flags > 1) operation.old = true;
  return operation;
}

function takeText(wire: WireReader): string {
  return wire.text();
}

function takeCounter(wire: WireReader): CounterOperation {
  const operation: Mutable<CounterOperation> = {
    key: wire.text(),
    op: wire.text() as CounterOperation['op'],
    n: wire.number(),
  };
  const ifEq = wire.next();
  if (typeof ifEq === 'number') operation.ifEq = ifEq;
  const floor = wire.next();
  if (typeof floor === 'number') operation.floor = floor;
  const ceil = wire.next();
  if (typeof ceil === 'number') operation.ceil = ceil;
  const ttlMs = wire.next();
  if (typeof ttlMs === 'number') operation.ttlMs = ttlMs;
  return operation;
}
