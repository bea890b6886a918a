/**
 * What a batch would do now: pure reading. Conditions first, all of them, so that an error lists every one that fails;
 * then the effects. Nothing has happened until `seal` gives the drafts a revision and the caller commits them.
 *
 * A shard evaluates the items that it owns. With one shard, or a batch on one shard, that is the whole batch; otherwise
 * the parts are put together by the router (see transaction.ts).
 */
import type { CounterOperation, Batch, LockOperation, UnlockOperation } from '../../../protocol/commands.ts';
import { failure } from '../../../protocol/errors.ts';
import type { Revision } from '../../../protocol/ids.ts';
import type {
  CounterResult,
  PendingEffect,
  Evaluation,
  FailedItem,
  GetResult,
  LockResult,
  Results,
  SequenceResult,
  SetResult,
} from '../../../protocol/wire/shard-messages.ts';
import { kinds, type Effect } from '../../../protocol/record.ts';
import { assert } from '../../../shared/assert.ts';
import { integerMax } from '../../../shared/limits.ts';
import { WriteSet } from '../state/write-set.ts';
import type { Entry } from '../../../protocol/entries.ts';
import { findDuplicate, storeEffects, storedReply } from '../operations/idempotency.ts';
import { answerUnlock, isOwnLease, leaseToRecover, type LockView } from '../state/lease.ts';
import { endEffect, grantEffect, viewDurableLock } from '../operations/lock.ts';
import { heldByOther, lockLost } from '../operations/lock-failures.ts';
import type { ShardState } from '../state/state.ts';

export function evaluate(state: ShardState, batch: Batch, now: number): Evaluation {
  const part = new BatchEvaluation(state, batch, now);
  const duplicate = findDuplicate(state, batch, now);
  if (duplicate !== undefined) return { pending: [], results: {}, failed: [], duplicate };

  const owns = (key: string): boolean => state.owns(batch.account, key);
  const results: { -readonly [K in keyof Results]: Results[K] } = {};
  batch.guard?.forEach(({ id, handle }, i) => {
    if (owns(id)) part.guard(`Guard[${i}]`, id, handle);
  });
  if (batch.unlock && owns(batch.unlock.id)) part.unlock(batch.unlock);
  if (batch.lock && owns(batch.lock.id)) results.lock = part.lock(batch.lock);
  batch.check?.forEach(({ key, version }, i) => {
    if (owns(key)) part.expectVersion(`Check[${i}]`, key, version);
  });
  batch.set?.forEach(({ key, version }, i) => {
    if (version !== undefined && owns(key)) part.expectVersion(`KVSet[${i}]`, key, version);
  });
  if (batch.counter)
    results.counter = batch.counter.map((operation, i) =>
      owns(operation.key) ? part.atomic(`Atomic[${i}]`, operation) : null,
    );
  if (batch.sequence && owns(batch.sequence.key)) results.sequence = part.sequence(batch.sequence);
  if (batch.get) results.get = batch.get.map((key) => (owns(key) ? part.get(key) : null));
  if (batch.set) results.set = batch.set.map((operation) => (owns(operation.key) ? part.set(operation) : null));

  const drafts = part.writeSet.all();
  const stored = storeEffects(state, batch, now);
  return { pending: stored.length === 0 ? drafts : [...drafts, ...stored], results, failed: part.failed };
}

/** Gives drafts the revision of their commit, and the stored reply its text. */
export function seal(drafts: readonly PendingEffect[], rev: Revision, batch: Batch, body: string): readonly Effect[] {
  if (!drafts.some(({ stores, grants }) => stores ?? grants)) return drafts;
  return drafts.map((draft) => {
    const { kind, key, till } = draft;
    if (draft.stores) return { kind, key, till, value: storedReply(batch.idempotency!, body, rev) };
    if (draft.grants) return { kind, key, till, value: grantWithHandle(draft.value!, rev) };
    return draft;
  });
}

/** As `grantEffect` writes it; the revision goes into the text, because parsing a lock with its history costs more. */
const grantHead = '{"lease":{"handle":0,';

function grantWithHandle(value: string, rev: Revision): string {
  assert(value.startsWith(grantHead), 'a grant begins with its open handle');
  return `{"lease":{"handle":${rev},${value.slice(grantHead.length)}`;
}

class BatchEvaluation {
  readonly writeSet = new WriteSet();
  readonly failed: FailedItem[] = [];
  readonly #state: ShardState;
  readonly #batch: Batch;
  readonly #now: number;

  constructor(state: ShardState, batch: Batch, now: number) {
    this.#state = state;
    this.#batch = batch;
    this.#now = now;
  }

  guard(field: string, id: string, handle: number): void {
    const view = this.#lockView(id);
    if (view.lease?.handle === handle) return;
    const ended = view.ended.find((lease) => lease.handle === handle);
    this.failed.push({ field, ...lockLost('guard with', id, { id, handle }, view, ended) });
  }

  unlock(operation: UnlockOperation): void {
    const view = this.#lockView(operation.id);
    const answer = answerUnlock(view, operation);
    if (answer.kind === 'release') this.writeSet.put(endEffect(operation.id, view, answer.why, this.#now));
    if (answer.kind === 'lost')
      this.failed.push({ field: 'Unlock', ...lockLost('unlock', operation.id, operation, view, answer.ended) });
  }

  expectVersion(field: string, key: string, expected: number): void {
    const version = this.#kv(key)?.rev ?? 0;
    if (version === expected) return;
    const is = version === 0 ? 'does not exist' : `has version ${version}`;
    const was = expected === 0 ? 'it must not exist' : `version ${expected} was expected`;
    this.failed.push({
      field,
      ...failure('version_mismatch', `The key ${JSON.stringify(key)} ${is}; ${was}.`, { Key: key, Version: version }),
    });
  }

  lock(operation: LockOperation): LockResult {
    const view = this.#lockView(operation.id);
    const own = isOwnLease(view, operation);
    if (operation.extend !== undefined && !own) {
      const ended = view.ended.find((lease) => lease.handle === operation.extend);
      const presented = { id: operation.id, handle: operation.extend };
      this.failed.push({ field: 'Unlock', ...lockLost('extend', operation.id, presented, view, ended) });
    } else if (!own && view.lease !== undefined) {
      // Only a batch over several shards gets here: the lease that it expected to extend has ended and gone to another.
      this.failed.push({ field: 'LockID', ...heldByOther(operation.id, view, 0, operation.waitMs) });
    }
    this.writeSet.put(grantEffect(view, operation, this.#now));
    const recover = leaseToRecover(view, operation);
    return {
      handle: own ? view.lease!.handle : 0,
      till: this.#now + operation.durMs,
      ...(recover === undefined
        ? {}
        : {
            recover: {
              handle: recover.handle,
              why: recover.why,
              ...(recover.meta === undefined ? {} : { meta: recover.meta }),
            },
          }),
    };
  }

  atomic(field: string, operation: CounterOperation): CounterResult {
    const { key, op, n } = operation;
    const pending = this.writeSet.find(kinds.counter, key);
    const old = pending === undefined ? this.#number(kinds.counter, key) : numberIn(pending);
    const from = old ?? 0;
    if (operation.ifEq !== undefined && operation.ifEq !== from) {
      const message = `The counter ${JSON.stringify(key)} is ${from}; IfEq expected ${operation.ifEq}.`;
      this.failed.push({ field, ...failure('precondition_failed', message, { Key: key, Value: from }) });
    }
    if (op === 'get') return old === undefined ? {} : { value: old };
    if (op === 'reset') {
      if (old !== undefined) this.writeSet.put({ kind: kinds.counter, key, till: 0 });
      return { value: 0, ...(old === undefined ? {} : { old }) };
    }
    const value = op === 'add' ? from + n : op === 'set' ? n : op === 'max' ? Math.max(from, n) : Math.min(from, n);
    if (!Number.isSafeInteger(value)) {
      const message = `The counter ${JSON.stringify(key)} is ${from}; adding ${n} leaves the range ±(2^53−1).`;
      this.failed.push({ field, ...failure('overflow', message, { Key: key, Value: from }) });
    }
    this.writeSet.put({ kind: kinds.counter, key, till: 0, value: String(value) });
    return { value, old: from };
  }

  sequence(operation: NonNullable<Batch['sequence']>): SequenceResult {
    const { key, op, n } = operation;
    const last = this.#number(kinds.sequence, key);
    if (op === 'get') return last === undefined ? {} : { to: last };
    if (op === 'reset') {
      if (last !== undefined) this.writeSet.put({ kind: kinds.sequence, key, till: 0 });
      return {};
    }
    const from = last ?? 0;
    if (n > integerMax - from) {
      const message = `The sequence ${JSON.stringify(key)} is at ${from}; ${n} more leave the range up to 2^53−1.`;
      this.failed.push({ field: 'n', ...failure('overflow', message, { Key: key, Value: from }) });
    }
    this.writeSet.put({ kind: kinds.sequence, key, till: 0, value: String(from + n) });
    return { from: from + 1, to: from + n };
  }

  get(key: string): GetResult {
    const entry = this.#kv(key);
    if (entry === undefined) return { version: 0 };
    return { version: entry.rev, value: entry.value, ...(entry.till === 0 ? {} : { till: entry.till }) };
  }

  set(operation: NonNullable<Batch['set']>[number]): SetResult {
    const { key, value, ttlMs } = operation;
    if (value !== undefined) {
      this.writeSet.put({ kind: kinds.kv, key, till: ttlMs === undefined ? 0 : this.#now + ttlMs, value });
      return 'set';
    }
    // A delete takes back what this batch set before, and is a commit only if there is something to delete.
    const stored = this.#state.entries.get(kinds.kv, this.#batch.account, key);
    this.writeSet.remove(kinds.kv, key);
    if (stored === undefined) return 'missing';
    // What had lapsed before its end was committed ends so now: whoever watches it is told that it expired.
    const lapsed = stored.till !== 0 && stored.till <= this.#now;
    this.writeSet.put({ kind: kinds.kv, key, till: 0, ...(lapsed ? { expired: true } : {}) });
    return lapsed ? 'missing' : 'deleted';
  }

  #lockView(id: string): LockView {
    return viewDurableLock(this.#state, this.#batch.account, id, this.#now);
  }

  #kv(key: string): Entry | undefined {
    const entry = this.#state.entries.get(kinds.kv, this.#batch.account, key);
    return entry !== undefined && entry.till !== 0 && entry.till <= this.#now ? undefined : entry;
  }

  #number(kind: typeof kinds.counter | typeof kinds.sequence, key: string): number | undefined {
    const entry = this.#state.entries.get(kind, this.#batch.account, key);
    return entry === undefined ? undefined : Number(entry.value);
  }
}

function numberIn(draft: PendingEffect): number | undefined {
  return draft.value === undefined ? undefined : Number(draft.value);
}
