/**
 * Batches on the wire to a shard (see `protocol/wire/shard-wire.ts`): common members are flattened into the list, rare
 * ones are encoded as JSON text.
 *
 *   account, format, replyBytesMax, rest,
 *   n, n × (key, value, version, ttlMs),  n, n × key,  n, n × (key, op, n, ifEq, floor, ceil)
 *   set                                   get          counter
 *
 * `rest` is 0 or the JSON text of the batch's other members. Absent: 0 for replyBytesMax and value, −1 for version and
 * ttlMs, '' for ifEq, floor and ceil; a list that is absent and one that is empty are the same to a shard.
 *
 * The batches of an array body share the first three pieces, and most of them only set keys:
 *
 *   account, replyBytesMax, n,  n × ( n, n × (key, value, version, ttlMs)    or    −1, all from `rest` on )
 */
import { assert } from '../../shared/assert.ts';
import { accountId, type AccountId } from '../ids.ts';
import type { CounterOperation } from '../operations/counter.ts';
import type { Batch, ReplyFormat } from '../operations/operations.ts';
import type { SetOperation } from '../operations/kv.ts';

export type ToShardWire = readonly (number | string)[];
type Pieces = (number | string)[];
type Mutable<Value> = { -readonly [Member in keyof Value]: Value[Member] };

/** The members of a batch that are encoded as JSON. */
type Rest = Omit<Batch, 'kind' | 'account' | 'format' | 'replyBytesMax' | 'set' | 'get' | 'counter'>;

export function putBatch(wire: Pieces, batch: Batch): void {
  wire.push(batch.account, batch.format, batch.replyBytesMax ?? 0);
  putMembers(wire, batch);
}

export function takeBatch(wire: WireReader): Batch {
  const batch = newBatch(accountId(wire.text()), wire.text() as ReplyFormat, wire.number());
  takeMembers(wire, batch);
  return batch;
}

export function putArray(wire: Pieces, batches: readonly Batch[]): void {
  const { account, replyBytesMax } = batches[0]!;
  wire.push(account, replyBytesMax ?? 0, batches.length);
  for (const batch of batches) {
    assert(
      batch.account === account && batch.replyBytesMax === replyBytesMax,
      'the batches of an array are of a piece',
    );
    assert(batch.format === 'batch', 'the batches of an array are answered as batches');
    if (batch.set !== undefined && onlySets(batch)) {
      putSets(wire, batch.set);
    } else {
      wire.push(-1);
      putMembers(wire, batch);
    }
  }
}

export function takeArray(wire: WireReader): Batch[] {
  const account = accountId(wire.text());
  const replyBytesMax = wire.number();
  const length = wire.number();
  const batches: Batch[] = [];
  while (batches.length < length) {
    const batch = newBatch(account, 'batch', replyBytesMax);
    const sets = wire.number();
    if (sets < 0) takeMembers(wire, batch);
    else batch.set = takeItems(wire, sets, takeSet);
    batches.push(batch);
  }
  return batches;
}

function newBatch(account: AccountId, format: ReplyFormat, replyBytesMax: number): Mutable<Batch> {
  const batch: Mutable<Batch> = { kind: 'batch', account, format };
  if (replyBytesMax > 0) batch.replyBytesMax = replyBytesMax;
  return batch;
}

function onlySets(batch: Batch): boolean {
  return batch.get === undefined && batch.counter === undefined && hasNoRest(batch);
}

function putMembers(wire: Pieces, batch: Batch): void {
  const { set = [], get = [], counter = [] } = batch;
  wire.push(hasNoRest(batch) ? 0 : restOf(batch));
  putSets(wire, set);
  wire.push(get.length);
  for (const key of get) wire.push(key);
  wire.push(counter.length);
  for (const { key, op, n, ifEq = '', floor = '', ceil = '' } of counter) wire.push(key, op, n, ifEq, floor, ceil);
}

function takeMembers(wire: WireReader, batch: Mutable<Batch>): void {
  const rest = wire.next();
  if (rest !== 0) Object.assign(batch, JSON.parse(rest as string) as Rest);
  const set = takeList(wire, takeSet);
  if (set !== undefined) batch.set = set;
  const get = takeList(wire, takeText);
  if (get !== undefined) batch.get = get;
  const counter = takeList(wire, takeCounter);
  if (counter !== undefined) batch.counter = counter;
}

function hasNoRest(batch: Batch): boolean {
  const { lock, unlock, guard, check, idempotency, sequence } = batch;
  const { ack, nack, extend, dequeue, enqueue, queueChange } = batch;
  const first = lock ?? unlock ?? guard ?? check ?? idempotency ?? sequence;
  return (first ?? ack ?? nack ?? extend ?? dequeue ?? enqueue ?? queueChange) === undefined;
}

function restOf(batch: Batch): string {
  const { lock, unlock, guard, check, idempotency, sequence } = batch;
  const { ack, nack, extend, dequeue, enqueue, queueChange } = batch;
  const queue = { ack, nack, extend, dequeue, enqueue, queueChange };
  const rest = { lock, unlock, guard, check, idempotency, sequence, ...queue };
  return JSON.stringify(rest satisfies Record<keyof Rest, unknown>);
}

function putSets(wire: Pieces, sets: readonly SetOperation[]): void {
  wire.push(sets.length);
  for (const { key, value = 0, version = -1, ttlMs = -1 } of sets) wire.push(key, value, version, ttlMs);
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
  const ttlMs = wire.number();
  if (ttlMs >= 0) operation.ttlMs = ttlMs;
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
  return operation;
}

/** Reads a wire from front to back. */
export class WireReader {
  readonly #wire: ToShardWire;
  #at = 0;

  constructor(wire: ToShardWire) {
    this.#wire = wire;
  }

  get atEnd(): boolean {
    return this.#at === this.#wire.length;
  }

  next(): number | string {
    const piece = this.#wire[this.#at];
    assert(piece !== undefined, 'a wire holds whole messages');
    this.#at += 1;
    return piece;
  }

  number(): number {
    return this.next() as number;
  }

  text(): string {
    return this.next() as string;
  }
}
