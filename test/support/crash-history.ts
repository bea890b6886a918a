/**
 * The history of requests to a server that may die at any moment, and the check that its content agrees with them.
 *
 * Every batch of the load also sets a key, and every value names the batch that wrote it. So for each batch without an
 * answer the watch over all keys tells whether it happened, at which revision, and with what effects. The revisions are
 * then a witness order: the check replays all that happened in it through a naive model, compares every answer with the
 * model's, and in the end the whole state.
 *
 *   acknowledged   must be in the watch at its revision, complete                                        (I1)
 *   unknown        there, complete, or no trace of it                                                    (I2)
 *   refused        no trace of it
 *   in the watch   must be one of the above, or an expiry that was due; nothing twice, nothing out of order (I10)
 *   a revision     belongs to one commit; one that was seen never changes, over restarts too             (I4)
 *
 * Calls that carry no marker, because REST calls should be short (counters, sequences, locks of one client), are
 * checked by sums: at least what was acknowledged, at most that plus what is unknown.
 */
import assert from 'node:assert/strict';
import type { AnswerBody, CrashClient, KvItem, WatchEvent } from './crash-server.ts';

export const account = 'crash';
const db = `/db/${account}`;

export interface SetItem {
  readonly Key: string;
  readonly Value?: { readonly op: string; readonly pad: string };
  readonly Version?: number;
  readonly Delete?: true;
  readonly TTL?: number;
}

export interface BatchBody {
  readonly LockID?: string;
  readonly LockDur?: number;
  readonly LockWait?: number;
  readonly LockOwner?: string;
  readonly UnlockID?: string;
  readonly Unlock?: number;
  readonly Guard?: readonly { readonly LockID: string; readonly Lock: number }[];
  readonly Check?: readonly { readonly Key: string; readonly Version: number }[];
  readonly IdempotencyIDs?: readonly string[];
  readonly IdempotencyMode?: 'replay';
  readonly Atomic?: readonly AtomicItem[];
  readonly KVGet?: readonly string[];
  readonly KVSet?: readonly SetItem[];
}

export interface AtomicItem {
  readonly Key: string;
  readonly Add?: number;
  readonly Max?: number;
  readonly Set?: number;
  readonly IfEq?: number;
}

/** One batch: a request of its own, an item of an array, or a REST call as the batch that it stands for. */
export interface Call {
  readonly id: string;
  readonly client: number;
  readonly body: BatchBody;
  readonly sentAt: number;
  /** The highest revision that any client knew when it was sent. */
  readonly acknowledgedBefore: number;
  /** Absent: it got no answer. */
  answer?: { readonly status: number; readonly body: AnswerBody; readonly at: number };
}

/** A call without a marker. `id` is its Idempotency-Key. */
export interface Loose {
  readonly kind: 'counter' | 'sequence';
  readonly key: string;
  readonly n: number;
  readonly id?: string;
  readonly acknowledgedBefore: number;
  answer?: { readonly status: number; readonly body: AnswerBody; readonly text: string };
}

/** A lock that only one client uses, over REST. */
export interface OwnLock {
  readonly id: string;
  owner: string;
  fence: number;
  state: 'free' | 'held';
  /** A request without an answer. */
  inFlight?: 'acquire' | 'extend' | 'release';
}

interface Lease {
  readonly fence: number;
  readonly client: number;
  durMs: number;
  /** It cannot end before. */
  tillMin: number;
  /** It cannot last longer. */
  tillMax: number;
  /** The server has said so. */
  over?: true;
}

interface Stored {
  readonly version: number;
  readonly value: string;
  /** It cannot expire before; Infinity: it has no TTL. */
  readonly tillMin: number;
  readonly tillMax: number;
}

interface Done {
  readonly call: Call;
  readonly rev: number;
  /** It was not answered; the watch showed it. */
  readonly recovered: boolean;
}

/** This process takes wall time when it begins and then counts; the server takes it at each start, and follows it slowly. */
const clockSlackMs = 25;
/** "Expiry is a commit of its own within 1 s"; a busy machine needs a little more. */
const expiryLateMs = 3000;
/** Shorter leases end by themselves within the test. */
const shortMs = 10_000;

export class History {
  readonly kv = new Map<string, Stored>();
  readonly counters = new Map<string, number>();
  readonly leases = new Map<string, Lease>();
  /** The highest revision in any reply. */
  acknowledged = 0;
  /** Of the round that runs. */
  calls: Call[] = [];
  loose: Loose[] = [];
  readonly ownLocks: OwnLock[] = [];
  /** Counts that `npm test` prints; they show that a test tested something. */
  readonly totals = { acknowledged: 0, recovered: 0, lost: 0, refused: 0, replayed: 0, expired: 0, reads: 0, pages: 0 };
  /** Starts that may have taken a revision, since the last check. */
  #boots = 1;
  #checkedRev = 0;
  readonly #shown = new Map<number, string>();
  readonly #idempotent: Done[] = [];
  readonly #released = new Set<number>();
  readonly #looseBase = new Map<string, number>();
  readonly #looseIds: Loose[] = [];
  #sentinels = 0;
  #otherRevs: number[] = [];
  /** Of the rounds before, for `asText`. */
  readonly #past: (Call | Loose)[] = [];
  readonly #lives: object[] = [];
  /** Idempotent, sent, and not there. */
  #toRetry: Call[] = [];
  /** Leases that end by themselves: still held at the last check, or granted since. */
  #shortLeases = 0;
  #diedAt = 0;

  /** Records a commit without a marker: no other commit may have its revision. */
  committed(rev: number): void {
    this.#otherRevs.push(rev);
    this.saw(rev);
  }

  /** Records a revision that a client was told. */
  saw(rev: number | undefined): void {
    if (rev !== undefined && rev > this.acknowledged) this.acknowledged = rev;
  }

  /** Notes that the process has ended, and another one was launched. */
  restarted(launchedAt: number, diedAt: number): void {
    this.#boots += 1;
    this.#lives.push({ launchedAt, diedAt, after: this.acknowledged });
    this.#diedAt = diedAt;
    for (const lease of this.leases.values()) {
      const grace = Math.min(lease.durMs, 10_000);
      // It may have run out before the process died; then no client returns it.
      if (lease.tillMin > diedAt) lease.tillMin = Math.max(lease.tillMin, launchedAt + grace);
      lease.tillMin = Math.min(lease.tillMin, launchedAt + lease.durMs);
      lease.tillMax = Math.max(lease.tillMax, launchedAt + 30_000 + grace);
    }
  }

  /** Checks everything that can be checked while nothing else runs. */
  async check(client: CrashClient): Promise<void> {
    const sentinel = await this.#sentinel(client);
    const done = await this.#settle(client, sentinel);
    await this.#compareState(client);
    await this.#checkLeases(client);
    await this.#checkLoose(client);
    await this.#checkOwnLocks(client);
    await this.#retry(client, done);
  }

  /** Reads the whole kept history once more: what it showed before, it must show again. */
  async rereadHistory(client: CrashClient): Promise<{ oldest: number }> {
    let after = 0;
    const first = await client.ask('POST', `/watch/${account}`, { Prefix: '', After: 0, Wait: 1, Limit: 1 });
    assert(first !== undefined, 'the watch is answered');
    if (first.status === 410) after = first.body.Oldest;
    else assert.equal(first.status, 200, first.text);
    const seen = await this.#watch(client, after, this.#checkedRev);
    for (const rev of this.#shown.keys()) {
      if (rev <= after) continue;
      assert(seen.has(rev), `revision ${rev} was in the watch before, and is missing now`);
    }
    for (const [rev, events] of seen) {
      if (rev > this.#checkedRev) continue;
      assert.equal(digest(events), this.#shown.get(rev), `revision ${rev} has another content than before`);
    }
    return { oldest: after };
  }

  /** Returns everything known, for the diagnosis of a failure. Padding is cut. */
  asText(): string {
    const { calls, loose, ownLocks, acknowledged } = this;
    const now = { calls, loose, ownLocks, acknowledged, checkedRev: this.#checkedRev, boots: this.#boots };
    const model = { kv: [...this.kv], counters: [...this.counters], leases: [...this.leases] };
    return JSON.stringify({ ...now, ...model, lives: this.#lives, past: this.#past }, (_, value: unknown) =>
      typeof value === 'string' && value.length > 500 ? `${value.slice(0, 100)}… (${value.length})` : value,
    );
  }

  /** Makes a write whose revision must be after every revision told before. */
  async #sentinel(client: CrashClient): Promise<Call> {
    this.#sentinels += 1;
    const id = `sentinel.${this.#sentinels}`;
    const call: Call = {
      id,
      client: -1,
      body: { KVSet: [{ Key: 'sentinel', Value: { op: id, pad: '' } }] },
      sentAt: Date.now(),
      acknowledgedBefore: this.acknowledged,
    };
    const body = await client.must('POST', db, call.body);
    assert(
      body.Rev > this.acknowledged,
      `Rev ${body.Rev} after a restart, though ${this.acknowledged} was told before`,
    );
    call.answer = { status: 200, body, at: Date.now() };
    this.calls.push(call);
    this.saw(body.Rev);
    return call;
  }

  async #settle(client: CrashClient, sentinel: Call): Promise<Done[]> {
    const upTo = sentinel.answer!.body.Rev;
    const events = await this.#watch(client, this.#checkedRev, upTo);
    const revisionOf = new Map<string, number>();
    for (const [rev, list] of events) {
      this.#shown.set(rev, digest(list));
      for (const event of list) {
        const op = (event.Value as { op?: string } | undefined)?.op;
        if (op === undefined) continue;
        const before = revisionOf.get(op);
        assert(before === undefined || before === rev, `${op} stands at revision ${before} and at ${rev}`);
        revisionOf.set(op, rev);
      }
    }
    const calls = this.calls;
    this.calls = [];
    this.#past.push(...calls);
    const writes: Done[] = [];
    const reads: Done[] = [];
    for (const call of calls) {
      const { answer, body, id } = call;
      const found = revisionOf.get(id);
      if (answer === undefined) {
        if (found === undefined) {
          this.totals.lost += 1;
          if (body.IdempotencyIDs !== undefined) this.#toRetry.push(call);
        } else {
          this.totals.recovered += 1;
          writes.push({ call, rev: found, recovered: true });
        }
        continue;
      }
      if (answer.status !== 200) {
        this.totals.refused += 1;
        assert.equal(found, undefined, `${id} was refused (${answer.status}), and stands at revision ${found}`);
        continue;
      }
      const { Rev: rev } = answer.body;
      if (body.KVSet === undefined) {
        assert(rev <= upTo, `${id} read at revision ${rev}, which is ahead of ${upTo} after the restart`);
        this.totals.reads += 1;
        reads.push({ call, rev, recovered: false });
        continue;
      }
      assert.equal(found, rev, `${id} was acknowledged at revision ${rev}, and stands at ${found}`);
      assert(rev > call.acknowledgedBefore, `${id} got ${rev}, though ${call.acknowledgedBefore} was told before`);
      this.totals.acknowledged += 1;
      writes.push({ call, rev, recovered: false });
    }
    this.#replay(writes, reads, events);
    this.#accountForRevisions(writes, events, upTo);
    this.#checkedRev = upTo;
    return writes;
  }

  /** Checks that every revision in between belongs to a commit. */
  #accountForRevisions(
    writes: readonly Done[],
    events: ReadonlyMap<number, readonly WatchEvent[]>,
    upTo: number,
  ): void {
    const known = new Set<number>(writes.map(({ rev }) => rev));
    assert.equal(known.size, writes.length, 'two commits have the same revision');
    const markers = known.size;
    for (const [rev, list] of events) if (list.every((event) => event.Expired)) known.add(rev);
    this.totals.expired += known.size - markers;
    // A short lease ends by a commit without a request, and each start may prolong it by another commit.
    let unknown = this.#boots + this.#shortLeases * (1 + this.#boots);
    this.#boots = 0;
    this.#shortLeases = 0;
    for (const { durMs, over } of this.leases.values()) if (durMs < shortMs && !over) this.#shortLeases += 1;
    for (const { answer, n } of this.loose) {
      if (answer === undefined) unknown += 1;
      if (answer?.status !== 200) continue;
      const rev = answer.body.Rev;
      assert(!known.has(rev), `revision ${rev} was given to two commits (one of them: ${JSON.stringify({ n })})`);
      known.add(rev);
    }
    for (const rev of this.#otherRevs) {
      assert(!known.has(rev), `revision ${rev} was given to two commits (one of them a lock of one client)`);
      known.add(rev);
    }
    this.#otherRevs = [];
    for (const lock of this.ownLocks) if (lock.inFlight !== undefined) unknown += 1;
    const between = [...known].filter((rev) => rev > this.#checkedRev && rev <= upTo).length;
    const nobodys = upTo - this.#checkedRev - between;
    assert(nobodys >= 0 && nobodys <= unknown, `${nobodys} revisions are nobody's; at most ${unknown} may be`);
  }

  #replay(writes: Done[], reads: Done[], events: ReadonlyMap<number, readonly WatchEvent[]>): void {
    writes.sort((a, b) => a.rev - b.rev);
    reads.sort((a, b) => a.rev - b.rev);
    const byRev = new Map(writes.map((done) => [done.rev, done]));
    const order = [...new Set([...byRev.keys(), ...events.keys()])].toSorted((a, b) => a - b);
    let next = 0;
    const readUpTo = (rev: number): void => {
      for (; next < reads.length && reads[next]!.rev < rev; next += 1) {
        const { call, rev: at } = reads[next]!;
        // What was read before the last check is compared with what there is now: only newer reads have a model.
        if (at >= this.#checkedRev) this.#compareGets(call, at);
      }
    };
    for (const rev of order) {
      readUpTo(rev);
      const done = byRev.get(rev);
      const shown = events.get(rev) ?? [];
      if (done === undefined) this.#expire(rev, shown);
      else this.#happen(done, shown);
    }
    readUpTo(Infinity);
  }

  #expire(rev: number, events: readonly WatchEvent[]): void {
    for (const { Key, Expired } of events) {
      assert(Expired, `revision ${rev} changed ${Key}, and nobody asked for it`);
      const entry = this.kv.get(Key);
      assert(entry !== undefined && entry.tillMin !== Infinity, `${Key} expired at revision ${rev} without a TTL`);
      assert(entry.tillMin <= Date.now() + clockSlackMs, `${Key} expired at revision ${rev}, before its time`);
      this.kv.delete(Key);
    }
  }

  #happen({ call, rev }: Done, events: readonly WatchEvent[]): void {
    const { body, answer, sentAt, id } = call;
    const at = `${id} at revision ${rev}`;
    const answeredAt = answer?.at ?? Math.max(this.#diedAt, sentAt);
    for (const { Key, Version } of [...(body.Check ?? []), ...(body.KVSet ?? [])]) {
      if (Version === undefined) continue;
      const entry = this.kv.get(Key);
      const is = entry?.version ?? 0;
      const mayHaveGone = entry !== undefined && entry.tillMin <= answeredAt + clockSlackMs;
      assert(Version === is || (Version === 0 && mayHaveGone), `${at}: ${Key} had version ${is}, expected ${Version}`);
    }
    this.#happenLocks(call, rev, answeredAt);
    for (const [i, { Key, Add, Max, Set, IfEq }] of (body.Atomic ?? []).entries()) {
      const old = this.counters.get(Key) ?? 0;
      if (IfEq !== undefined) assert.equal(old, IfEq, `${at}: IfEq of ${Key}`);
      const value = Set ?? (Max === undefined ? old + Add! : Math.max(old, Max));
      const answered = answer?.body.Atomic?.[i];
      if (answer !== undefined) {
        assert.deepEqual([answered?.Key, answered?.Value, answered?.Old], [Key, value, old], `${at}: counter ${Key}`);
      }
      this.counters.set(Key, value);
    }
    if (answer !== undefined && body.KVGet !== undefined) this.#compareGets(call, rev);
    const expected: WatchEvent[] = [];
    for (const [i, { Key, Value, Delete, TTL }] of (body.KVSet ?? []).entries()) {
      const answered = answer?.body.KVSet?.[i];
      if (Delete) {
        const entry = this.kv.get(Key);
        const gone = entry !== undefined && entry.tillMin <= answeredAt + clockSlackMs;
        if (entry !== undefined) expected.push({ Key, Version: 0, Deleted: true, Rev: rev });
        if (answered && !gone) assert.equal(answered.Deleted, entry !== undefined, `${at}: deletion of ${Key}`);
        this.kv.delete(Key);
        continue;
      }
      if (answered) assert.deepEqual([answered.Key, answered.Version], [Key, rev], `${at}: KVSet[${i}]`);
      expected.push({ Key, Version: rev, Value, Rev: rev });
      this.kv.set(Key, {
        version: rev,
        value: JSON.stringify(Value),
        tillMin: TTL === undefined ? Infinity : sentAt + TTL * 1000,
        tillMax: TTL === undefined ? Infinity : answeredAt + TTL * 1000,
      });
    }
    assert.deepEqual(events.toSorted(byKey), expected.toSorted(byKey), `${at}: whole or not at all`);
    if (body.IdempotencyIDs !== undefined) this.#idempotent.push({ call, rev, recovered: answer === undefined });
  }

  #happenLocks({ body, answer, client, sentAt, id }: Call, rev: number, answeredAt: number): void {
    const at = `${id} at revision ${rev}`;
    for (const { LockID, Lock } of body.Guard ?? []) {
      const lease = this.leases.get(LockID);
      assert(lease?.fence === Lock, `${at} was guarded by ${Lock}, but ${lease?.fence} holds ${LockID}`);
      assert(lease.tillMax >= sentAt, `${at} was guarded by a lease that had ended`);
    }
    const { LockID, UnlockID, Unlock } = body;
    if (UnlockID !== undefined && UnlockID !== LockID) {
      const lease = this.leases.get(UnlockID);
      // Repeating an unlock is a success, too.
      const done = this.#released.has(Unlock!) || lease?.fence === Unlock;
      assert(done, `${at} released ${Unlock}, but ${lease?.fence} holds ${UnlockID}`);
      this.#released.add(Unlock!);
      if (lease?.fence === Unlock) this.leases.delete(UnlockID);
    }
    if (LockID === undefined) return;
    const durMs = body.LockDur! * 1000;
    const till = { durMs, tillMin: sentAt + durMs, tillMax: answeredAt + durMs + (body.LockWait ?? 0) * 1000 };
    const before = this.leases.get(LockID);
    if (UnlockID === LockID) {
      assert(
        before !== undefined && before.fence === Unlock,
        `${at} extended ${Unlock}, but ${before?.fence} holds ${LockID}`,
      );
      assert(before.tillMax >= sentAt, `${at} extended a lease that had ended`);
      if (answer !== undefined) assert.equal(answer.body.Lock, Unlock, `${at}: an extension keeps the fence`);
      this.leases.set(LockID, { ...before, ...till });
      return;
    }
    if (before !== undefined) {
      const early = before.tillMin - answeredAt;
      assert(early <= clockSlackMs, `${at}: ${LockID} was granted ${early} ms before the lease ${before.fence} ended`);
      if (answer !== undefined) {
        assert.deepEqual(answer.body.Recover, { Lock: before.fence, Why: 'expired' }, `${at}: Recover`);
      }
    } else if (answer !== undefined) {
      assert.equal(answer.body.Recover, undefined, `${at}: the lease before was released`);
    }
    if (answer !== undefined) assert.equal(answer.body.Lock, rev, `${at}: the fence is the revision of the grant`);
    if (durMs < shortMs) this.#shortLeases += 1;
    this.leases.set(LockID, { fence: rev, client, ...till });
  }

  #compareGets({ body, answer, id }: Call, rev: number): void {
    for (const [i, key] of (body.KVGet ?? []).entries()) {
      this.#compareEntry(key, answer!.body.KV?.[i], answer!.at, `${id} read at revision ${rev}`);
    }
  }

  #compareEntry(key: string, got: KvItem | undefined, readAt: number, at: string): void {
    const entry = this.kv.get(key);
    assert.equal(got?.Key, key, `${at}: ${key}`);
    if (entry === undefined) {
      assert.equal(got.Version, 0, `${at}: ${key} should not exist`);
      return;
    }
    if (got.Version === 0) {
      assert(entry.tillMin <= readAt + clockSlackMs, `${at}: ${key} is missing, version ${entry.version} is expected`);
      return;
    }
    assert.equal(got.Version, entry.version, `${at}: version of ${key}`);
    assert.equal(JSON.stringify(got.Value), entry.value, `${at}: value of ${key}`);
    assert.equal(got.TillMs !== undefined, entry.tillMin !== Infinity, `${at}: TTL of ${key}`);
    if (got.TillMs === undefined) return;
    assert(
      got.TillMs >= entry.tillMin - clockSlackMs && got.TillMs <= entry.tillMax + clockSlackMs,
      `${at}: ${key} lasts until ${got.TillMs}, not between ${entry.tillMin} and ${entry.tillMax}`,
    );
  }

  /** Compares all keys and all counters. */
  async #compareState(client: CrashClient): Promise<void> {
    const rows = new Map<string, KvItem>();
    const askedAt = Date.now();
    for (let after = ''; ; ) {
      const page = await client.must('GET', `${db}/kv?limit=1000${after && `&after=${encodeURIComponent(after)}`}`);
      for (const row of page.KV ?? []) {
        assert(row.Key > after, `the list is ordered: ${row.Key} after ${after}`);
        after = row.Key;
        rows.set(row.Key, row);
      }
      this.saw(page.Rev);
      this.totals.pages += 1;
      if (!page.More) break;
      after = page.After;
    }
    const readAt = Date.now();
    for (const key of this.kv.keys()) {
      this.#compareEntry(key, rows.get(key) ?? { Key: key, Version: 0 }, readAt, 'in the list after the restart');
      const { tillMax } = this.kv.get(key)!;
      assert(!rows.has(key) || tillMax + expiryLateMs > askedAt, `${key} is shown long after its time`);
    }
    for (const key of rows.keys()) assert(this.kv.has(key), `${key} is in the list, and should not exist`);
    for (const [key, value] of this.counters) {
      const { Value } = await client.must('GET', `${db}/counter/${key}`);
      assert.equal(Value, value, `counter ${key} after the restart`);
    }
  }

  async #checkLeases(client: CrashClient): Promise<void> {
    for (const [id, lease] of this.leases) {
      const answer = await client.ask('GET', `${db}/lock/${id}?fence=${lease.fence}`);
      const now = Date.now();
      assert(answer !== undefined, 'a lock can be inspected');
      if (answer.status === 409) lease.over = true;
      if (lease.tillMin > now + clockSlackMs) {
        assert.equal(answer.status, 200, `${id} must still be held with ${lease.fence}: ${answer.text}`);
        const { TillMs } = answer.body;
        const inTime = TillMs >= lease.tillMin - clockSlackMs && TillMs <= lease.tillMax + clockSlackMs;
        assert(inTime, `${id} lasts until ${TillMs}, not between ${lease.tillMin} and ${lease.tillMax}`);
      }
      if (lease.tillMin > now + 10_000) {
        const refused = await client.ask('POST', db, { LockID: id, LockDur: 1, LockOwner: 'rival' });
        assert.equal(refused?.body.Code, 'not_locked', `${id} is held, and was given to another: ${refused?.text}`);
      }
    }
  }

  async #checkLoose(client: CrashClient): Promise<void> {
    const groups = Map.groupBy(this.loose, ({ kind, key }) => `${kind}/${key}`);
    this.#past.push(...this.loose);
    this.loose = [];
    for (const [path, group] of groups) {
      const base = this.#looseBase.get(path) ?? 0;
      const acked = group.filter(({ answer }) => answer?.status === 200);
      const sum = (list: readonly Loose[]): number => list.reduce((total, { n }) => total + n, 0);
      let slack = sum(group.filter(({ answer }) => answer === undefined));
      let last = base;
      for (const { answer, n, acknowledgedBefore } of acked.toSorted(
        (a, b) => a.answer!.body.Rev - b.answer!.body.Rev,
      )) {
        const { Value, Old, From, To, Rev } = answer!.body;
        assert(Rev > acknowledgedBefore, `${path}: revision ${Rev}, though ${acknowledgedBefore} was told before`);
        const [from, to] = path.startsWith('counter') ? [Old, Value] : [From - 1, To];
        assert.equal(to - from, n, `${path} moved by what was asked`);
        assert(from >= last, `${path} gave ${from} after ${last}: a number twice`);
        slack -= from - last;
        last = to;
      }
      assert(slack >= 0, `${path} has a gap that nobody asked for`);
      // Each id has its effect once, however often it is sent.
      for (const one of group) {
        if (one.id === undefined || (one.answer !== undefined && one.answer.status !== 200)) continue;
        const again = await this.#sendLoose(client, one);
        if (one.answer === undefined) {
          one.answer = again;
          if (again.body.Rev > this.#checkedRev) this.committed(again.body.Rev);
        } else assert.equal(again.text, one.answer.text, `${path} with ${one.id}: the stored reply`);
        this.#looseIds.push(one);
      }
      const unknown = group.filter(({ answer }) => answer === undefined);
      const expected = base + sum(group.filter(({ answer }) => answer?.status === 200));
      const got = await client.ask('GET', `${db}/${path}`);
      const value = got?.status === 404 ? 0 : (got?.body.Value ?? NaN);
      assert(
        value >= expected && value <= expected + sum(unknown),
        `${path} is ${value}; ${expected} was acknowledged and ${sum(unknown)} is unknown`,
      );
      this.#looseBase.set(path, value);
    }
    // Some from earlier rounds.
    for (const one of this.#looseIds.slice(-40).filter((_, i) => i % 8 === 0)) {
      const again = await this.#sendLoose(client, one);
      assert.equal(again.text, one.answer!.text, `${one.key} with ${one.id}: the stored reply, once more`);
    }
  }

  async #sendLoose(client: CrashClient, { kind, key, n, id }: Loose): Promise<NonNullable<Loose['answer']>> {
    const query = kind === 'counter' ? `add=${n}` : `n=${n}`;
    const answer = await client.ask('POST', `${db}/${kind}/${key}?${query}`, undefined, { 'idempotency-key': id! });
    assert(answer !== undefined && answer.status === 200, `a retry succeeds: ${answer?.text}`);
    this.saw(answer.body.Rev);
    return answer;
  }

  /** Asks again with the same owner, which tells what became of a lock. */
  async #checkOwnLocks(client: CrashClient): Promise<void> {
    for (const lock of this.ownLocks) {
      const { id, owner, fence, state, inFlight } = lock;
      delete lock.inFlight;
      if (state === 'free' && inFlight === undefined) {
        const { Locked } = await client.must('GET', `${db}/lock/${id}`);
        assert.equal(Locked, false, `${id} was released`);
        continue;
      }
      const { Lock, Rev } = await client.must('POST', `${db}/lock/${id}?id=${owner}&dur=600`);
      if (state === 'held' && inFlight !== 'release') assert.equal(Lock, fence, `${id} keeps its fence`);
      else assert(Lock === fence || Lock === Rev || state === 'free', `${id}: fence ${Lock} comes from nowhere`);
      assert(Lock <= Rev, `${id}: a fence is a revision`);
      lock.state = 'held';
      lock.fence = Lock;
      this.committed(Rev);
    }
  }

  /** Sends idempotent batches again: those that happened are answered from the record, the others happen now. */
  async #retry(client: CrashClient, done: readonly Done[]): Promise<void> {
    const recent = new Set(done.map(({ call }) => call.id));
    const again = this.#idempotent.filter(({ call }, i) => recent.has(call.id) || i % 25 === 0).slice(-60);
    for (const { call, rev, recovered } of again) {
      const answer = await client.ask('POST', db, call.body);
      const what = `${call.id}, which happened at revision ${rev}, once more: ${answer?.status} ${answer?.text.slice(0, 300)}`;
      assert(answer?.status === 200 && answer.body.Rev === rev && answer.replayed, what);
      if (!recovered) assert.deepEqual(withoutStatus(answer.body), withoutStatus(call.answer!.body), what);
      this.totals.replayed += 1;
    }
    for (const lost of this.#toRetry.splice(0)) {
      const call: Call = { ...lost, sentAt: Date.now(), acknowledgedBefore: this.acknowledged };
      const answer = await client.ask('POST', db, call.body);
      assert(answer !== undefined && !answer.replayed, `${call.id} did not happen, and is answered from a record`);
      call.answer = { ...answer, at: Date.now() };
      if (answer.status === 200) this.saw(answer.body.Rev);
      this.calls.push(call);
    }
  }

  /** Returns every event in (after, upTo], by revision; checks that they are ordered, unique, and split no batch. */
  async #watch(client: CrashClient, after: number, upTo: number): Promise<Map<number, WatchEvent[]>> {
    const found = new Map<number, WatchEvent[]>();
    let position = after;
    let last = after;
    while (position < upTo) {
      const page = await client.must('POST', `/watch/${account}`, {
        Prefix: '',
        After: position,
        Wait: 5,
        Limit: 1000,
      });
      for (const event of page.Events) {
        assert(event.Rev >= last && event.Rev > position, `the watch is ordered: ${event.Rev} after ${last}`);
        assert(event.Rev <= page.Rev, 'a page does not reach beyond its revision');
        last = event.Rev;
        const list = found.get(last);
        if (list === undefined) found.set(last, [event]);
        else list.push(event);
      }
      assert(page.Rev > position, 'the watch moves on');
      position = page.Rev;
      this.totals.pages += 1;
    }
    for (const [rev, list] of found) {
      const keys = new Set(list.map(({ Key }) => Key));
      assert.equal(keys.size, list.length, `revision ${rev} tells of a key twice`);
    }
    return found;
  }
}

function byKey(a: WatchEvent, b: WatchEvent): number {
  return a.Key < b.Key ? -1 : 1;
}

function digest(events: readonly WatchEvent[]): string {
  return JSON.stringify(
    events.map(({ Key, Version, Value, Deleted }) => [Key, Version, Value ?? null, Deleted ?? false]),
  );
}

/** What an item of an array body has besides. */
function withoutStatus(body: AnswerBody): object {
  return { ...body, Status: undefined };
}
