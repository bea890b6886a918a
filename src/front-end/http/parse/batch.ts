/**
 * `POST /db/:acc`: from the parsed JSON of one batch to its command. First a list of one, given as the object itself,
 * is written out as a list; then the schema decides on the shape; then come the rules that span fields. Messages name
 * the field as the client wrote it, behind `root` (`[3].` in an array body).
 */
import type {
  CounterOperation,
  Batch,
  GuardOperation,
  LockOperation,
  SetOperation,
  UnlockOperation,
} from '../../../protocol/commands.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import { batchBody, type BatchBody } from '../../../protocol/schemas.ts';
import { idempotencyTtlMsDefault, lockMetaBytesMax, type Limits } from '../../../shared/limits.ts';
import { handleOf, integerOf, keyOf, msOf } from './fields.ts';
import { withIdempotency, type IdempotencyOptions } from './idempotency.ts';
import { isRecord, jsonText } from './json.ts';
import { refuse, refuseField } from '../../refusal.ts';
import { validator } from './validate.ts';

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

const validate = validator(batchBody);
const lists = ['KVSet', 'KVGet', 'Atomic', 'Check', 'Guard', 'IdempotencyIDs'] as const;

export interface BatchContext {
  readonly account: AccountId;
  readonly limits: Limits;
  /** Of the header `Idempotency-Key`. */
  readonly header?: IdempotencyOptions | undefined;
  /** Path of this batch within an array body: `[3].`; empty for a single one. */
  readonly root: string;
}

export function batchCommand(json: unknown, context: BatchContext): Batch {
  const { account, limits, root } = context;
  writeOutLists(json, lists);
  const body = validate(json, root);
  const operations =
    (body.Guard?.length ?? 0) +
    (body.Check?.length ?? 0) +
    (body.Atomic?.length ?? 0) +
    (body.KVGet?.length ?? 0) +
    (body.KVSet?.length ?? 0);
  if (operations > limits.batch_operations_max) {
    return refuse(
      'too_large',
      `${root}batch: ${operations} operations; expected at most ${limits.batch_operations_max} (limits.batch_operations_max)`,
    );
  }
  if (operations === 0 && body.LockID === undefined && body.UnlockID === undefined) {
    return refuseField(
      `${root}batch`,
      'nothing to do; expected at least one of LockID, UnlockID, Guard, Check, Atomic, KVGet, KVSet',
    );
  }
  const batch: Mutable<Batch> = { kind: 'batch', account, format: 'batch' };
  const lock = lockAsk(body, root);
  if (lock !== undefined) batch.lock = lock;
  const unlock = unlockAsk(body, root);
  if (unlock !== undefined) batch.unlock = unlock;
  const { Guard, Check, Atomic, KVGet, KVSet } = body;
  if (Guard?.length) batch.guard = Guard.map((item, i) => guardAsk(item, `${root}Guard[${i}]`));
  if (Check?.length) {
    batch.check = Check.map((item, i) => ({
      key: keyOf(item.Key, `${root}Check[${i}].Key`),
      version: integerOf(item.Version),
    }));
  }
  if (Atomic?.length) batch.counter = Atomic.map((item, i) => atomicAsk(item, `${root}Atomic[${i}]`));
  if (KVGet?.length) batch.get = KVGet.map((item, i) => getAsk(item, `${root}KVGet[${i}]`));
  if (KVSet?.length) batch.set = KVSet.map((item, i) => setAsk(item, `${root}KVSet[${i}]`, limits));
  return withIdempotency(batch, idempotencyOptions(body, context));
}

/** Replaces, in place, each named member that is not a list (and not null) by a list of it. */
export function writeOutLists(json: unknown, names: readonly string[]): void {
  if (!isRecord(json)) return;
  // A body has few members: faster than to ask for each name.
  for (const name in json) {
    if (!names.includes(name)) continue;
    const value = json[name];
    if (value !== null && !Array.isArray(value)) json[name] = [value];
  }
}

function lockAsk(body: BatchBody, root: string): LockOperation | undefined {
  if (body.LockID === undefined) {
    // Asked by name first, because that is cheap, and nearly every batch without a lock ends here.
    const { LockDur, LockWait, LockOwner, LockMeta } = body;
    if (LockDur === undefined && LockWait === undefined && LockOwner === undefined && LockMeta === undefined)
      return undefined;
    for (const field of ['LockDur', 'LockWait', 'LockOwner', 'LockMeta'] as const) {
      if (body[field] !== undefined) refuseField(root + field, 'given without LockID');
    }
    return undefined;
  }
  if (body.LockDur === undefined)
    return refuseField(`${root}LockDur`, 'missing; expected the seconds to hold LockID for');
  const extend = extendedHandle(body, root);
  return {
    id: keyOf(body.LockID, `${root}LockID`),
    durMs: msOf(body.LockDur),
    waitMs: msOf(body.LockWait ?? 0),
    ...(body.LockOwner !== undefined && { owner: keyOf(body.LockOwner, `${root}LockOwner`) }),
    ...(body.LockMeta !== undefined && {
      meta: jsonText(body.LockMeta, `${root}LockMeta`, lockMetaBytesMax, 'the limit of LockMeta'),
    }),
    ...(extend !== undefined && { extend }),
  };
}

/** LockID = UnlockID means: keep the lock that I hold for longer. */
function extendedHandle(body: BatchBody, root: string): number | undefined {
  if (body.LockID !== body.UnlockID) return undefined;
  if (body.Unlock === undefined)
    return refuseField(`${root}Unlock`, 'missing; expected the handle of the lock to extend');
  if (body.LockWait) return refuseField(`${root}LockWait`, 'extending a lock (LockID = UnlockID) never waits');
  return handleOf(body.Unlock, `${root}Unlock`);
}

function unlockAsk(body: BatchBody, root: string): UnlockOperation | undefined {
  if (body.UnlockID === undefined) {
    return body.Unlock === undefined ? undefined : refuseField(`${root}Unlock`, 'given without UnlockID');
  }
  if (body.UnlockID === body.LockID) return undefined;
  const id = keyOf(body.UnlockID, `${root}UnlockID`);
  return body.Unlock === undefined ? { id } : { id, handle: handleOf(body.Unlock, `${root}Unlock`) };
}

type Item<List extends 'Guard' | 'Atomic' | 'KVGet' | 'KVSet'> = NonNullable<BatchBody[List]>[number];

function guardAsk(item: Item<'Guard'>, path: string): GuardOperation {
  return { id: keyOf(item.LockID, `${path}.LockID`), handle: handleOf(item.Lock, `${path}.Lock`) };
}

const atomicOps = ['Add', 'Set', 'Max', 'Min'] as const;

function atomicAsk(item: Item<'Atomic'>, path: string): CounterOperation {
  const [field, ...more] = atomicOps.filter((name) => item[name] !== undefined);
  if (field === undefined) return refuseField(path, `expected one of ${atomicOps.join(', ')}, got none`);
  if (more.length > 0) {
    return refuseField(path, `expected only one of ${atomicOps.join(', ')}, got ${[field, ...more].join(' and ')}`);
  }
  if (item.IfEq !== undefined && field !== 'Set')
    return refuseField(`${path}.IfEq`, `goes with Set only, not with ${field}`);
  const op = field === 'Add' ? 'add' : field === 'Set' ? 'set' : field === 'Max' ? 'max' : 'min';
  const n = integerOf(item[field] ?? 0);
  const key = keyOf(item.Key, `${path}.Key`);
  return item.IfEq === undefined ? { key, op, n } : { key, op, n, ifEq: integerOf(item.IfEq) };
}

function getAsk(item: Item<'KVGet'>, path: string): string {
  return typeof item === 'string' ? keyOf(item, path) : keyOf(item.Key, `${path}.Key`);
}

function setAsk(item: Item<'KVSet'>, path: string, limits: Limits): SetOperation {
  const key = keyOf(item.Key, `${path}.Key`);
  const condition = item.Version === undefined ? undefined : { version: integerOf(item.Version) };
  if (item.Delete === true) {
    if (item.Value !== undefined)
      return refuseField(`${path}.Value`, 'given together with Delete; expected one of the two');
    if (item.TTL !== undefined) return refuseField(`${path}.TTL`, 'given together with Delete');
    return { key, ...condition };
  }
  if (item.Value === undefined) return refuseField(path, 'expected Value, or Delete: true');
  const value = jsonText(item.Value, `${path}.Value`, limits.value_bytes_max, 'limits.value_bytes_max');
  return { key, value, ...condition, ...(item.TTL !== undefined && { ttlMs: msOf(item.TTL) }) };
}

function idempotencyOptions(body: BatchBody, { header, root }: BatchContext): IdempotencyOptions | undefined {
  const ttlMs = body.IdempotencyTTL === undefined ? idempotencyTtlMsDefault : msOf(body.IdempotencyTTL);
  if (body.IdempotencyIDs !== undefined) {
    if (header !== undefined) {
      return refuse(
        'invalid',
        'IdempotencyIDs: given together with the header Idempotency-Key; expected one of the two',
      );
    }
    const ids = body.IdempotencyIDs.map((id, i) => keyOf(id, `${root}IdempotencyIDs[${i}]`));
    return { ids: [...new Set(ids)], ttlMs, mode: body.IdempotencyMode ?? 'refuse' };
  }
  if (header !== undefined) return { ...header, ttlMs };
  for (const field of ['IdempotencyTTL', 'IdempotencyMode'] as const) {
    if (body[field] !== undefined) refuseField(root + field, 'given without IdempotencyIDs');
  }
  return undefined;
}
