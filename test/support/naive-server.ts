/**
 * What the server has to answer, written down once more from the contract alone: plain maps, one command after the
 * other, no shards, no journal, no effects, nothing shared with the core.
 *
 * It does not hand out revisions. A commit is an object whose `rev` becomes known when the real reply is there, so that
 * bodies are functions, to be called when all replies of a step are known.
 */
import { unreachable } from '../../src/shared/assert.ts';
import type { Batch, Command } from '../../src/protocol/operations/operations.ts';
import type { IdempotencyRequest } from '../../src/protocol/operations/idempotency.ts';
import type { LockOperation, UnlockOperation } from '../../src/protocol/operations/lock.ts';
import type { SetOperation } from '../../src/protocol/operations/kv.ts';

export interface Commit {
  rev: number | undefined;
}

type Json = Record<string, unknown>;

export interface Expected {
  /** The number under which the caller asked. */
  readonly ref: number;
  readonly status: number;
  /** Without `Rev` and without messages. */
  readonly body: () => Json;
  /** The reply's `Rev` is that of this commit. */
  readonly commit?: Commit;
  /** Nothing was written: the body speaks of the revision that was read at. */
  readonly readAt?: Commit;
  readonly replayed?: true;
  /** Several of a request's idempotency ids are known, each to a shard of its own: any of them may be what is answered. */
  readonly or?: readonly Expected[];
  /** What happened, for the coverage. */
  readonly covers: readonly string[];
}

export interface ExpectedEvent {
  readonly key: string;
  readonly body: () => Json;
  readonly commit?: Commit;
}

interface Item {
  readonly commit: Commit;
  readonly value: unknown;
  readonly till: number;
}

interface Lease {
  readonly handle: Commit;
  readonly owner: string | undefined;
  readonly meta: unknown;
  readonly since: number;
  readonly dur: number;
  till: number;
}

interface Ended {
  readonly handle: Commit;
  readonly owner: string | undefined;
  readonly meta: unknown;
  readonly why: 'released' | 'expired' | 'forced';
  readonly at: number;
}

interface Waiting {
  ref: number;
  ask: LockOperation;
  batch: Batch | undefined;
  deadline: number;
}

export interface NaiveLock {
  lease: Lease | undefined;
  ended: Ended[];
  line: Waiting[];
  /** When a free mutex is forgotten. */
  forgetAt: number;
}

interface Stored {
  readonly fingerprint: string;
  readonly body: () => Json;
  readonly commit: Commit;
  readonly till: number;
}

type Part = 'lock' | 'extend' | 'unlock' | 'guard' | 'check' | 'set' | 'delete' | 'counter' | 'sequence';

interface FailedItem {
  readonly part: Part;
  readonly field: string;
  readonly code: string;
  readonly details: () => Json;
}

export class NaiveServer {
  now: number;
  readonly keys = new Map<string, Item>();
  readonly counters = new Map<string, number>();
  readonly sequences = new Map<string, number>();
  readonly locks = new Map<string, NaiveLock>();
  readonly mutexes = new Map<string, NaiveLock>();
  readonly stored = new Map<string, Stored>();
  readonly watched = new Set<string>();
  answers: Expected[] = [];
  events: ExpectedEvent[] = [];

  readonly #shards: number;

  constructor(now: number, shards = 1) {
    this.now = now;
    this.#shards = shards;
  }

  submit(ref: number, command: Command): void {
    switch (command.kind) {
      case 'batch':
        return this.#batch(ref, command);
      case 'kv.list':
        return this.#list(ref, command);
      case 'lock.list':
        return this.#lockList(ref, command);
      case 'lock.inspect':
        return this.#inspect(ref, command.id, command.fence);
      case 'mutex.lock':
        return this.#mutexLock(ref, command.lock);
      case 'mutex.unlock':
        return this.#mutexUnlock(ref, command.unlock);
      case 'watch.key':
        return this.#watch(ref, command.key, command.version);
    }
  }

  /** A client vanishes. */
  cancel(ref: number): void {
    for (const lock of [...this.locks.values(), ...this.mutexes.values()]) {
      lock.line = lock.line.filter((waiting) => waiting.ref !== ref);
    }
  }

  waiting(): number[] {
    return [...this.locks.values(), ...this.mutexes.values()].flatMap(({ line }) => line.map(({ ref }) => ref));
  }

  /** The next moment at which something ends by itself. */
  nextEnd(): number {
    const ends = [...this.keys.values(), ...this.stored.values()].flatMap(({ till }) => (till === 0 ? [] : [till]));
    for (const lock of [...this.locks.values(), ...this.mutexes.values()]) {
      if (lock.lease !== undefined) ends.push(lock.lease.till);
      for (const { deadline } of lock.line) ends.push(deadline);
    }
    return Math.min(Infinity, ...ends);
  }

  /** Time has come to `now`, which is no later than `nextEnd`. */
  passTo(now: number): void {
    this.now = now;
    for (const [key, { till }] of this.keys) {
      if (till === 0 || till > now) continue;
      this.keys.delete(key);
      this.#changed(key, undefined, undefined, true);
    }
    for (const [id, { till }] of this.stored) if (till <= now) this.stored.delete(id);
    const over = [...this.locks.values(), ...this.mutexes.values()].filter(({ lease }) => lease && lease.till <= now);
    for (const lock of over) this.#end(lock, 'expired', lock.lease!.till);
    for (const [id, lock] of this.mutexes) if (over.includes(lock)) this.#serveMutex(id, lock);
    for (const [id, lock] of this.locks) if (over.includes(lock)) this.#serve(id, lock);
    for (const lock of [...this.locks.values(), ...this.mutexes.values()]) {
      const late = lock.line.filter(({ deadline }) => deadline <= now);
      // Whoever has waited for longer is told first, also when a retry has taken over a place further ahead.
      for (const waiting of late.toSorted((a, b) => a.ref - b.ref)) {
        lock.line.splice(lock.line.indexOf(waiting), 1);
        this.#refuse(waiting.ref, 'not_locked', this.#busy(lock), ['wait:ran-out']);
      }
    }
    for (const [id, { forgetAt, lease }] of this.mutexes) {
      if (lease === undefined && forgetAt <= now) this.mutexes.delete(id);
    }
  }

  /** Everything in memory is gone; locks are held for a little longer. */
  restart(now: number, how: 'stop' | 'crash'): void {
    if (how === 'stop') {
      for (const ref of this.waiting()) this.#refuse(ref, 'draining', () => ({}), ['drain:waiter'], 503);
    }
    this.mutexes.clear();
    this.watched.clear();
    for (const lock of this.locks.values()) {
      lock.line = [];
      const { lease } = lock;
      if (lease === undefined) continue;
      const least = now + Math.min(lease.dur, 10_000);
      lease.till = Math.min(Math.max(lease.till, least), now + lease.dur);
    }
    this.passTo(now);
  }

  #batch(ref: number, batch: Batch): void {
    const { lock: ask } = batch;
    const early = this.#earlier(ref, batch) || this.#inProgress(ref, batch);
    if (early) return;
    if (ask !== undefined && ask.extend === undefined) {
      const lock = lockOf(this.locks, ask.id);
      if (!mayHave(lock, ask)) return this.#wait(ref, lock, ask, batch);
    }
    this.#happen(ref, batch);
  }

  #earlier(ref: number, { idempotency }: Batch): boolean {
    const known = (idempotency?.ids ?? []).filter((id) => this.stored.has(id));
    if (idempotency === undefined || known.length === 0) return false;
    const or: Expected[] = [];
    if (this.#shards > 1) {
      const before = this.answers;
      this.answers = or;
      this.#inProgress(ref, { idempotency });
      if (known.length > 1) {
        for (const ids of [...known.map((id) => [id]), known.toReversed()]) this.#duplicate(ref, idempotency, ids);
      }
      this.answers = before;
    }
    this.#duplicate(ref, idempotency, known);
    this.answers.push({ ...this.answers.pop()!, or });
    return true;
  }

  #duplicate(ref: number, idempotency: IdempotencyRequest, known: readonly string[]): void {
    const stored = this.stored.get(known[0]!)!;
    const same = stored.fingerprint === idempotency.fingerprint;
    const where = (): Json => ({ IDs: known.toSorted(), Rev: stored.commit.rev });
    if (idempotency.mode === 'replay' && same) {
      const body = (): Json => ({ ...stored.body() });
      this.answers.push({ ref, status: 200, body, commit: stored.commit, replayed: true, covers: ['replay'] });
    } else if (idempotency.mode === 'replay') {
      this.#refuse(ref, 'idempotency_mismatch', where, [], 422);
    } else {
      const Response = (): Json => ({ ...stored.body(), Rev: stored.commit.rev });
      this.#refuse(ref, 'duplicate_request', () => ({ ...where(), Same: same, Response: Response() }));
    }
  }

  #inProgress(ref: number, { idempotency }: Pick<Batch, 'idempotency'>): boolean {
    const lines = [...this.locks.values()].flatMap(({ line }) => line);
    const busy = new Set(lines.flatMap((waiting) => waiting.batch?.idempotency?.ids ?? []));
    const id = (idempotency?.ids ?? []).find((known) => busy.has(known));
    if (id === undefined) return false;
    this.#refuse(ref, 'request_in_progress', () => ({ IDs: [id] }));
    return true;
  }

  #wait(ref: number, lock: NaiveLock, ask: LockOperation, batch: Batch | undefined): void {
    if (ask.waitMs === 0) return this.#refuse(ref, 'not_locked', this.#busy(lock), ['try:busy']);
    const joined: Waiting = { ref, ask, batch, deadline: this.now + ask.waitMs };
    const own = ask.owner === undefined ? -1 : lock.line.findIndex((waiting) => waiting.ask.owner === ask.owner);
    if (own < 0) return void lock.line.push(joined);
    const [earlier] = lock.line.splice(own, 1, joined);
    this.#refuse(earlier!.ref, 'not_locked', () => ({}), ['owner:took-over']);
  }

  /** The lock is there to be had. */
  #happen(ref: number, batch: Batch): void {
    const failed = this.#failures(batch);
    if (failed.length > 0) {
      const [first] = failed;
      const items = (): Json[] => failed.map((f) => ({ Field: f.field, Code: f.code, ...f.details() }));
      const covers = failed.map(({ part, code }) => `${part}:${code}`);
      return this.#refuse(ref, first!.code, () => ({ ...first!.details(), Failed: items() }), covers);
    }
    const missing = this.#missing(batch);
    if (missing) return this.#refuse(ref, 'not_found', () => ({}), [`${batch.format}:not_found`], 404);

    const commit: Commit = { rev: undefined };
    const read = (batch.get ?? []).map((key) => this.#shown(key));
    const grantable: NaiveLock[] = [];
    let writes = false;
    let lease: (() => Json) | undefined;
    if (batch.unlock !== undefined && this.#unlock(batch.unlock) === 'release') {
      const lock = this.locks.get(batch.unlock.id)!;
      const forced = batch.unlock.handle === undefined && batch.unlock.owner === undefined;
      this.#end(lock, forced ? 'forced' : 'released', this.now);
      grantable.push(lock);
      writes = true;
    }
    if (batch.lock !== undefined) {
      lease = this.#grant(lockOf(this.locks, batch.lock.id), batch.lock, commit);
      writes = true;
    }
    const counter = (batch.counter ?? []).map(({ key, op, n }) => {
      const old = this.counters.get(key);
      if (op === 'get') return { Key: key, Value: old ?? 0 };
      if (op === 'reset') {
        writes ||= old !== undefined;
        this.counters.delete(key);
        return { Key: key, Value: 0, ...(old === undefined ? {} : { Old: old }) };
      }
      const value = counted(op, old ?? 0, n);
      this.counters.set(key, value);
      writes = true;
      return { Key: key, Value: value, Old: old ?? 0 };
    });
    const sequence = this.#sequence(batch);
    writes ||= sequence?.writes ?? false;
    const changes = new Map<string, SetOperation>();
    const existed = new Set((batch.set ?? []).flatMap(({ key }) => (this.keys.has(key) ? [key] : [])));
    for (const ask of batch.set ?? []) changes.set(ask.key, ask);
    for (const [key, ask] of changes) {
      if (ask.value === undefined && !existed.has(key)) continue;
      writes = true;
      const value: unknown = ask.value === undefined ? undefined : JSON.parse(ask.value);
      if (ask.value === undefined) this.keys.delete(key);
      else this.keys.set(key, { commit, value, till: ask.ttlMs === undefined ? 0 : this.now + ask.ttlMs });
      this.#changed(key, ask.value === undefined ? undefined : value, commit);
    }
    const body = this.#body(batch, { lease, counter, read, sequence: sequence?.body, existed, commit });
    const { idempotency } = batch;
    if (idempotency !== undefined) {
      const { fingerprint, ttlMs } = idempotency;
      for (const id of idempotency.ids) this.stored.set(id, { fingerprint, body, commit, till: this.now + ttlMs });
      writes = true;
    }
    this.answers.push({
      ref,
      status: 200,
      body,
      ...(writes ? { commit } : { readAt: commit }),
      covers: coversOf(batch),
    });
    for (const lock of grantable) this.#serve(batch.unlock!.id, lock);
  }

  #body(
    batch: Batch,
    done: {
      lease: (() => Json) | undefined;
      counter: Json[];
      read: (() => Json)[];
      sequence: Json | undefined;
      existed: Set<string>;
      commit: Commit;
    },
  ): () => Json {
    const first = batch.set?.[0];
    switch (batch.format) {
      case 'kv.get':
        return done.read[0]!;
      case 'kv.set':
        return () => ({ Key: first!.key, Version: done.commit.rev });
      case 'kv.delete':
        return () => ({ Key: first!.key, Deleted: done.existed.has(first!.key) });
      case 'counter.get':
      case 'counter.add':
      case 'counter.reset':
        return () => done.counter[0]!;
      case 'sequence.get':
      case 'sequence.next':
      case 'sequence.reset':
        return () => done.sequence!;
      case 'lock.acquire':
        return done.lease!;
      case 'lock.release':
        return () => ({});
      case 'batch':
        return () => ({
          ...done.lease?.(),
          ...(batch.counter && { Atomic: done.counter }),
          ...(batch.get && { KV: done.read.map((item) => item()) }),
          ...(batch.set && {
            KVSet: batch.set.map(({ key, value }) =>
              value === undefined
                ? { Key: key, Version: 0, Deleted: done.existed.has(key) }
                : { Key: key, Version: done.commit.rev },
            ),
          }),
        });
      default:
        return unreachable(batch.format);
    }
  }

  #sequence({ sequence }: Batch): { body: Json; writes: boolean } | undefined {
    if (sequence === undefined) return undefined;
    const { key, op, n } = sequence;
    const last = this.sequences.get(key);
    if (op === 'get') return { body: { Key: key, Value: last }, writes: false };
    if (op === 'reset') {
      this.sequences.delete(key);
      return { body: { Key: key, Value: 0 }, writes: last !== undefined };
    }
    const from = (last ?? 0) + 1;
    const to = from + n - 1;
    this.sequences.set(key, to);
    return { body: { Key: key, Value: to, From: from, To: to }, writes: true };
  }

  #failures(batch: Batch): FailedItem[] {
    const failed: FailedItem[] = [];
    const fail = (part: Part, field: string, code: string, details: () => Json): void => {
      failed.push({ part, field, code, details });
    };
    const lost = (part: Part, field: string, id: string, is: (lease: Lease | Ended) => boolean): void => {
      const ended = this.locks.get(id)?.ended.find(is);
      const end = ended === undefined ? {} : { EndedMs: ended.at };
      fail(part, field, 'lock_lost', () => ({ LockID: id, Why: ended?.why ?? 'unknown', ...end }));
    };
    batch.guard?.forEach(({ id, handle }, i) => {
      const is = handleIs(handle);
      if (!holds(this.locks.get(id), is)) lost('guard', `Guard[${i}]`, id, is);
    });
    if (batch.unlock !== undefined && this.#unlock(batch.unlock) === 'lost') {
      lost('unlock', 'Unlock', batch.unlock.id, presentedBy(batch.unlock));
    }
    const { lock: ask } = batch;
    if (ask?.extend !== undefined && !holds(this.locks.get(ask.id), handleIs(ask.extend))) {
      lost('extend', 'Unlock', ask.id, handleIs(ask.extend));
    }
    const version = (part: Part, field: string, key: string, expected: number): void => {
      const item = this.keys.get(key);
      if (item === undefined ? expected === 0 : item.commit.rev === expected) return;
      fail(part, field, 'version_mismatch', () => ({ Key: key, Version: item === undefined ? 0 : item.commit.rev }));
    };
    batch.check?.forEach((check, i) => version('check', `Check[${i}]`, check.key, check.version));
    batch.set?.forEach((ask, i) => {
      const part = ask.value === undefined ? 'delete' : 'set';
      if (ask.version !== undefined) version(part, `KVSet[${i}]`, ask.key, ask.version);
    });
    const counters = new Map(this.counters);
    batch.counter?.forEach(({ key, op, n, ifEq }, i) => {
      const from = counters.get(key) ?? 0;
      const here = (): Json => ({ Key: key, Value: from });
      if (ifEq !== undefined && ifEq !== from) fail('counter', `Atomic[${i}]`, 'precondition_failed', here);
      if (op === 'get' || op === 'reset') return;
      const value = counted(op, from, n);
      if (!Number.isSafeInteger(value)) fail('counter', `Atomic[${i}]`, 'overflow', here);
      counters.set(key, value);
    });
    const { sequence } = batch;
    if (sequence?.op === 'next') {
      const from = this.sequences.get(sequence.key) ?? 0;
      const here = (): Json => ({ Key: sequence.key, Value: from });
      if (!Number.isSafeInteger(from + sequence.n)) fail('sequence', 'n', 'overflow', here);
    }
    return failed;
  }

  #missing({ format, get, counter, sequence }: Batch): boolean {
    if (format === 'kv.get') return !this.keys.has(get![0]!);
    if (format === 'counter.get') return !this.counters.has(counter![0]!.key);
    return format === 'sequence.get' && !this.sequences.has(sequence!.key);
  }

  #unlock(ask: UnlockOperation, locks = this.locks): 'release' | 'done' | 'lost' {
    const lock = locks.get(ask.id);
    if (ask.handle === undefined && ask.owner === undefined) return lock?.lease === undefined ? 'done' : 'release';
    const is = presentedBy(ask);
    if (holds(lock, is)) return 'release';
    return lock?.ended.find(is)?.why === 'released' ? 'done' : 'lost';
  }

  #grant(lock: NaiveLock, ask: LockOperation, commit: Commit): () => Json {
    const own = lock.lease !== undefined && isOwn(lock.lease, ask) ? lock.lease : undefined;
    const till = this.now + ask.durMs;
    const meta: unknown = ask.meta === undefined ? own?.meta : JSON.parse(ask.meta);
    const handle = own?.handle ?? commit;
    const owner = own === undefined ? ask.owner : (own.owner ?? ask.owner);
    lock.lease = { handle, owner, meta, since: own?.since ?? this.now, dur: ask.durMs, till };
    const [last] = lock.ended;
    const recovers = ask.extend === undefined && last !== undefined && last.why !== 'released';
    const { now } = this;
    return () => ({
      Lock: handle.rev,
      Till: Math.ceil(till / 1000),
      TillMs: till,
      TTLMs: till - now,
      Now: now,
      ...(recovers && {
        Recover: { Lock: last.handle.rev, Why: last.why, ...(last.meta === undefined ? {} : { Meta: last.meta }) },
      }),
    });
  }

  #end(lock: NaiveLock, why: Ended['why'], at: number): void {
    const { handle, owner, meta } = lock.lease!;
    lock.ended.unshift({ handle, owner, meta, why, at });
    lock.lease = undefined;
    lock.forgetAt = this.now + 10_000;
  }

  #serve(_id: string, lock: NaiveLock): void {
    while (lock.line.length > 0 && mayHave({ ...lock, line: [] }, lock.line[0]!.ask)) {
      const { ref, batch } = lock.line.shift()!;
      this.#happen(ref, batch!);
    }
  }

  #mutexLock(ref: number, ask: LockOperation): void {
    const lock = lockOf(this.mutexes, ask.id);
    if (!mayHave(lock, ask)) return this.#wait(ref, lock, ask, undefined);
    this.#grantMutex(ref, lock, ask);
  }

  #grantMutex(ref: number, lock: NaiveLock, ask: LockOperation): void {
    const handle: Commit = { rev: undefined };
    const body = this.#grant(lock, ask, handle);
    this.answers.push({ ref, status: 200, body, covers: ['mutex.lock:ok'] });
    // The handle of a mutex is no revision: whoever compares fills it in.
    (this.answers.at(-1) as { mutexHandle?: Commit }).mutexHandle = handle;
  }

  #mutexUnlock(ref: number, ask: UnlockOperation): void {
    const answer = this.#unlock(ask, this.mutexes);
    const lock = this.mutexes.get(ask.id);
    if (answer === 'lost') {
      const ended = lock?.ended.find(presentedBy(ask));
      const end = ended === undefined ? {} : { EndedMs: ended.at };
      const body = (): Json => ({ LockID: ask.id, Why: ended?.why ?? 'unknown', ...end });
      return this.#refuse(ref, 'lock_lost', body, ['mutex.unlock:lock_lost']);
    }
    this.answers.push({ ref, status: 200, body: () => ({}), covers: ['mutex.unlock:ok'] });
    if (answer !== 'release') return;
    const forced = ask.handle === undefined && ask.owner === undefined;
    this.#end(lock!, forced ? 'forced' : 'released', this.now);
    this.#serveMutex(ask.id, lock!);
  }

  #serveMutex(_id: string, lock: NaiveLock): void {
    const head = lock.line.shift();
    if (head !== undefined) this.#grantMutex(head.ref, lock, head.ask);
  }

  #inspect(ref: number, id: string, fence: number | undefined): void {
    const lock = this.locks.get(id);
    if (fence !== undefined && !holds(lock, handleIs(fence))) {
      const ended = lock?.ended.find(handleIs(fence));
      const end = ended === undefined ? {} : { EndedMs: ended.at };
      const body = (): Json => ({ LockID: id, Why: ended?.why ?? 'unknown', ...end });
      return this.#refuse(ref, 'lock_lost', body, ['inspect:lock_lost']);
    }
    const body = { Locked: lock?.lease !== undefined, ...holder(lock), Waiters: lock?.line.length ?? 0 };
    this.answers.push({ ref, status: 200, body: () => body, covers: ['inspect:ok'] });
  }

  #list(ref: number, ask: { prefix: string; after?: string; limit: number }): void {
    const found = [...this.keys].filter(([key]) => within(key, ask)).toSorted(([a], [b]) => byBytes(a, b));
    const page = found.slice(0, ask.limit);
    const body = (): Json => ({
      KV: page.map(([key]) => this.#shown(key)()),
      ...(found.length > page.length && { More: true, After: page.at(-1)![0] }),
    });
    // Built now: a waiter may change things in the same step.
    const rows = page.map(([key]) => this.#shown(key));
    const more = body();
    this.answers.push({
      ref,
      status: 200,
      body: () => ({ ...more, KV: rows.map((row) => row()) }),
      covers: ['kv.list:ok'],
    });
  }

  #lockList(ref: number, ask: { prefix: string; after?: string; limit: number }): void {
    const found = [...this.locks]
      .filter(([id, { lease }]) => lease !== undefined && within(id, ask))
      .toSorted(([a], [b]) => byBytes(a, b));
    const Locks = found.map(([id, lock]) => ({ LockID: id, ...holder(lock), Waiters: lock.line.length }));
    this.answers.push({ ref, status: 200, body: () => ({ Locks }), covers: ['lock.list:ok'] });
  }

  #watch(ref: number, key: string, version: number): void {
    const item = this.keys.get(key);
    const current = item === undefined ? 0 : item.commit.rev;
    if (current === version) {
      this.watched.add(key);
      this.answers.push({ ref, status: 0, body: () => ({}), covers: ['watch:registered'] });
      return;
    }
    const body = (): Json =>
      item === undefined
        ? { Key: key, Version: 0, Deleted: true }
        : { Key: key, Version: item.commit.rev, Value: item.value };
    this.answers.push({ ref, status: 200, body, covers: ['watch:answered'] });
  }

  #changed(key: string, value: unknown, commit: Commit | undefined, expired?: true): void {
    if (!this.watched.delete(key)) return;
    const body = (): Json =>
      value === undefined
        ? { Key: key, Version: 0, Deleted: true, ...(expired && { Expired: true }) }
        : { Key: key, Version: commit!.rev, Value: value };
    this.events.push({ key, body, ...(commit && { commit }) });
  }

  #shown(key: string): () => Json {
    const item = this.keys.get(key);
    if (item === undefined) return () => ({ Key: key, Version: 0 });
    const { commit, value, till } = item;
    return () => ({ Key: key, Version: commit.rev, Value: value, ...(till === 0 ? {} : { TillMs: till }) });
  }

  #busy(lock: NaiveLock): () => Json {
    const { Meta, ...rest } = holder(lock) ?? {};
    const shown = { ...(Meta === undefined ? {} : { Meta }), ...rest };
    const Waiters = lock.line.length;
    return () => ({ ...(lock.lease === undefined ? {} : { Holder: shown }), Waiters });
  }

  #refuse(ref: number, code: string, details: () => Json, covers: string[] = [], status = 409): void {
    const body = (): Json => ({ Code: code, ...details() });
    this.answers.push({ ref, status, body, covers: [...covers, code] });
  }
}

function lockOf(locks: Map<string, NaiveLock>, id: string): NaiveLock {
  let lock = locks.get(id);
  if (lock === undefined) locks.set(id, (lock = { lease: undefined, ended: [], line: [], forgetAt: 0 }));
  return lock;
}

function mayHave(lock: NaiveLock, ask: LockOperation): boolean {
  return lock.lease === undefined ? lock.line.length === 0 : isOwn(lock.lease, ask);
}

function isOwn(lease: Lease, ask: LockOperation): boolean {
  if (ask.extend !== undefined) return lease.handle.rev === ask.extend;
  return ask.owner !== undefined && ask.owner === lease.owner;
}

function holds(lock: NaiveLock | undefined, is: (lease: Lease) => boolean): boolean {
  return lock?.lease !== undefined && is(lock.lease);
}

function handleIs(handle: number): (lease: Lease | Ended) => boolean {
  return (lease) => lease.handle.rev === handle;
}

function presentedBy(ask: UnlockOperation): (lease: Lease | Ended) => boolean {
  return ask.handle === undefined ? (lease) => lease.owner === ask.owner : handleIs(ask.handle);
}

function holder(lock: NaiveLock | undefined): Json | undefined {
  if (lock?.lease === undefined) return undefined;
  const { meta, till, since } = lock.lease;
  return { ...(meta === undefined ? {} : { Meta: meta }), Till: Math.ceil(till / 1000), TillMs: till, Since: since };
}

function counted(op: 'add' | 'set' | 'max' | 'min', from: number, n: number): number {
  if (op === 'add') return from + n;
  if (op === 'set') return n;
  return op === 'max' ? Math.max(from, n) : Math.min(from, n);
}

function within(key: string, { prefix, after }: { prefix: string; after?: string }): boolean {
  return key.startsWith(prefix) && (after === undefined || byBytes(key, after) > 0);
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function coversOf(batch: Batch): string[] {
  const parts = ['guard', 'check', 'idempotency', 'unlock', 'counter', 'get', 'sequence'] as const;
  const covers = parts.filter((part) => batch[part] !== undefined).map((part) => `${part}:ok`);
  if (batch.lock !== undefined) covers.push(batch.lock.extend === undefined ? 'lock:ok' : 'extend:ok');
  for (const { value } of batch.set ?? []) covers.push(value === undefined ? 'delete:ok' : 'set:ok');
  if (batch.format !== 'batch') covers.push(`${batch.format}:ok`);
  return covers;
}
