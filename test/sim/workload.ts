/**
 * The requests of the clients of a simulation: every command, on few keys, so that clients meet. The values of a
 * request name it, which shows whether a commit is whole. Clients reuse what they were told (fences, versions, ids),
 * even if it is stale. Each run draws favourites from its seed: many runs differ more than many requests of one run do.
 */
import { accountId, type AccountId } from '../../src/protocol/ids.ts';
import { count, counter } from '../support/generators/counter.ts';
import { Habits, type Named } from '../support/generators/habits.ts';
import { once } from '../support/generators/idempotency.ts';
import { kv, patches, put, putIf } from '../support/generators/kv.ts';
import { exchange, extend, giveBack, guard, lock, take } from '../support/generators/lock.ts';
import { limit, takeFrom } from '../support/generators/limit.ts';
import { mutex } from '../support/generators/mutex.ts';
import { ack, dequeue, enqueue, extend as extendMessage, nack, queue } from '../support/generators/queue.ts';
import { script } from '../support/generators/script.ts';
import { sequence } from '../support/generators/sequence.ts';
import { makeTask, task } from '../support/generators/task.ts';
import { isOfSharedLocks, SharedLocks } from '../support/generators/shared-lock.ts';
import { isOfWholeAccount, WholeAccounts, wholeAccount } from '../support/generators/whole-account.ts';
import { stringOps } from '../support/generators/string-op.ts';
import type { ReplyBody } from '../support/reply-body.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { bankPrefix } from './timeline.ts';
import type { Batch, Command } from '../../src/protocol/operations/operations.ts';
import type { DequeueOperation } from '../../src/protocol/operations/queue.ts';
import type { LockOperation, UnlockOperation } from '../../src/protocol/operations/lock.ts';

export const accounts: readonly AccountId[] = [accountId('acme'), accountId('acme.2'), wholeAccount];

export const keys = ['a', 'b', 'c', 'd/1', 'd/2', 'd/3'];
export const queues = ['q1', 'q2', 'q3'];
const bank = [0, 1, 2, 3].map((number) => `${bankPrefix}${number}`);

export interface Request {
  readonly number: number;
  readonly command: Command;
  /** Its name in the coverage. */
  readonly what: string;
}

interface Kept {
  readonly id: string;
  readonly fence: number;
}

/** The calls by their name in the coverage. A call that is listed twice is made twice as often. */
const mix: readonly (readonly [string, (h: SimHabits) => Partial<Batch> | Command])[] = [
  ['set', (h) => ({ set: [put(h, h.name('kv'))] })],
  ['set if version', (h) => ({ set: [putIf(h, h.name('kv'))] })],
  ['delete', (h) => ({ set: [{ key: h.name('kv') }, ...(h.below(2) === 0 ? [put(h, h.name('kv'))] : [])] })],
  [
    'merge',
    (h) => ({ set: [{ key: 'p', value: h.one(patches), merge: true, ...(h.below(2) === 0 && { old: true }) }] }),
  ],
  ['set many', (h) => ({ set: putSome(h, 4), get: h.some('kv', 3) })],
  [
    'check',
    (h) => {
      const check = h.some('kv', 2).map((key) => ({ key, version: h.knownVersion(key) }));
      return { check, set: [put(h, h.name('kv'))], get: [h.name('kv')] };
    },
  ],
  ['get', (h) => ({ get: h.some('kv', 4) })],
  ['transfer', (h) => ({ counter: transfer(h) })],
  ['audit', () => ({ counter: bank.map((key) => ({ key, op: 'get' as const, n: 0 })) })],
  ['counter', (h) => ({ counter: [count(h, 'n', ['add', 'set', 'max', 'min', 'reset'])] })],
  ['sequence', sequence['sequence.next']],
  ['limit', limit['limit.take']],
  ['limit and set', (h) => ({ limit: [takeFrom(h, h.name('limit'))], set: [put(h, h.name('kv'))] })],
  ['ops', (h) => ({ ops: stringOps(h, 5) })],
  ['ops beside others', (h) => ({ ops: stringOps(h, 3), counter: transfer(h), check: [{ key: 't/1', exists: true }] })],
  ['lock', (h) => ({ lock: take(h) })],
  ['lock', (h) => ({ lock: take(h) })],
  [
    'lock and set',
    (h) => {
      const set = putSome(h, 2);
      return { lock: take(h), set };
    },
  ],
  ['unlock', lock['lock.release']],
  ['unlock', lock['lock.release']],
  ['guard', (h) => ({ guard: guard(h), set: [put(h, h.name('kv'))] })],
  ['extend', (h) => ({ lock: extend(h) })],
  ['one lock for another', exchange],
  [
    'once',
    (h) => {
      const idempotency = once(h, 2);
      const locked = h.below(3) === 0 ? { lock: take(h) } : {};
      return { idempotency, set: putSome(h, 2), ...locked };
    },
  ],
  ['enqueue', (h) => ({ enqueue: h.below(3) === 0 ? [enqueue(h), enqueue(h)] : [enqueue(h)] })],
  ['enqueue and set', (h) => ({ enqueue: [enqueue(h)], set: [put(h, h.name('kv'))] })],
  ['dequeue', (h) => ({ dequeue: h.dequeue() })],
  ['dequeue', (h) => ({ dequeue: h.dequeue() })],
  ['ack', (h) => ({ ack: [ack(h)] })],
  ['ack and dequeue', (h) => ({ ack: [ack(h)], dequeue: dequeue(h), ...h.effects() })],
  ['ack, unlock and set', (h) => ({ ack: [ack(h)], unlock: giveBack(h, 'lock'), set: [put(h, h.name('kv'))] })],
  ['nack', (h) => ({ nack: [nack(h)], ...h.effects() })],
  ['extend a delivery', (h) => ({ extend: [extendMessage(h)] })],
  ['move a message', (h) => ({ ack: [ack(h)], enqueue: [enqueue(h)], dequeue: dequeue(h) })],
  ['enqueue once', (h) => ({ idempotency: once(h, 2), enqueue: [enqueue(h)], extend: [extendMessage(h)] })],
  ['shared lock', (h) => h.shared.next(h.account)],
  ['shared lock', (h) => h.shared.next(h.account)],
  ['whole account', (h) => h.whole.next()],
  ['queue policy', queue['queue.policy']],
  ['queue change', queue['queue.change']],
  ['pause or resume', pauseOrResume],
  ['redrive', queue['queue.redrive']],
  ['queue stat', queue['queue.stat']],
  ['peek', queue['queue.peek']],
  ['list', kv['kv.list']],
  ['clear', kv['kv.clear']],
  [
    'get a page',
    (h) => ({ get: [h.name('kv')], range: { prefix: h.one(h.prefixes), limit: 1 + h.below(4), place: h.below(2) } }),
  ],
  ['list counters', counter['counter.list']],
  ['list locks', lock['lock.list']],
  ['inspect', lock['lock.inspect']],
  ['script', script['script.put']],
  ['delete a script', script['script.delete']],
  ['read a script', script['script.get']],
  ['task', task['task.create']],
  ['tasks and set', (h) => ({ tasks: [makeTask(h)], set: [put(h, h.name('kv'))] })],
  ['cancel a task and set', (h) => ({ taskCancel: [{ key: h.name('task') }], set: [put(h, h.name('kv'))] })],
  ['change a task', task['task.change']],
  ['read a task', task['task.get']],
  ['list tasks', task['task.list']],
  ['mutex', mutex['mutex.lock']],
  ['mutex unlock', mutex['mutex.unlock']],
  ['mutex unlock', mutex['mutex.unlock']],
];

const ofQueues = mix.filter(([name]) => /queue|ack|delivery|message/.test(name));

export class Workload {
  /** What a request with this number puts. */
  readonly puts = new Map<number, ReadonlyMap<string, string>>();
  readonly #habits: SimHabits;
  readonly #idempotent: Request[] = [];
  readonly #favourites: number[];

  constructor(random: SeededRandom) {
    this.#habits = new SimHabits(random);
    // In every other run queues get enough of everything to go through all their states.
    const from = random.below(2) === 0 ? mix : ofQueues;
    this.#favourites = Array.from({ length: 1 + random.below(6) }, () => mix.indexOf(from[random.below(from.length)]!));
    if (from === ofQueues) this.#favourites.push(mix.indexOf(ofQueues[0]!), mix.indexOf(ofQueues[2]!));
    for (const [oneIn, noun] of [
      [3, 'shared lock'],
      [4, 'whole account'],
    ] as const) {
      if (random.below(oneIn) > 0) continue;
      const place = mix.findIndex(([name]) => name === noun);
      this.#favourites.push(...Array.from({ length: 6 }, () => place));
    }
  }

  next(): Request {
    const h = this.#habits;
    h.request += 1;
    const number = h.request;
    h.account = accounts[h.below(6) === 0 ? 1 : 0]!;
    const retry = this.#idempotent[h.below(Math.max(1, this.#idempotent.length))];
    if (retry !== undefined && h.below(12) === 0) return { number, command: this.#retry(retry.command), what: 'retry' };
    const favourite = this.#favourites[h.below(this.#favourites.length)]!;
    const [name, make] = mix[h.below(3) > 0 ? favourite : h.below(mix.length)]!;
    const made = make(h);
    const command: Command =
      made.kind === undefined ? { kind: 'batch', account: h.account, format: 'batch', ...made } : (made as Command);
    const forces = name === 'unlock' && (command as Batch).unlock!.fence === undefined;
    const request = { number, command, what: forces ? 'force' : name };
    if (command.kind === 'batch') {
      const puts = new Map<string, string>();
      for (const { key, value } of command.set ?? []) {
        if (value === undefined) puts.delete(key);
        else puts.set(key, value);
      }
      this.puts.set(number, puts);
      if (command.idempotency !== undefined) this.#idempotent.push(request);
    }
    return request;
  }

  /** A request that somebody else makes up. */
  numbered(command: Command, what = 'drain'): Request {
    this.#habits.request += 1;
    return { number: this.#habits.request, command, what };
  }

  /** Remembers what clients may reuse. */
  answered(command: Command, status: number, body: ReplyBody): void {
    if (status === 200) this.#habits.learn(command, body);
  }

  /** Returns an earlier request, or another one under its id. */
  #retry(command: Command): Command {
    if (command.kind !== 'batch' || this.#habits.below(5) > 0) return command;
    return { ...command, idempotency: { ...command.idempotency!, fingerprint: `another ${this.#habits.request}` } };
  }
}

function putSome(h: SimHabits, most: number): NonNullable<Batch['set']> {
  return h.some('kv', most).map((key) => put(h, key));
}

/** The sum over the bank stays the same. */
function transfer(h: SimHabits): NonNullable<Batch['counter']> {
  const [from, to] = h.take(bank, 2);
  const n = 1 + h.below(9);
  return [
    { key: from!, op: 'add', n: -n },
    { key: to ?? from!, op: 'add', n },
  ];
}

function pauseOrResume(h: SimHabits): Command {
  const change = h.below(3) === 0 ? 'pause' : 'resume';
  return {
    kind: 'batch',
    account: h.account,
    format: `queue.${change}`,
    queueChange: { key: h.name('queue'), change },
  };
}

class SimHabits extends Habits {
  /** The number of the request that is made. */
  request = 0;
  override readonly prefixes = ['', 'd/'];
  readonly names = {
    kv: keys,
    string: ['t/1', 't/2', 't/3'],
    counter: ['n'],
    sequence: ['seq'],
    lock: ['l1', 'l2', 'a'],
    mutex: ['m'],
    id: ['i1', 'i2', 'i3', 'i4'],
    limit: ['g0', 'g1'],
    queue: queues,
    task: ['k1', 'k2'],
    script: ['j1', 'j2'],
  };
  readonly shared: SharedLocks;
  readonly whole: WholeAccounts;
  readonly #versions = new Map<string, number>();
  readonly #fences = { lock: [] as Kept[], mutex: [] as Kept[] };
  readonly #receipts: { readonly key: string; readonly id: string; readonly lock: number }[] = [];

  constructor(random: SeededRandom) {
    super(random);
    this.shared = new SharedLocks(random, this);
    this.whole = new WholeAccounts(random);
  }

  learn(command: Command, { Lock, KV, KVSet, Dequeue }: ReplyBody): void {
    if (isOfWholeAccount(command)) return;
    if (isOfSharedLocks(command)) return this.shared.learn(command, { Lock });
    if (command.kind === 'batch' && command.dequeue !== undefined) {
      const { key } = command.dequeue;
      for (const { ID, Lock: lock } of Dequeue?.Messages ?? []) this.#receipts.push({ key, id: ID, lock });
    }
    if (command.kind === 'mutex.lock') this.#fences.mutex.push({ id: command.lock.id, fence: Lock });
    if (command.kind !== 'batch') return;
    if (command.lock !== undefined && Lock !== undefined) this.#fences.lock.push({ id: command.lock.id, fence: Lock });
    for (const { Key, Version } of [...(KV ?? []), ...(KVSet ?? [])]) this.#versions.set(Key, Version);
  }

  /** Returns mostly one of the latest. */
  override receipt(): { readonly key: string; readonly id: string; readonly lock: number } {
    const back = this.below(4) === 0 ? this.below(this.#receipts.length + 1) : this.below(4);
    const receipt = this.#receipts.at(-1 - back) ?? super.receipt();
    return this.below(20) === 0 ? { ...receipt, lock: receipt.lock + 1 } : receipt;
  }

  /** In the others no message may end but by an ack or its TTL. */
  override changedQueue(): string {
    return queues[0]!;
  }

  /** Half of those that wait are known by their attempt. */
  dequeue(): DequeueOperation {
    const waitMs = this.waitMs();
    const operation = dequeue(this, waitMs);
    return waitMs > 0 && this.below(2) === 0 ? { ...operation, attempt: `w${this.request}` } : operation;
  }

  /** What is done beside. */
  effects(): Partial<Batch> {
    return this.below(3) === 0 ? { set: [put(this, this.name('kv'))] } : {};
  }

  knownVersion(key: string): number {
    return this.#versions.get(key) ?? 0;
  }

  override version(key: string): number {
    return this.below(3) === 0 ? 0 : this.knownVersion(key);
  }

  handle(noun: 'lock' | 'mutex'): number {
    return this.held(noun).fence;
  }

  /** Returns mostly one of the latest. */
  override held(noun: 'lock' | 'mutex'): Kept {
    const kept = this.#fences[noun];
    const back = this.below(3) === 0 ? this.below(kept.length + 1) : this.below(3);
    return kept.at(-1 - back) ?? { id: this.names[noun][0]!, fence: 1 };
  }

  override proof(noun: 'lock' | 'mutex', fence: number): Omit<UnlockOperation, 'id'> {
    return noun === 'lock' && this.below(8) === 0 ? {} : { fence };
  }

  /** Returns a value that names its request, which shows whether a commit is whole. */
  value(): string {
    const pad = 'x'.repeat(this.below(10) === 0 ? 700 : this.below(40));
    return JSON.stringify({ op: this.request, pad });
  }

  ttl(): { ttlMs?: number } {
    return this.below(5) === 0 ? { ttlMs: 50 + this.below(3000) } : {};
  }

  override owner(): Pick<LockOperation, 'owner'> {
    return this.below(6) === 0 ? { owner: `again${this.below(2)}` } : { owner: `o${this.request}` };
  }

  override meta(): Pick<LockOperation, 'meta'> {
    return this.below(3) === 0 ? { meta: `"m${this.request}"` } : {};
  }

  waitMs(): number {
    return this.below(3) === 0 ? 0 : this.below(6000);
  }

  durMs(): number {
    return 50 + this.below(this.below(4) === 0 ? 30_000 : 2000);
  }

  override rememberMs(): number {
    return 500 + this.below(20_000);
  }

  override fingerprint(): string {
    return `f${this.request}`;
  }

  override number(): number {
    return this.below(5);
  }

  override counterTtl(): { ttlMs?: number } {
    return this.below(6) === 0 ? { ttlMs: 50 + this.below(3000) } : {};
  }

  override ifEq(): { ifEq?: number } {
    return this.below(4) === 0 ? { ifEq: this.below(3) } : {};
  }

  /** Different ones. */
  override some(noun: Named, most: number): string[] {
    return this.take(this.names[noun], most);
  }

  take(from: readonly string[], most: number): string[] {
    const left = [...from];
    const length = Math.min(1 + this.below(most), left.length);
    return Array.from({ length }, () => left.splice(this.below(left.length), 1)[0]!);
  }
}
