/** A batch in the model: conditions, effects, the stored reply. All of it happens, or nothing. */
import { unreachable } from '../../../src/shared/assert.ts';
import { Json } from './expected.ts';
import type { Body } from './history.ts';
import * as leases from './model-leases.ts';
import { done, kvAt, lockAt, refuse, shown, type Moment, type Outcome } from './model-moment.ts';
import { nameOf, type Entry, type NumberEntry, type StoredEntry } from './model-state.ts';
import type { CounterOperation } from '../../../src/protocol/operations/counter.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import type { SetOperation } from '../../../src/protocol/operations/kv.ts';

export function batchOutcome(at: Moment, call: Batch): Outcome {
  const { account, format } = call;
  const repeated = call.idempotency && repeat(at, account, call.idempotency);
  if (repeated) return repeated;
  const lock = call.lock && lockAt(at, 'lock', account, call.lock.id);
  if (lock?.lease && call.lock!.extend === undefined && !leases.isOwn(lock, call.lock!))
    return refuse(409, leases.busy(lock.lease));

  const work = new Work(at, account);
  call.guard?.forEach(({ id, handle }, i) => {
    const guarded = lockAt(at, 'lock', account, id);
    if (guarded.lease?.handle !== handle) work.fail(`Guard[${i}]`, leases.lost(guarded, id, { handle }));
  });
  if (call.unlock) work.unlock(call.unlock);
  call.check?.forEach(({ key, version }, i) => work.expectVersion(`Check[${i}]`, key, version));
  call.set?.forEach(({ key, version }, i) => {
    if (version !== undefined) work.expectVersion(`KVSet[${i}]`, key, version);
  });
  let granted = {};
  if (call.lock !== undefined && lock !== undefined) {
    const { id, extend } = call.lock;
    if (extend !== undefined && !leases.isOwn(lock, call.lock))
      work.fail('Unlock', leases.lost(lock, id, { handle: extend }));
    const entry = leases.grant(lock, call.lock, at.rev, leases.grantedAt(at.now, call.lock.durMs, at.said));
    granted = leases.grantMembers(lock, entry, extend !== undefined, at.now, at.said);
    work.change(nameOf('lock', account, id), entry);
  }
  const Atomic = call.counter?.map((ask, i) => work.counter(`Atomic[${i}]`, ask));
  const sequence = call.sequence && work.sequence(call.sequence);
  const KV = call.get?.map((key) => shown(key, kvAt(at, account, key)));
  const KVSet = call.set?.map((ask) => work.set(ask));

  if (work.failed.length > 0) return refuse(409, { Failed: work.failed });
  const missing =
    (format === 'kv.get' && KV![0]!.Version === 0) ||
    (format === 'counter.get' && !Atomic![0]!.found) ||
    (format === 'sequence.get' && !sequence!.found);
  if (missing) return refuse(404, { Code: 'not_found' });
  const atomic = Atomic?.map(({ Key, Value, Old }) => ({ Key, Value, Old }));
  const body = (): object => {
    switch (format) {
      case 'batch':
        return { ...granted, Atomic: atomic, KV, KVSet };
      case 'kv.get':
        return KV![0]!;
      case 'kv.set':
        return { Key: call.set![0]!.key, Version: at.rev };
      case 'kv.delete':
        return { Key: call.set![0]!.key, Deleted: KVSet![0]!.Deleted };
      case 'counter.get':
      case 'counter.add':
      case 'counter.reset':
        return atomic![0]!;
      case 'sequence.get':
        return { Key: call.sequence!.key, Value: sequence!.to };
      case 'sequence.next':
        return { Key: call.sequence!.key, Value: sequence!.to, From: sequence!.from, To: sequence!.to };
      case 'sequence.reset':
        return { Key: call.sequence!.key, Value: 0 };
      case 'lock.acquire':
        return granted;
      case 'lock.release':
        return {};
      default:
        return unreachable(format);
    }
  };
  const changes = Array.from(work.changes, ([name, entry]) => (entry === undefined ? { name } : { name, entry }));
  const outcome = done(at, body(), changes);
  return call.idempotency === undefined ? outcome : stored(at, account, call.idempotency, outcome);
}

/** The changes of one batch, of which later items see those to counters. */
class Work {
  readonly failed: object[] = [];
  readonly changes = new Map<string, Entry | undefined>();
  readonly #at: Moment;
  readonly #account: string;

  constructor(at: Moment, account: string) {
    this.#at = at;
    this.#account = account;
  }

  fail(Field: string, details: object): void {
    this.failed.push({ Field, ...details });
  }

  change(name: string, entry: Entry | undefined): void {
    this.changes.set(name, entry);
  }

  unlock(ask: NonNullable<Batch['unlock']>): void {
    const lock = lockAt(this.#at, 'lock', this.#account, ask.id);
    const answer = leases.whatUnlockDoes(lock, ask);
    if (answer.does === 'fail') this.fail('Unlock', leases.lost(lock, ask.id, ask));
    if (answer.does !== 'release') return;
    const ended = leases.end(lock, answer.why, this.#at.now, leases.lockMemoryMs);
    this.change(nameOf('lock', this.#account, ask.id), ended);
  }

  expectVersion(field: string, key: string, expected: number): void {
    const Version = kvAt(this.#at, this.#account, key)?.version ?? 0;
    if (Version !== expected) this.fail(field, { Code: 'version_mismatch', Key: key, Version });
  }

  counter(
    field: string,
    { key, op, n, ifEq }: CounterOperation,
  ): { Key: string; Value: number; Old?: number; found: boolean } {
    const { name, value: old } = this.#number('counter', key);
    const from = old ?? 0;
    if (ifEq !== undefined && ifEq !== from) this.fail(field, { Code: 'precondition_failed', Key: key, Value: from });
    if (op === 'get') return { Key: key, Value: from, found: old !== undefined };
    if (op === 'reset') {
      if (old !== undefined) this.change(name, undefined);
      return { Key: key, Value: 0, ...(old === undefined ? {} : { Old: old }), found: true };
    }
    const results = { add: from + n, set: n, max: Math.max(from, n), min: Math.min(from, n) };
    const value = results[op];
    if (!Number.isSafeInteger(value)) this.fail(field, { Code: 'overflow', Key: key, Value: from });
    this.change(name, { n: value });
    return { Key: key, Value: value, Old: from, found: true };
  }

  sequence({ key, op, n }: NonNullable<Batch['sequence']>): { from: number; to: number; found: boolean } {
    const { name, value: last } = this.#number('sequence', key);
    const from = last ?? 0;
    if (op === 'next') {
      if (!Number.isSafeInteger(from + n)) this.fail('n', { Code: 'overflow', Key: key, Value: from });
      this.change(name, { n: from + n });
      return { from: from + 1, to: from + n, found: true };
    }
    if (op === 'reset' && last !== undefined) this.change(name, undefined);
    return { from, to: from, found: last !== undefined };
  }

  set({ key, value, ttlMs }: SetOperation): { Key: string; Version: number; Deleted?: boolean } {
    const at = this.#at;
    const name = nameOf('kv', this.#account, key);
    if (value !== undefined) {
      const till = ttlMs === undefined ? {} : { till: at.now.plus(ttlMs) };
      this.change(name, { version: at.rev, value: new Json(value), ...till });
      return { Key: key, Version: at.rev };
    }
    const existed = kvAt(at, this.#account, key) !== undefined;
    if (existed) this.change(name, undefined);
    else this.changes.delete(name);
    return { Key: key, Version: 0, Deleted: existed };
  }

  #number(kind: 'counter' | 'sequence', key: string): { name: string; value: number | undefined } {
    const name = nameOf(kind, this.#account, key);
    const entry = this.changes.has(name) ? this.changes.get(name) : this.#at.state.entries.get(name);
    return { name, value: (entry as NumberEntry | undefined)?.n };
  }
}

/** The reply that was stored under one of the ids, if there is one. */
function repeat(at: Moment, account: string, ask: NonNullable<Batch['idempotency']>): Outcome | undefined {
  let first: StoredEntry | undefined;
  const known: string[] = [];
  for (const id of ask.ids) {
    const name = nameOf('stored', account, id);
    const entry = at.state.entries.get(name) as StoredEntry | undefined;
    if (entry === undefined || at.over(name, entry, entry.till, false)) continue;
    // The ids may have been used in different requests: which one is told of is up to the server.
    if (first === undefined || entry.rev === at.said?.Rev) first = entry;
    known.push(id);
  }
  if (first === undefined) return undefined;
  const { body, rev } = first;
  // Of several ids it is enough to name one, as one shard does that does not keep the others.
  const told = at.said?.IDs ?? [];
  const IDs = told.length > 0 && told.every((id) => known.includes(id)) ? told : known;
  const Same = first.fingerprint === ask.fingerprint;
  if (ask.mode === 'refuse') return refuse(409, { Code: 'duplicate_request', IDs, Rev: rev, Same, Response: body });
  if (!Same) return refuse(422, { Code: 'idempotency_mismatch', IDs, Rev: rev });
  return { status: 200, body, changes: [], replayed: true };
}

function stored(at: Moment, account: string, ask: NonNullable<Batch['idempotency']>, outcome: Outcome): Outcome {
  const { fingerprint, ttlMs } = ask;
  const entry: StoredEntry = {
    fingerprint,
    body: at.said ?? (outcome.body as Body),
    rev: at.rev,
    till: at.now.plus(ttlMs),
  };
  const records = ask.ids.map((id) => ({ name: nameOf('stored', account, id), entry }));
  return { ...outcome, changes: [...outcome.changes, ...records] };
}
