/** Seeded load for a server that may die at any moment: many clients, each with one request at a time, all recorded. */
import assert from 'node:assert/strict';
import {
  account,
  type AtomicItem,
  type BatchBody,
  type Call,
  type History,
  type Loose,
  type OwnLock,
  type SetItem,
} from './crash-history.ts';
import type { AnswerBody, CrashClient, CrashServer } from './crash-server.ts';
import { seededRandom, type SeededRandom } from './seeded-random.ts';

export interface LoadOptions {
  readonly seed: number;
  /** Part of every id. */
  readonly round: number;
  readonly clients?: number;
  /** Values are about this large, some much larger. */
  readonly padBytes?: number;
}

const keys = 1500;
const counters = 12;
const sharedLocks = 6;
const db = `/db/${account}`;
/** Codes that a request may be refused with while nothing is wrong. */
const refusals = new Set(['version_mismatch', 'not_locked', 'precondition_failed', 'overloaded', 'lock_lost']);

export class Load {
  readonly #server: CrashServer;
  readonly #history: History;
  readonly #options: LoadOptions;
  /** The versions that clients were told. They may be stale. */
  readonly #versions = new Map<string, number>();
  readonly #counters = new Map<string, number>();
  #stopped = false;
  #ids = 0;
  /** The number of answered requests. */
  #answers = 0;
  #awaited = { answers: Infinity, met: (): void => undefined };

  constructor(server: CrashServer, history: History, options: LoadOptions) {
    this.#server = server;
    this.#history = history;
    this.#options = options;
    for (const [key, { version }] of history.kv) this.#versions.set(key, version);
    for (const [key, value] of history.counters) this.#counters.set(key, value);
  }

  /** Runs until the server is dead or `stop` is called; then every client has its answer or will never get one. */
  async run(): Promise<void> {
    const { clients = 16, seed, round } = this.#options;
    const { ownLocks } = this.#history;
    for (let i = ownLocks.length; i < clients; i += 1) {
      ownLocks.push({ id: `own-${i}`, owner: `own-${i}`, fence: 0, state: 'free' });
    }
    await Promise.all(
      Array.from({ length: clients }, async (_, i) => {
        const client = this.#server.client();
        try {
          await this.#client(i, client, seededRandom(seed * 31 + round * 1009 + i));
        } finally {
          await client.close();
        }
      }),
    );
  }

  /** Lets the load run, so that there is something to lose. Resolves after this many answers, or at the load's end. */
  async answers(count: number, running: Promise<void>): Promise<void> {
    const met = new Promise<void>((resolve) => {
      this.#awaited = { answers: count, met: resolve };
    });
    await Promise.race([met, running]);
  }

  /** No further requests. */
  stop(): void {
    this.#stopped = true;
  }

  async #client(number: number, client: CrashClient, random: SeededRandom): Promise<void> {
    let alive = true;
    while (alive && !this.#stopped) {
      const dice = random.next();
      if (dice < 0.62) alive = await this.#batch(client, this.#call(number, random));
      else if (dice < 0.72) alive = await this.#array(client, number, random);
      else if (dice < 0.8) alive = await this.#set(client, number, random);
      else if (dice < 0.92) alive = await this.#loose(client, random);
      else alive = await this.#ownLock(client, this.#history.ownLocks[number]!, random);
    }
  }

  async #batch(client: CrashClient, call: Call): Promise<boolean> {
    this.#history.calls.push(call);
    const answer = await client.ask('POST', db, call.body);
    if (answer === undefined) return false;
    this.#answered(call, answer.status, answer.body);
    return true;
  }

  async #array(client: CrashClient, number: number, random: SeededRandom): Promise<boolean> {
    const calls = Array.from({ length: 2 + random.below(5) }, () => this.#call(number, random, true));
    this.#history.calls.push(...calls);
    const answer = await client.ask(
      'POST',
      db,
      calls.map(({ body }) => body),
    );
    if (answer === undefined) return false;
    assert.equal(answer.status, 200, answer.text);
    const items = answer.body as unknown as readonly AnswerBody[];
    calls.forEach((call, i) => this.#answered(call, items[i]!.Status, items[i]!));
    return true;
  }

  /** Sets one key over REST, which is the shortest write. */
  async #set(client: CrashClient, number: number, random: SeededRandom): Promise<boolean> {
    const { id, ...call } = this.#newCall(number);
    const item: SetItem = { ...this.#condition(`k/${random.below(keys)}`, random), Value: this.#value(id, random) };
    const set: Call = { ...call, id, body: { KVSet: [item] } };
    this.#history.calls.push(set);
    const query = item.Version === undefined ? '' : `?ver=${item.Version}`;
    const answer = await client.ask('POST', `${db}/kv/${item.Key}${query}`, item.Value);
    if (answer === undefined) return false;
    const { Key, Version } = answer.body;
    this.#answered(set, answer.status, { ...answer.body, KVSet: [{ Key, Version }] });
    return true;
  }

  async #loose(client: CrashClient, random: SeededRandom): Promise<boolean> {
    const kind = random.next() < 0.5 ? 'counter' : 'sequence';
    const once = random.next() < 0.5;
    const n = 1 + random.below(4);
    const loose: Loose = {
      kind,
      key: `${once ? 'once' : 'loose'}-${random.below(3)}`,
      n,
      ...(once && { id: this.#newId() }),
      acknowledgedBefore: this.#history.acknowledged,
    };
    this.#history.loose.push(loose);
    const query = kind === 'counter' ? `add=${n}` : `n=${n}`;
    const headers = loose.id === undefined ? undefined : { 'idempotency-key': loose.id };
    const answer = await client.ask('POST', `${db}/${kind}/${loose.key}?${query}`, undefined, headers);
    if (answer === undefined) return false;
    this.#refusable(answer.status, answer.body);
    loose.answer = { status: answer.status, body: answer.body, text: answer.text };
    if (answer.status === 200) this.#history.saw(answer.body.Rev);
    return true;
  }

  async #ownLock(client: CrashClient, lock: OwnLock, random: SeededRandom): Promise<boolean> {
    // A later check finds out first what became of it.
    if (lock.inFlight !== undefined) return true;
    if (lock.state === 'held' && random.next() < 0.5) {
      lock.inFlight = 'release';
      const answer = await client.ask('DELETE', `${db}/lock/${lock.id}?id=${lock.owner}`);
      if (answer === undefined) return false;
      delete lock.inFlight;
      assert.equal(answer.status, 200, `${lock.id} is held with ${lock.fence}: ${answer.text}`);
      lock.state = 'free';
      lock.owner = `${lock.id}-${this.#newId()}`;
      this.#history.committed(answer.body.Rev);
      return true;
    }
    lock.inFlight = lock.state === 'held' ? 'extend' : 'acquire';
    const answer = await client.ask('POST', `${db}/lock/${lock.id}?id=${lock.owner}&dur=600`);
    if (answer === undefined) return false;
    delete lock.inFlight;
    if (!this.#refusable(answer.status, answer.body)) return true;
    assert.equal(answer.status, 200, `${lock.id} is nobody else's: ${answer.text}`);
    const { Lock, Rev } = answer.body;
    assert.equal(Lock, lock.state === 'held' ? lock.fence : Rev, `the fence of ${lock.id}`);
    lock.state = 'held';
    lock.fence = Lock;
    this.#history.committed(Rev);
    return true;
  }

  #answered(call: Call, status: number, body: AnswerBody): void {
    call.answer = { status, body, at: Date.now() };
    this.#answers += 1;
    if (this.#answers === this.#awaited.answers) this.#awaited.met();
    if (!this.#refusable(status, body)) return;
    this.#history.saw(body.Rev);
    for (const { Key, Version } of body.KVSet ?? []) this.#versions.set(Key, Version);
    for (const { Key, Version } of body.KV ?? []) this.#versions.set(Key, Version);
    for (const { Key, Value } of body.Atomic ?? []) this.#counters.set(Key, Value);
    this.#holds(call, body);
  }

  /** Returns whether it succeeded. Throws for an error that this load cannot cause. */
  #refusable(status: number, body: AnswerBody): boolean {
    if (status === 200) return true;
    assert(refusals.has(body.Code), `an answer that was not to be expected: ${status} ${JSON.stringify(body)}`);
    return false;
  }

  /** Shared locks, as their clients know of them: lock → client and fence. */
  #held = new Map<string, { client: number; fence: number }>();

  #holds({ body, client }: Call, answer: AnswerBody): void {
    const { LockID, UnlockID } = body;
    if (UnlockID !== undefined && UnlockID !== LockID) this.#held.delete(UnlockID);
    if (LockID !== undefined) this.#held.set(LockID, { client, fence: answer.Lock });
  }

  /** Before a round: what clients hold from earlier ones. */
  resume(): void {
    const soon = Date.now() + 5000;
    for (const [id, lease] of this.#history.leases) {
      if (lease.tillMin > soon) this.#held.set(id, { client: lease.client, fence: lease.fence });
    }
  }

  #newId(): string {
    this.#ids += 1;
    return `${this.#options.round}.${this.#ids}`;
  }

  #newCall(client: number): Omit<Call, 'body'> {
    return { id: this.#newId(), client, sentAt: Date.now(), acknowledgedBefore: this.#history.acknowledged };
  }

  #call(client: number, random: SeededRandom, inArray = false): Call {
    const call = this.#newCall(client);
    const { id } = call;
    if (random.next() < 0.08) {
      return { ...call, body: { KVGet: distinct(random, 2 + random.below(8), keys).map((n) => `k/${n}`) } };
    }
    const marker: SetItem = { Key: `m/${client}/${random.below(3)}`, Value: { op: id, pad: '' } };
    const sets: SetItem[] = [marker];
    for (const n of distinct(random, random.below(4), keys)) sets.push(this.#set1(id, `k/${n}`, random));
    let body: BatchBody = { KVSet: shuffled(sets, random) };
    if (random.next() < 0.3) body = { ...body, Atomic: this.#atomics(random) };
    if (random.next() < 0.15) body = { ...body, KVGet: distinct(random, 3, keys).map((n) => `k/${n}`) };
    if (random.next() < 0.1) body = { ...body, Check: [{ Key: `k/${random.below(keys)}`, Version: 0 }] };
    if (random.next() < 0.2) body = { ...body, IdempotencyIDs: [id], IdempotencyMode: 'replay' };
    if (random.next() < 0.25) body = { ...body, ...this.#lockPart(client, id, random, inArray) };
    return { ...call, body };
  }

  #set1(id: string, key: string, random: SeededRandom): SetItem {
    const condition = this.#condition(key, random);
    const dice = random.next();
    if (dice < 0.15) return { ...condition, Delete: true };
    const ttl = dice < 0.25 ? 0.05 + random.next() * 0.4 : dice < 0.3 ? 600 : undefined;
    return { ...condition, Value: this.#value(id, random), ...(ttl !== undefined && { TTL: ttl }) };
  }

  #condition(key: string, random: SeededRandom): { Key: string; Version?: number } {
    return random.next() < 0.3 ? { Key: key, Version: this.#versions.get(key) ?? 0 } : { Key: key };
  }

  #value(op: string, random: SeededRandom): { op: string; pad: string } {
    const { padBytes = 3000 } = this.#options;
    const length = random.next() < 0.02 ? 20 * padBytes : random.below(2 * padBytes);
    return { op, pad: String.fromCharCode(97 + random.below(26)).repeat(length) };
  }

  #atomics(random: SeededRandom): AtomicItem[] {
    return distinct(random, 1 + random.below(2), counters).map((n): AtomicItem => {
      const Key = `c-${n}`;
      const dice = random.next();
      if (dice < 0.7) return { Key, Add: random.below(20) - 5 };
      if (dice < 0.85) return { Key, Max: random.below(500) };
      return { Key, Set: random.below(100), IfEq: this.#counters.get(Key) ?? 0 };
    });
  }

  #lockPart(client: number, id: string, random: SeededRandom, inArray: boolean): Partial<BatchBody> {
    const mine = [...this.#held].find(([, held]) => held.client === client);
    if (mine === undefined) {
      const wait = inArray || random.next() < 0.5 ? {} : { LockWait: 0.05 + random.next() * 0.2 };
      const LockDur = random.next() < 0.15 ? 0.1 + random.next() * 0.3 : 600;
      return { LockID: `shared-${random.below(sharedLocks)}`, LockDur, LockOwner: id, ...wait };
    }
    const [lockId, { fence }] = mine;
    const dice = random.next();
    if (dice < 0.4) return { UnlockID: lockId, Unlock: fence };
    if (dice < 0.6) return { LockID: lockId, UnlockID: lockId, Unlock: fence, LockDur: 600 };
    return { Guard: [{ LockID: lockId, Lock: fence }] };
  }
}

function distinct(random: SeededRandom, count: number, bound: number): number[] {
  const found = new Set<number>();
  while (found.size < count) found.add(random.below(bound));
  return [...found];
}

function shuffled<T>(items: T[], random: SeededRandom): T[] {
  for (let i = items.length - 1; i > 0; i -= 1) {
    const j = random.below(i + 1);
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}
